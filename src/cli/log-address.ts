import { existsSync, statSync } from "node:fs";
import { FactlogError } from "../errors.ts";
import { redact } from "../runtime/failure.ts";
import type { Output } from "./output.ts";

export const devFolder = ".factlog";
export const devUrl: string = `sqlite:${devFolder}/dev.db`;
const plainUrl = "sqlite:factlog.db";

/** The log a command works on: `--url`, else FACTLOG_URL, else the one of `factlog dev` where there is one, else factlog.db. */
export function logAddress(url: string | undefined, fallback: string = defaultUrl()): string {
  return url ?? (process.env["FACTLOG_URL"] || fallback);
}
const defaultUrl = (): string => (existsSync(fileOf(devUrl) ?? "") ? devUrl : plainUrl);

/** An address as it may be shown. */
export const shownAddress = (url: string): string => redact(url);

/** The file of an SQLite log. */
export function fileOf(url: string): string | undefined {
  if (!url.startsWith("sqlite:") || url === "sqlite::memory:") return undefined;
  const path = url.slice("sqlite:".length);
  return path.startsWith("file:") ? undefined : path;
}

/** Looking at a log must not make one, nor make one of an empty file. Throws NOT_FOUND. */
export function requireLog(url: string): void {
  const file = fileOf(url);
  if (file === undefined || (existsSync(file) && statSync(file).size > 0)) return;
  throw noLog(url);
}

export function noLog(url: string): FactlogError {
  return new FactlogError(
    "NOT_FOUND",
    `there is no log at ${shownAddress(url)}: \`factlog dev app.ts\` starts one here; --url or FACTLOG_URL names another.`,
    { details: { url: shownAddress(url) } },
  );
}

/** Arguments are visible to every user of the machine. */
export function warnOfSecret(url: string | undefined, out: Output): void {
  if (url === undefined || shownAddress(url) === url) return;
  out.remark("a password in --url is visible to every process of this machine: set FACTLOG_URL instead.");
}
