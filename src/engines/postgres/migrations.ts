import { FactlogError } from "../../errors.ts";
import type { Env } from "../../env.ts";
import type { PositionNumber } from "../../event/stored-event.ts";
import type { Run } from "./connection.ts";
import type { Location } from "./location.ts";
import { functions, inSchema, newestFormat, outboxFormat, steps } from "./schema.ts";

/** What the schema says about itself. */
export interface Identity {
  readonly format: number;
  readonly epoch: string;
  readonly slots: number;
  /** "log": both ports; "ledger": a ledger beside a foreign log. */
  readonly kind: "log" | "ledger";
  /** The life of the database that the epoch belongs to: see `lifeSql`. */
  readonly life: string;
}

/** What is asked of a schema: `slots` undefined = as it is, or the default for a new one. */
export interface Wanted {
  readonly kind: Identity["kind"];
  readonly slots: number | undefined;
  readonly slotsDefault: number;
}

/** 14 is the oldest that can end a lost backend and wait for it. */
const oldestVersion = 14;

/** Beside a foreign log nobody would move what is inserted there: then it is refused. */
const noOutbox = "ALTER TABLE S.outbox ADD CONSTRAINT the_log_is_not_in_this_schema CHECK (false)";

/**
 * Changes where positions may be given a second time: in another cluster, in a copy of the database, after a failover or a
 * recovery to a point in time, which begin another timeline, and where a dump was restored, which makes the tables anew.
 * NULL on a standby. Names no table that must be there.
 */
export const lifeSql = `SELECT CASE WHEN NOT pg_is_in_recovery() THEN
  (SELECT system_identifier FROM pg_control_system()) || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.' ||
  (SELECT oid FROM pg_database WHERE datname = current_database()) || '.' ||
  coalesce((SELECT oid FROM pg_class WHERE oid = to_regclass('S.head'))::text, '') END`;
/** Before tables were part of it: then the log was looked at by an earlier version alone. */
const isSame = (known: string | undefined, life: string): boolean =>
  known === life || known === life.slice(0, life.lastIndexOf("."));

/**
 * Brings the schema to the newest format in one transaction, under a lock, or recognises what it cannot use:
 * POSTGRES_TOO_OLD, STORE_READ_ONLY, NOT_A_LOG, STORE_TOO_NEW, SLOTS_MISMATCH. Where it stands already, needs no right to
 * create anything.
 */
export async function migrate(run: Run, location: Location, wanted: Wanted, env: Env): Promise<Identity> {
  await requireServer(run, location);
  const life = await lifeOf(run, location);
  const known = await identityOf(run, location);
  if (known?.format === newestFormat && known.life === life) return requireWanted(known, wanted, location);
  await run("BEGIN");
  try {
    await run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`factlog ${location.schema}`]);
    const before = await identityOf(run, location);
    if (before !== undefined) requireWanted(before, wanted, location);
    if (before === undefined) await create(run, location);
    const missing = steps.slice(before?.format ?? 0);
    for (const step of missing) await run(inSchema(step, location.quoted));
    if (missing.length > 0) await run(inSchema(functions, location.quoted));
    if (wanted.kind === "ledger" && (before?.format ?? 0) < outboxFormat)
      await run(inSchema(noOutbox, location.quoted));
    await write(run, location, "format", newestFormat);
    if (before === undefined) await initialise(run, location, wanted);
    // It may have no tables before now.
    const now = await lifeOf(run, location);
    if (!isSame(before?.life, now)) await write(run, location, "epoch", env.uuid());
    await write(run, location, "life", now);
    await run("COMMIT");
  } catch (error) {
    await run("ROLLBACK").catch(() => undefined);
    throw error;
  }
  return requireWanted((await identityOf(run, location))!, wanted, location);
}

const lifeOf = async (run: Run, { quoted }: Location): Promise<string> =>
  (await run<[string]>(inSchema(lifeSql, quoted)))[0]![0];

/**
 * Whether the epoch still is the one that was found when the store was opened: that of the same life, in which no head
 * lies below one that was seen. Where it does, old files were put back in place; then whoever opens next begins a new epoch.
 */
export async function isSameLife(
  run: Run,
  { quoted }: Location,
  { life, epoch }: Identity,
  headSeen: PositionNumber,
): Promise<boolean> {
  const epochSql = "(SELECT value FROM S.meta WHERE name = 'epoch')";
  const text = inSchema(`SELECT (${lifeSql}), ${epochSql}, (SELECT position FROM S.head)`, quoted);
  const [now, epochNow, head] = (await run<[string | null, string | null, number]>(text))[0]!;
  if (now !== life || epochNow !== epoch) return false;
  if (head >= headSeen) return true;
  // Several connections may notice, the last of them while another process begins a new epoch: that one stands.
  const mine = "EXISTS (SELECT 1 FROM S.meta WHERE name = 'epoch' AND value = $1 FOR SHARE)";
  await run(inSchema(`UPDATE S.meta SET value = 'rewound' WHERE name = 'life' AND ${mine}`, quoted), [epoch]);
  return false;
}

async function requireServer(run: Run, location: Location): Promise<void> {
  const [version, standby, readOnly] = (
    await run<[number, boolean, string]>(
      "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(), current_setting('transaction_read_only')",
    )
  )[0]!;
  requireVersion(version, location);
  if (!standby && readOnly === "off") return;
  throw new FactlogError(
    "STORE_READ_ONLY",
    `${location.shown} is ${standby ? "a standby" : "read-only by default_transaction_read_only"}: name the primary server, or give write access.`,
    { details: { store: location.shown } },
  );
}

/** `version` as in server_version_num. */
export function requireVersion(version: number, location: Location): void {
  const major = Math.floor(version / 10_000);
  if (major >= oldestVersion) return;
  throw new FactlogError(
    "POSTGRES_TOO_OLD",
    `${location.shown} is PostgreSQL ${major}: Factlog needs ${oldestVersion} or newer.`,
    { details: { version, oldest: oldestVersion } },
  );
}

async function create(run: Run, location: Location): Promise<void> {
  const there = await run("SELECT 1 FROM pg_namespace WHERE nspname = $1", [location.schema]);
  if (there.length === 0) await run(`CREATE SCHEMA ${location.quoted}`);
}

async function initialise(run: Run, location: Location, wanted: Wanted): Promise<void> {
  await write(run, location, "kind", wanted.kind);
  await write(run, location, "slots", wanted.slots ?? wanted.slotsDefault);
}

async function write(run: Run, { quoted }: Location, name: string, value: string | number): Promise<void> {
  await run(
    `INSERT INTO ${quoted}.meta(name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    [name, String(value)],
  );
}

/** Undefined where there is no schema, or an empty one. */
async function identityOf(run: Run, location: Location): Promise<Identity | undefined> {
  const [meta, others] = (
    await run<[boolean, number]>(
      `SELECT count(*) FILTER (WHERE relname = 'meta') > 0, count(*) FROM pg_class
       WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')`,
      [location.schema],
    )
  )[0]!;
  if (!meta && others === 0) return undefined;
  if (!meta) throw notALog(location, "the schema holds other things");
  const cells = new Map(
    await run<[string, string]>(`SELECT name::text, value::text FROM ${location.quoted}.meta`).catch(
      (error: unknown) => {
        if ((error as { code?: string }).code === "42703") throw notALog(location, "its table meta is another's");
        throw error;
      },
    ),
  );
  const format = Number(cells.get("format"));
  if (!Number.isInteger(format)) throw notALog(location, "it says no format");
  if (format > newestFormat) {
    throw new FactlogError(
      "STORE_TOO_NEW",
      `${location.shown} has format ${format}, this version of factlog knows formats up to ${newestFormat}: update factlog.`,
      { details: { format, newest: newestFormat } },
    );
  }
  return {
    format,
    epoch: String(cells.get("epoch")),
    slots: Number(cells.get("slots")),
    kind: cells.get("kind") === "ledger" ? "ledger" : "log",
    life: String(cells.get("life")),
  };
}

function requireWanted(identity: Identity, wanted: Wanted, location: Location): Identity {
  if (identity.kind !== wanted.kind) {
    throw notALog(location, `it holds a ${identity.kind === "log" ? "whole log" : "ledger beside a foreign log"}`);
  }
  if (wanted.slots !== undefined && wanted.slots !== identity.slots) {
    throw new FactlogError(
      "SLOTS_MISMATCH",
      `${location.shown} was created with ${identity.slots} slots, not ${wanted.slots}: the number is fixed; leave the option out.`,
      { details: { slots: identity.slots, wanted: wanted.slots } },
    );
  }
  return identity;
}

function notALog(location: Location, why: string): FactlogError {
  return new FactlogError("NOT_A_LOG", `${location.shown} is no Factlog log (${why}): name another schema.`, {
    details: { store: location.shown },
  });
}
