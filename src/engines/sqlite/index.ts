import { resolve } from "node:path";
import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Engine, EngineHandle } from "../../engine/engine.ts";
import { SqliteLog } from "./event-log.ts";
import { inspect } from "./inspect.ts";
import { SqliteLedger } from "./ledger.ts";
import { parseLocation } from "./location.ts";
import { openStore, type Store } from "./store.ts";

export { sqliteStore, type SqliteTx } from "./sqlite-store.ts";
export type { Store } from "../../app/store.ts";

export interface SqliteOptions {
  /** Slots of a new log, 1 to 4096; default 64. A log that exists must have this number: SLOTS_MISMATCH. */
  readonly slots?: number;
}

const slotsMax = 4_096;

/**
 * Both ports over one SQLite file. `pathOrUrl` is a path, "sqlite:PATH", a "file:" URL, or ":memory:" (gone when it is
 * closed). The file and its log are made by the first `open`; its directory must be there.
 */
export function sqlite(pathOrUrl: string, options: SqliteOptions = {}): EngineHandle {
  const { slots } = options;
  if (slots !== undefined && !(Number.isInteger(slots) && slots >= 1 && slots <= slotsMax)) {
    throw new FactlogError("INVALID_OPTION", `slots is ${slots}: give a whole number from 1 to ${slotsMax}.`);
  }
  const location = parseLocation(pathOrUrl);
  return {
    identity: location.inMemory ? `sqlite:memory:${++unnamed}` : `sqlite:${location.path}`,
    async open(env) {
      return engineOf(await openStore(env, pathOrUrl, { kind: "log", slots, slotsDefault: limits.slots }));
    },
    async openLedger(env, log) {
      const { slots: logSlots } = log.capabilities;
      const store = await openStore(env, pathOrUrl, { kind: "ledger", slots: logSlots, slotsDefault: logSlots });
      return new SqliteLedger(store, { sharesLog: false, slots: logSlots });
    },
  };
}

function engineOf(store: Store): Engine {
  return {
    log: new SqliteLog(store),
    ledger: new SqliteLedger(store, { sharesLog: true, slots: store.identity.slots }),
    description: `${store.location.inMemory ? "sqlite in memory  not durable" : `sqlite:${resolve(store.location.path)}  durable (WAL, FULL)`}`,
    deltas: store.deltas,
    inspect: () => inspect(store),
  };
}

/** Numbers the handles of stores in memory. */
let unnamed = 0;
