import type { TestContext } from "node:test";
import type { Engine } from "../../../src/engine/engine.ts";
import { loadDriver } from "../../../src/engines/postgres/driver.ts";
import type { PostgresOptions } from "../../../src/engines/postgres/index.ts";
import { realEnv, type Env } from "../../../src/env.ts";
import { freshPlace, sql, type Place } from "../../support/postgres.ts";

/** A place that goes with the test. */
export async function place(t: TestContext): Promise<Place> {
  const fresh = await freshPlace();
  t.after(() => fresh.remove());
  return fresh;
}

export async function openEngine(
  t: TestContext,
  { handle }: Place,
  options: Partial<PostgresOptions> & { readonly env?: Env } = {},
): Promise<Engine> {
  const { env = realEnv, ...rest } = options;
  const engine = await handle(rest).open(env);
  t.after(() => closeEngine(engine));
  return engine;
}

export async function closeEngine({ log, ledger }: Engine): Promise<void> {
  await ledger.close();
  await log.close();
}

/** Backends of the engines that have a place open, by what they are for. */
export async function backends({ url, schema }: Place, role: string): Promise<number[]> {
  const rows = await sql<[number]>(
    url,
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'factlog ' || $1 || ' %' AND application_name LIKE '% ' || $2",
    [schema, role],
  );
  return rows.map(([pid]) => pid);
}

export const terminate = (url: string, pid: number): Promise<unknown> =>
  sql(url, "SELECT pg_terminate_backend($1, 5000)", [pid]);
export const cancel = (url: string, pid: number): Promise<unknown> => sql(url, "SELECT pg_cancel_backend($1)", [pid]);

/** Runs an act that meets a locked row of a table, and lets `meddle` happen to its backend while it waits; gives what it came to. */
export async function blocked(
  { url, schema }: Place,
  role: string,
  table: string,
  act: () => Promise<unknown>,
  meddle: (url: string, pid: number) => Promise<unknown>,
): Promise<unknown> {
  const { Client } = await loadDriver();
  const locker = new Client({ connectionString: url });
  await locker.connect();
  await locker.query(`BEGIN; SELECT 1 FROM ${schema}.${table} FOR UPDATE`);
  try {
    const acting = act().catch((error: unknown) => error);
    let waiting: number | undefined;
    while (waiting === undefined) {
      const rows = await sql<[number]>(
        url,
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'factlog ' || $1 || ' % ' || $2 AND wait_event_type = 'Lock'",
        [schema, role],
      );
      waiting = rows[0]?.[0];
    }
    await meddle(url, waiting);
    await locker.query("ROLLBACK");
    return await acting;
  } finally {
    await locker.end();
  }
}
