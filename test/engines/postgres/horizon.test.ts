/** What keeps vacuum from cleaning is seen, and named. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { horizonLines } from "../../../src/cli/commands/status.ts";
import { loadDriver, type Client } from "../../../src/engines/postgres/driver.ts";
import { horizonOf } from "../../../src/engines/postgres/horizon.ts";
import type { Run } from "../../../src/engines/postgres/connection.ts";
import { openLog } from "../../../src/index.ts";
import { sql } from "../../support/postgres.ts";
import { place } from "./support.ts";

async function clientOf(t: TestContext, url: string, name: string): Promise<Client> {
  const { Client } = await loadDriver();
  const client = new Client({ connectionString: url, application_name: name });
  // The database goes first.
  client.on("error", () => undefined);
  await client.connect();
  t.after(() => client.end());
  return client;
}

test("a writer between its statements holds the horizon of its database, and is named", async (t) => {
  const { url, schema } = await place(t);
  await sql(url, `CREATE DATABASE ${schema}`);
  t.after(() => sql(url, `DROP DATABASE ${schema} WITH (FORCE)`));
  const elsewhere = new URL(url);
  elsewhere.pathname = schema;
  const writer = await clientOf(t, elsewhere.href, "night report");
  await writer.query("BEGIN; CREATE TEMP TABLE mine(n int)");
  await sql(url, "SELECT pg_current_xact_id()");
  const none = { behindMax: 0, openMaxMs: 0 };
  const there = await horizonOf(((text: string) => sql(elsewhere.href, text)) as Run, none);
  assert.ok(there.behind >= 1 && there.openMs > 0 && !there.ok, JSON.stringify(there));
  assert.match(there.by!, /^night report \(pid \d+, idle in transaction\)$/u);
  const here = await horizonOf(((text: string) => sql(url, text)) as Run, none);
  assert.doesNotMatch(here.by ?? "", /night report/u);
  await using log = await openLog(elsewhere.href);
  const told = (await log.operator.horizon())!;
  assert.ok(told.ok && told.behind >= there.behind && told.openMs >= there.openMs, JSON.stringify(told));
  const finding = (await log.inspect()).find(({ check }) => check === "horizon")!;
  assert.match(finding.message, /by night report/u);
});

test("status says who holds vacuum back, in one line, and nothing where all is as usual", () => {
  const state = { behind: 12_000_000, openMs: 600_000, by: "night report (pid 7, idle in transaction)", ok: false };
  assert.deepEqual(horizonLines({ ...state, ok: true }), []);
  assert.deepEqual(horizonLines(state), [
    [
      "vacuum cleans nothing: held back for 10 m, 12,000,000 transactions ago, by night report (pid 7, idle in transaction): end it",
      "bad",
    ],
  ]);
});
