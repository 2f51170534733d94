import { FactlogError } from "../../errors.ts";

/** Primary result codes of SQLite, https://sqlite.org/rescode.html, of which the engine makes something. */
const codes = {
  perm: 3,
  busy: 5,
  locked: 6,
  noMemory: 7,
  readOnly: 8,
  interrupt: 9,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  protocol: 15,
  auth: 23,
  notADatabase: 26,
} as const;

/** The primary result code, or undefined where `error` does not come from SQLite. */
function codeOf(error: unknown): number | undefined {
  const errcode = (error as { errcode?: unknown } | null | undefined)?.errcode;
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}

/** A row of this identity is there already: SQLITE_CONSTRAINT_UNIQUE. */
export function isKnown(error: unknown): boolean {
  return (error as { errcode?: unknown } | null | undefined)?.errcode === 2067;
}

/** Somebody else holds the lock: try again. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code === codes.busy || code === codes.locked || code === codes.protocol;
}

/** The authorizer refused a statement of the user. */
export function isDenied(error: unknown): boolean {
  return codeOf(error) === codes.auth;
}

/** After it nothing is known about the file for certain: the store stops. */
export function isFatal(error: unknown): boolean {
  const code = codeOf(error);
  return code === codes.ioError || code === codes.corrupt || code === codes.noMemory || code === codes.notADatabase;
}

/** An error of the file, not of one statement: it meets everybody in the transaction. */
export function isOfTheStore(error: unknown): boolean {
  const code = codeOf(error);
  const wide = code === codes.full || code === codes.readOnly || code === codes.perm || code === codes.cantOpen;
  return wide || isBusy(error) || isFatal(error);
}

/** An error of SQLite as one of ours; others are given back as they are. `where` names the file for people. */
export function storeError(error: unknown, where: string): unknown {
  const text = error instanceof Error ? error.message : String(error);
  const make = (code: string, message: string, retryable = false): FactlogError =>
    new FactlogError(code, `${where}: ${message}`, { cause: error, retryable, details: { store: where } });
  switch (codeOf(error) ?? -1) {
    case codes.busy:
    case codes.locked:
    case codes.protocol:
      return make(
        "STORE_BUSY",
        "another process keeps the store locked: try again, or look for a long transaction.",
        true,
      );
    case codes.full:
      return make(
        "STORE_FULL",
        `the disk or the store's size limit is full (${text}): nothing was stored; make room.`,
        true,
      );
    case codes.readOnly:
    case codes.perm:
    case codes.cantOpen:
      return make(
        "STORE_READ_ONLY",
        `cannot be written (${text}): give this user the right to write the file and its directory.`,
      );
    case codes.notADatabase:
      return make("NOT_A_LOG", "the file is no SQLite database: name another file.");
    case codes.ioError:
    case codes.corrupt:
    case codes.noMemory:
      return make("STORE_FAILED", `the store failed (${text}): check disk and file, then open it again.`);
    default:
      return error;
  }
}
