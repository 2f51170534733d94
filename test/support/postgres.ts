/** Real servers for the tests: one of each release per run of `npm test`, and a schema or database of its own per store. */
import { once } from "node:events";
import { connect } from "node:net";
import { postgres, type PostgresUrlOptions } from "../../src/engines/postgres/index.ts";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { loadDriver } from "../../src/engines/postgres/driver.ts";
import { releases } from "./postgres/binaries.ts";
import { Keeper, keeperVariable } from "./postgres/keeper.ts";

/** FACTLOG_POSTGRES: "newest" or "all" of the releases that are here; "none", which `npm test` says. Set by it. */
const wanted = process.env["FACTLOG_POSTGRES"];
export const serverNames: readonly string[] = releases
  .map(({ name }) => name)
  .slice(0, wanted === "all" ? undefined : wanted === "newest" ? 1 : 0);

let own: Keeper | undefined;

/** The address of the shared server of that release. */
export async function serverUrl(name: string = serverNames[0]!): Promise<string> {
  const port = process.env[keeperVariable];
  if (port === undefined) return (own ??= new Keeper()).url(name);
  const socket = connect(Number(port), "127.0.0.1").setEncoding("utf8");
  socket.write(name);
  let answer = "";
  socket.on("data", (text: string) => (answer += text));
  await once(socket, "close");
  if (!answer.startsWith("postgres:")) throw new Error(answer);
  return answer;
}

/** Runs SQL on a connection of its own. */
export async function sql<Row extends readonly unknown[]>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { Client } = await loadDriver();
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const query = { text, rowMode: "array" as const };
    return (await client.query(values.length === 0 ? query : { ...query, values })).rows as Row[];
  } finally {
    await client.end();
  }
}

let places = 0;

/** A store in two fresh schemas: one for the log, one for tables of the user. */
export interface Place {
  readonly url: string;
  readonly schema: string;
  /** The log by its address alone. */
  readonly address: string;
  readonly handle: (options?: Partial<PostgresUrlOptions>) => EngineHandle;
  readonly remove: () => Promise<void>;
}

export async function freshPlace(name?: string): Promise<Place> {
  const server = await serverUrl(name);
  const schema = `t${process.pid}_${++places}`;
  const tables = `${schema}_tables`;
  await sql(server, `CREATE SCHEMA ${tables}`);
  const url = `${server}?options=${encodeURIComponent(`-c search_path=${tables}`)}`;
  return {
    url,
    schema,
    address: `${url}&schema=${schema}`,
    handle: (options = {}) => postgres({ url, schema, ...options }),
    remove: async () =>
      void (await sql(server, `DROP SCHEMA IF EXISTS ${schema} CASCADE; DROP SCHEMA ${tables} CASCADE`)),
  };
}
