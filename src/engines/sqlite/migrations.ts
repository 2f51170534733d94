import { FactlogError } from "../../errors.ts";
import type { Env } from "../../env.ts";
import type { Database } from "./database.ts";
import { applicationId, newestFormat, pageBytes, steps } from "./schema.ts";

/** What the file says about itself. */
export interface Identity {
  readonly format: number;
  readonly epoch: string;
  readonly slots: number;
  /** "log": both ports; "ledger": a ledger beside a foreign log. */
  readonly kind: "log" | "ledger";
}

/** What is asked of a file: `slots` undefined = as it is, or the default for a new one. */
export interface Wanted {
  readonly kind: Identity["kind"];
  readonly slots: number | undefined;
  readonly slotsDefault: number;
}

/**
 * Brings the file to the newest format in one transaction, or recognises what it cannot use: NOT_A_LOG, STORE_TOO_NEW,
 * SLOTS_MISMATCH. A file without tables is initialised. Throws SQLite's own busy error where another process is at it.
 */
export function migrate(db: Database, wanted: Wanted, env: Env, path: string): Identity {
  const known = identityOf(db, path);
  if (known?.format === newestFormat) return requireWanted(known, wanted, path);
  db.exec(`PRAGMA page_size = ${pageBytes}`);
  db.exec("PRAGMA auto_vacuum = INCREMENTAL");
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("BEGIN IMMEDIATE");
  try {
    const from = identityOf(db, path)?.format ?? 0;
    for (const step of steps.slice(from)) db.exec(step);
    if (from === 0) initialise(db, wanted, env);
    write(db, "format", newestFormat);
    db.exec("COMMIT");
  } catch (error) {
    if (db.inTransaction) db.exec("ROLLBACK");
    throw error;
  }
  return requireWanted(identityOf(db, path)!, wanted, path);
}

/** Begins another life of the log: positions may be given a second time. */
export function renewEpoch(db: Database, env: Env): void {
  write(db, "epoch", env.uuid());
}

function initialise(db: Database, wanted: Wanted, env: Env): void {
  db.exec(`PRAGMA application_id = ${applicationId}`);
  write(db, "epoch", env.uuid());
  write(db, "kind", wanted.kind);
  write(db, "slots", wanted.slots ?? wanted.slotsDefault);
  write(db, "counted", 0);
}

function write(db: Database, name: string, value: string | number): void {
  const cell = typeof value === "number" ? "CAST(? AS INTEGER)" : "?";
  db.prepare(`INSERT OR REPLACE INTO factlog_meta(name, value) VALUES (?, ${cell})`).run(name, value);
}

/** Throws NOT_A_LOG and STORE_TOO_NEW. Undefined for an empty file. */
export function identityOf(db: Database, path: string): Identity | undefined {
  const tables = db.value("SELECT count(*) FROM sqlite_schema") as number;
  const id = db.value("PRAGMA application_id") as number;
  if (tables === 0 && id === 0) return undefined;
  const ours = db.value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'factlog_meta'") === 1;
  if (!ours) throw notALog(path, "the file belongs to another program");
  const meta = new Map(db.prepare<[string, string | number]>("SELECT name, value FROM factlog_meta").all());
  const format = meta.get("format");
  if (typeof format !== "number") throw notALog(path, "the file says no format");
  if (format > newestFormat) {
    throw new FactlogError(
      "STORE_TOO_NEW",
      `${path} has format ${format}, this version of factlog knows formats up to ${newestFormat}: update factlog.`,
      { details: { format, newest: newestFormat } },
    );
  }
  return {
    format,
    epoch: String(meta.get("epoch")),
    slots: Number(meta.get("slots")),
    kind: meta.get("kind") === "ledger" ? "ledger" : "log",
  };
}

function requireWanted(identity: Identity, wanted: Wanted, path: string): Identity {
  if (identity.kind !== wanted.kind) {
    throw notALog(path, `the file holds a ${identity.kind === "log" ? "whole log" : "ledger beside a foreign log"}`);
  }
  if (wanted.slots !== undefined && wanted.slots !== identity.slots) {
    throw new FactlogError(
      "SLOTS_MISMATCH",
      `${path} was created with ${identity.slots} slots, not ${wanted.slots}: the number is fixed; leave the option out.`,
      { details: { slots: identity.slots, wanted: wanted.slots } },
    );
  }
  return identity;
}

function notALog(path: string, why: string): FactlogError {
  return new FactlogError("NOT_A_LOG", `${path} is no Factlog log (${why}): name another file.`, { details: { path } });
}
