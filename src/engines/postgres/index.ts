import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Engine, EngineHandle } from "../../engine/engine.ts";
import { PostgresLog } from "./event-log.ts";
import { horizonOf } from "./horizon.ts";
import { inspect } from "./inspect.ts";
import { PostgresLedger } from "./ledger.ts";
import { type Location, locationOfPool, parseLocation } from "./location.ts";
import { logExists, openStore, type Store } from "./store.ts";

interface SchemaOptions {
  /** The log's own schema, default "factlog"; it is made by the first `open`. Also as the URL's parameter `schema`. */
  readonly schema?: string;
  /** Slots of a new log, 1 to 4096; default 64. A log that exists must have this number: SLOTS_MISMATCH. */
  readonly slots?: number;
}
export interface PostgresUrlOptions extends SchemaOptions {
  /** "postgres://user@host:5432/database"; parameters as `pg` takes them (sslmode, host of a socket, options). */
  readonly url: string;
}
export interface PostgresPoolOptions extends SchemaOptions {
  /**
   * A `Pool` of `pg` that leads to the database. The log learns from it how to connect, and makes connections of its own; it
   * takes none of the pool's.
   */
  readonly pool: object;
}
export type PostgresOptions = PostgresUrlOptions | PostgresPoolOptions;

export { pgStore, type PgTx } from "./pg-store.ts";
export type { Store } from "../../app/store.ts";

const slotsMax = 4_096;

/**
 * Both ports over one schema of a PostgreSQL database, 14 or newer. Needs the package `pg`, which is loaded by the first
 * `open`; a process holds up to five connections.
 */
export function postgres(urlOrOptions: string | PostgresOptions): EngineHandle {
  const options: PostgresOptions = typeof urlOrOptions === "string" ? { url: urlOrOptions } : urlOrOptions;
  const { slots } = options;
  if (slots !== undefined && !(Number.isInteger(slots) && slots >= 1 && slots <= slotsMax)) {
    throw new FactlogError("INVALID_OPTION", `slots is ${slots}: give a whole number from 1 to ${slotsMax}.`);
  }
  const location = locationOf(options);
  return {
    identity: location.shown,
    exists: (env) => logExists(env, location),
    async open(env) {
      return engineOf(await openStore(env, location, { kind: "log", slots, slotsDefault: limits.slots }));
    },
    async openLedger(env, log) {
      const { slots: logSlots } = log.capabilities;
      const store = await openStore(env, location, { kind: "ledger", slots: logSlots, slotsDefault: logSlots });
      return new PostgresLedger(store, { sharesLog: false, slots: logSlots });
    },
  };
}

function locationOf({ url, pool, schema }: Partial<PostgresUrlOptions & PostgresPoolOptions>): Location {
  if (url !== undefined && pool === undefined) return parseLocation(url, schema);
  if (url === undefined && pool !== undefined) return locationOfPool(pool, schema);
  throw new FactlogError("INVALID_OPTION", "postgres takes either a url or a pool.");
}

function engineOf(store: Store): Engine {
  return {
    log: new PostgresLog(store),
    ledger: new PostgresLedger(store, { sharesLog: true, slots: store.identity.slots }),
    description: `${store.location.shown}  durable (synchronous_commit)`,
    deltas: store.deltas,
    inspect: () => inspect(store),
    horizon: () => store.read((run) => horizonOf(run)),
  };
}
