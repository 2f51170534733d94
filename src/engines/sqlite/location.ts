import { accessSync, constants, existsSync, realpathSync, statfsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { FactlogError } from "../../errors.ts";
import { fileSystemKind } from "./file-system.ts";

/** Where a store is. `path` is absolute and without links, or ":memory:". */
export interface Location {
  readonly path: string;
  readonly inMemory: boolean;
}

/** A path, "sqlite:PATH", a "file:" URL, or ":memory:". */
export function parseLocation(pathOrUrl: string): Location {
  const text = pathOrUrl.startsWith("sqlite:") ? pathOrUrl.slice("sqlite:".length) : pathOrUrl;
  if (text === ":memory:") return { path: text, inMemory: true };
  if (text === "" || text.includes("\0")) {
    throw new FactlogError("INVALID_OPTION", `${JSON.stringify(pathOrUrl)} names no file: give sqlite:PATH.`);
  }
  return { path: withoutLinks(resolve(text.startsWith("file:") ? fileURLToPath(text) : text)), inMemory: false };
}

/** One name for one file, whether it exists yet or not. */
function withoutLinks(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  const directory = dirname(path);
  return existsSync(directory) ? join(realpathSync(directory), basename(path)) : path;
}

/** Throws where a log cannot live: NOT_FOUND, STORE_READ_ONLY, NETWORK_FILE_SYSTEM, NOT_A_LOG. */
export function requireGoodPlace(path: string): void {
  const directory = dirname(path);
  if (!existsSync(directory)) {
    throw new FactlogError("NOT_FOUND", `the directory ${directory} is not there: create it, or name another file.`);
  }
  if (existsSync(path) && !statSync(path).isFile()) {
    throw new FactlogError("NOT_A_LOG", `${path} is no regular file: name another one.`);
  }
  requireLocal(directory);
  for (const place of existsSync(path) ? [directory, path] : [directory]) requireWritable(place);
}

function requireWritable(place: string): void {
  try {
    accessSync(place, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new FactlogError(
      "STORE_READ_ONLY",
      `${place} cannot be written: give this user the right to write the file and its directory.`,
      { cause, details: { path: place } },
    );
  }
}

function requireLocal(directory: string): void {
  if (process.platform !== "linux") return;
  const { verdict, name } = fileSystemKind(statfsSync(directory).type);
  if (verdict === "network") {
    throw new FactlogError(
      "NETWORK_FILE_SYSTEM",
      `${directory} is on ${name}, a network file system, where SQLite's locks cannot be trusted: use a local disk, or PostgreSQL.`,
      { details: { directory, fileSystem: name } },
    );
  }
  if (verdict === "doubtful") {
    process.emitWarning(`${directory} is on ${name}: make sure that a disk of this machine lies beneath it.`, {
      code: "FACTLOG_FILE_SYSTEM",
    });
  }
}
