import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import { openLog } from "../../runtime/log.ts";
import { act, type Call, type Finish, listOption, portOption, withCommonOptions } from "../command.ts";
import { commitTimeMs } from "../dev/commit-time.ts";
import { Screen } from "../dev/screen.ts";
import { Supervisor } from "../dev/supervisor.ts";
import { duration, shownPath } from "../format.ts";
import { devFolder, devUrl, fileOf, logAddress, shownAddress, warnOfSecret } from "../log-address.ts";
import type { Output } from "../output.ts";
import { untilStopped } from "../signals.ts";

interface DevOptions {
  readonly only?: readonly string[];
  readonly except?: readonly string[];
  readonly http?: number;
}

export function addDev(program: Command, finish: Finish): void {
  const command = program
    .command("dev")
    .description(
      "work on an app's subscriptions, show every delivery, restart when a file of the app changes (log: .factlog/dev.db)",
    )
    .argument("<app>", "file whose default export is an app")
    .addOption(listOption("--only <names>", "only these subscriptions, separated by commas"))
    .addOption(listOption("--except <names>", "all but these"))
    .addOption(portOption());
  act<DevOptions>(withCommonOptions(command), finish, dev);
}

async function dev({ out, options }: Call<DevOptions>, file = ""): Promise<void> {
  if (!existsSync(file)) {
    throw new FactlogError("NOT_FOUND", `${file} is not there: \`factlog init\` writes an app to begin with.`, {
      details: { file },
    });
  }
  const url = logAddress(options.url, devUrl);
  warnOfSecret(options.url, out);
  if (url === devUrl) makeDevFolder();
  await introduce(url, out);
  const { only, except, http } = options;
  const supervisor = new Supervisor(new Screen(out), {
    file: resolve(file),
    url,
    ...(only === undefined ? {} : { only }),
    ...(except === undefined ? {} : { except }),
    ...(http === undefined ? {} : { http }),
  });
  await untilStopped((signal) => supervisor.run(signal));
  out.object({ kind: "stopped" });
  out.say("stopped");
}

/** What dev keeps is of this machine: version control leaves it alone. */
function makeDevFolder(): void {
  mkdirSync(devFolder, { recursive: true });
  const ignore = join(devFolder, ".gitignore");
  if (!existsSync(ignore)) writeFileSync(ignore, "*\n");
}

/** Where the log is and how durable, with what a commit costs on this disk. */
async function introduce(url: string, out: Output): Promise<void> {
  const log = await openLog(url);
  const { description } = log;
  await log.close();
  const file = fileOf(url);
  const commitMs = file === undefined ? undefined : await commitTimeMs(file).catch(() => undefined);
  out.object({ kind: "opened", log: shownAddress(url), description, commitMs });
  out.say(introduction(url, description, commitMs));
}

/** `sqlite:.factlog/dev.db  durable (WAL, FULL; 0.3 ms a commit)` */
export function introduction(url: string, description: string, commitMs: number | undefined): string {
  const file = fileOf(url);
  const text = file === undefined ? description : description.replace(resolve(file), shownPath(resolve(file)));
  return commitMs === undefined ? text : text.replace(/\)$/u, `; ${duration(commitMs)} a commit)`);
}
