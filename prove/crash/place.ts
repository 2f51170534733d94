import { DatabaseSync } from "node:sqlite";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { packagedRelease } from "../../test/support/postgres/binaries.ts";
import { freshPlace, sql } from "../../test/support/postgres.ts";

export type EngineName = "sqlite" | "postgres";

export interface Effect {
  readonly sub: string;
  readonly id: string;
  readonly run: number;
}

/** Where a round takes place: a log, and beside it the table that handlers write. */
export interface Place {
  /** For `openLog`. */
  readonly url: string;
  readonly handle: EngineHandle;
  /** Without any key, so that it would take a row twice. */
  makeEffectTable(): Promise<void>;
  /** In the order in which they came. */
  effects(): Promise<readonly Effect[]>;
  sessions(): Promise<number>;
  /** Ends a random connection of a process of ours. False where there was none. */
  terminateOne(): Promise<boolean>;
  remove(): Promise<void>;
}

export function sqlitePlace(file: string): Place {
  const own = <T>(use: (db: DatabaseSync) => T): T => {
    const db = new DatabaseSync(file, { timeout: 5_000 });
    try {
      return use(db);
    } finally {
      db.close();
    }
  };
  return {
    url: `sqlite:${file}`,
    handle: sqlite(file),
    makeEffectTable: async () =>
      own((db) => db.exec("CREATE TABLE effect(sub TEXT NOT NULL, id TEXT NOT NULL, run INTEGER NOT NULL)")),
    effects: async () =>
      own((db) => db.prepare("SELECT sub, id, run FROM effect ORDER BY rowid").all() as unknown as Effect[]),
    sessions: async () => own((db) => Number(db.prepare("SELECT count(*) AS n FROM factlog_session").get()?.["n"])),
    terminateOne: async () => false,
    remove: async () => {},
  };
}

/** On the server of the tests: one for the whole run. */
export async function postgresPlace(): Promise<Place> {
  const { url, schema, address, handle, remove } = await freshPlace(packagedRelease);
  return {
    url: address,
    handle: handle(),
    makeEffectTable: async () =>
      void (await sql(
        url,
        "CREATE TABLE effect(seq bigserial, sub text NOT NULL, id text NOT NULL, run bigint NOT NULL)",
      )),
    effects: async () =>
      (await sql<[string, string, number]>(url, "SELECT sub, id, run FROM effect ORDER BY seq")).map(
        ([sub, id, run]) => ({ sub, id, run: Number(run) }),
      ),
    sessions: async () => Number((await sql<[string]>(url, `SELECT count(*) FROM ${schema}.session`))[0]![0]),
    terminateOne: async () =>
      (
        await sql(
          url,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name LIKE 'factlog ${schema} %' ORDER BY random() LIMIT 1`,
        )
      ).length === 1,
    remove,
  };
}
