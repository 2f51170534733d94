import { foreignLog, pairing } from "../src/conformance/index.ts";
import type { EngineHandle } from "../src/engine/engine.ts";
import { memory } from "../src/engines/memory/index.ts";
import { Database } from "../src/engines/sqlite/database.ts";
import { SqliteLog } from "../src/engines/sqlite/event-log.ts";
import { inspect } from "../src/engines/sqlite/inspect.ts";
import { SqliteLedger } from "../src/engines/sqlite/ledger.ts";
import { parseLocation } from "../src/engines/sqlite/location.ts";
import { migrate } from "../src/engines/sqlite/migrations.ts";
import { Store } from "../src/engines/sqlite/store.ts";
import type { Env } from "../src/env.ts";
import type { StoreKind } from "./plan.ts";

/** A store that outlives the processes that open it. */
export interface SharedStore {
  readonly handle: EngineHandle;
  /** The SQL database, where there is one: the tables of the user. */
  readonly sql: Sql | undefined;
  close(): void;
}
interface Sql {
  exec(sql: string): void;
  all(sql: string): readonly (readonly unknown[])[];
}

/** One connection for all: each process has its own parts on it, and none of them closes it. */
class SharedDatabase extends Database {
  override close(): void {}
  closeForGood(): void {
    super.close();
  }
}

/**
 * The SQLite engine in memory, opened by several processes. All its transactions run to their end without a pause, so
 * that processes may share the connection: none sees another's half-done work.
 */
function sharedSqlite(env: Env, slots: number, kind: "log" | "ledger"): SharedStore {
  const location = parseLocation(":memory:");
  const database = new SharedDatabase(location.path);
  const identity = migrate(database, { kind, slots, slotsDefault: slots }, env, location.path);
  database.guardOwnTables();
  const openStore = (process: Env): Store => new Store(database, process, location, identity);
  return {
    handle: {
      identity: "sqlite:shared",
      async open(process) {
        const store = openStore(process);
        return {
          log: new SqliteLog(store),
          ledger: new SqliteLedger(store, { sharesLog: true, slots }),
          description: "sqlite in memory, shared",
          inspect: () => inspect(store),
        };
      },
      async openLedger(process) {
        return new SqliteLedger(openStore(process), { sharesLog: false, slots });
      },
    },
    sql: { exec: (sql) => database.exec(sql), all: (sql) => database.prepare(sql).all() },
    close: () => database.closeForGood(),
  };
}

export function storeOf(kind: StoreKind, env: Env, slots: number): SharedStore {
  switch (kind) {
    case "memory":
      return { handle: memory({ slots, name: "shared" }), sql: undefined, close: () => {} };
    case "sqlite":
      return sharedSqlite(env, slots, "log");
    case "foreign+memory":
      return {
        handle: pairing(foreignLog({ slots }), memory({ slots, name: "shared" })),
        sql: undefined,
        close: () => {},
      };
    case "foreign+sqlite": {
      const ledger = sharedSqlite(env, slots, "ledger");
      return { ...ledger, handle: pairing(foreignLog({ slots }), ledger.handle), sql: ledger.sql };
    }
  }
}
