/** Where a run keeps its log and the shop's own tables: one SQLite file, or two schemas of a PostgreSQL database. */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { createTables, selects, type Tables } from "./tables.ts";

export interface Database {
  /** For `openLog`. */
  readonly url: string;
  /** Of a further log beside it, for `openLog`. */
  logNamed(name: "research"): string;
  create(): Promise<void>;
  read(): Promise<Tables>;
  /** What is left of it beside the run's folder. */
  remove(): Promise<void>;
}

export function databaseIn(folder: string, server: string | undefined): Database {
  return server === undefined ? sqliteDatabase(join(folder, "shop.db")) : postgresDatabase(server);
}

function sqliteDatabase(path: string): Database {
  return {
    url: `sqlite:${path}`,
    logNamed: (name) => `sqlite:${join(dirname(path), `${name}.db`)}`,
    async create() {
      const database = new DatabaseSync(path);
      database.exec(createTables);
      database.close();
    },
    async read() {
      const database = new DatabaseSync(path, { readOnly: true });
      const all = (query: string): never => database.prepare(`${query} order by rowid`).all() as never;
      try {
        return { loyalty: all(selects.loyalty), letters: all(selects.letters), forecast: all(selects.forecast) };
      } finally {
        database.close();
      }
    },
    async remove() {},
  };
}

/** Schemas of a run's own: several runs may share a database. */
function postgresDatabase(server: string): Database {
  const name = `factlog_shop_${randomBytes(4).toString("hex")}`;
  const url = new URL(server);
  url.searchParams.set("options", `-c search_path=${name}`);
  url.searchParams.set("schema", `${name}_log`);
  const own = new URL(server);
  own.searchParams.delete("schema");
  const run = async <T>(use: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = new pg.Client({ connectionString: own.href });
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  };
  return {
    url: url.href,
    logNamed(part) {
      const other = new URL(url);
      other.searchParams.set("schema", `${name}_${part}`);
      return other.href;
    },
    create: () =>
      run(async (client) => {
        // Where rows stand says nothing of when they came: vacuum makes room anywhere.
        const tables = createTables.replaceAll(" (", " (n bigserial, ");
        await client.query(`create schema ${name}; set search_path = ${name}; ${tables}`);
      }),
    read: () =>
      run(async (client) => {
        await client.query(`set search_path = ${name}`);
        const all = async (query: string): Promise<never> => (await client.query(`${query} order by n`)).rows as never;
        return {
          loyalty: await all(selects.loyalty),
          letters: await all(selects.letters),
          forecast: await all(selects.forecast),
        };
      }),
    remove: () =>
      run(
        async (client) =>
          void (await client.query(`drop schema if exists ${name}, ${name}_log, ${name}_research cascade`)),
      ),
  };
}
