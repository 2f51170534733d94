import { existsSync } from "node:fs";
import type { Command } from "commander";
import { realEnv } from "../../env.ts";
import { backup, type BackedUp, type CopyOptions, restore } from "../../engines/sqlite/backup.ts";
import { FactlogError } from "../../errors.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { fileOf, logAddress, requireLog, shownAddress } from "../log-address.ts";
import type { Output } from "../output.ts";

export function addBackup(program: Command, finish: Finish): void {
  const command = program
    .command("backup")
    .description("copy the log to a file, checked, while processes publish and work (SQLite)")
    .argument("<file>", "of the backup; must not be there yet");
  act(withCommonOptions(command), finish, backUp);
}

export function addRestore(program: Command, finish: Finish): void {
  const command = program
    .command("restore")
    .description("make a backup the log, in a new epoch (SQLite); a log that is there is moved aside")
    .argument("<file>", "a backup")
    .option("--yes", "where a log is there already");
  act<RestoreOptions>(withCommonOptions(command), finish, restoreFrom);
}

interface RestoreOptions {
  readonly yes?: boolean;
}

async function backUp({ out, options }: Call, file = ""): Promise<void> {
  const url = logAddress(options.url);
  requireFile(url);
  requireLog(url);
  const result = await backup(realEnv, url, file, progressOn(out));
  out.object({ log: shownAddress(url), file, ...result });
  out.say(`${shownAddress(url)} -> ${file}  ${sizeOf(result)}, checked, epoch ${result.epoch}`, "good");
}

async function restoreFrom({ out, options }: Call<RestoreOptions>, file = ""): Promise<void> {
  const url = logAddress(options.url);
  const path = requireFile(url);
  if (existsSync(path) && options.yes !== true) {
    throw new FactlogError(
      "CONFLICT",
      `${path} is there already: with --yes it is moved aside, and the backup is the log.`,
    );
  }
  const result = await restore(realEnv, file, url, progressOn(out));
  out.object({ file, log: shownAddress(url), ...result });
  if (result.aside !== undefined) out.say(`what was there is now ${result.aside}`);
  out.say(`${file} -> ${shownAddress(url)}  ${sizeOf(result)}, checked, epoch ${result.epoch}`, "good");
}

/** Throws NOT_SUPPORTED for what is not kept in a file. */
function requireFile(url: string): string {
  const path = fileOf(url);
  if (path !== undefined) return path;
  throw new FactlogError(
    "NOT_SUPPORTED",
    `${shownAddress(url)} is no SQLite file: a PostgreSQL log is backed up and restored with its database, by pg_dump or pg_basebackup; Factlog notices that it was restored.`,
  );
}

const sizeOf = ({ bytes }: BackedUp): string => `${Math.round(bytes / 1024).toLocaleString("en")} KiB`;

/** On a terminal: what is long tells how far it is. */
function progressOn(out: Output): CopyOptions {
  if (!process.stderr.isTTY) return {};
  return { onProgress: (bytes, ofBytes) => out.remark(`${Math.floor((100 * bytes) / Math.max(1, ofBytes))} %`) };
}
