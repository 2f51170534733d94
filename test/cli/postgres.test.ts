/** The command line over a PostgreSQL log: the address is all that differs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyFolder, factlog, objectsIn, order, type Ran } from "../support/cli.ts";
import { freshPlace, sql } from "../support/postgres.ts";

test("publish, tail, status and doctor work on FACTLOG_URL; looking makes no log", async (t) => {
  const { address, url, schema, remove } = await freshPlace();
  t.after(remove);
  const cwd = emptyFolder(t);
  const env = { FACTLOG_URL: address };
  const missing = await factlog(t, ["status"], { cwd, env });
  assert.match(missing.stderr, /^NOT_FOUND/u);
  assert.deepEqual(await sql(url, "SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]), []);

  await factlog(t, ["init"], { cwd });
  const published = await factlog(t, ["publish", "OrderPlaced", order("o-1")], { cwd, env });
  assert.match(published.stdout, /^o-1 stored at 1 /u, published.stderr);
  const tail = await factlog(t, ["tail", "--json"], { cwd, env });
  assert.equal(objectsIn(tail.stdout).length, 1, tail.stderr);
  const doctor = await factlog(t, ["doctor"], { cwd, env });
  assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
  assert.match(doctor.stdout, /PostgreSQL \d+/u);
});

test("a log moves from SQLite to PostgreSQL: same ids in the same order, and only what comes later is delivered", async (t) => {
  const { address, remove } = await freshPlace();
  t.after(remove);
  const cwd = emptyFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const moved = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd, env: { FACTLOG_URL: address } });
  await run("init");
  for (const id of ["o-1", "o-2", "o-3"]) await run("publish", "OrderPlaced", order(id));
  await run("start", "app.ts", "--once");
  await run("export", "shop.ndjson");
  assert.match((await moved("import", "shop.ndjson")).stdout, /3 events stored$/mu);
  const idsOf = ({ stdout }: Ran): unknown[] => objectsIn(stdout).map(({ id }) => id);
  assert.deepEqual(idsOf(await moved("tail", "--json")), idsOf(await run("tail", "--json")));
  assert.equal((await moved("subscription", "create", "warehouse", "--from", "now")).code, 0);
  await moved("publish", "OrderPlaced", order("o-4"));
  const worked = await moved("start", "app.ts", "--once", "--json");
  assert.equal(worked.code, 0, worked.stderr);
  const [status] = objectsIn((await moved("status", "--json")).stdout) as unknown as [
    { subscriptions: { closed: number; depth: number }[] },
  ];
  assert.deepEqual([status.subscriptions[0]?.closed, status.subscriptions[0]?.depth], [1, 0]);
  assert.equal((await moved("doctor")).code, 0);
});

test("status and doctor show what waits in the outbox and what was refused; a worker empties it", async (t) => {
  const { address, url, schema, remove } = await freshPlace();
  t.after(remove);
  const cwd = emptyFolder(t);
  const env = { FACTLOG_URL: address };
  await factlog(t, ["init"], { cwd });
  await factlog(t, ["start", "app.ts", "--once"], { cwd, env });
  await factlog(t, ["publish", "OrderPlaced", order("o-1")], { cwd, env });
  const inSql = `SELECT ${schema}.publish('OrderPlaced', $1, $2, $1, source => $3)`;
  const stored = await sql<[string]>(url, `SELECT name FROM ${schema}.source`);
  await sql(url, inSql, ["o-1", "{}", stored[0]![0]]);
  await sql(url, inSql, ["o-2", order("o-2"), stored[0]![0]]);
  const before = await factlog(t, ["status", "--json"], { cwd, env });
  const [{ outbox }] = objectsIn(before.stdout) as unknown as [{ outbox: Record<string, number> }];
  assert.deepEqual([outbox["depth"], outbox["refused"]], [2, 0]);
  assert.match((await factlog(t, ["status"], { cwd, env })).stdout, /^outbox: 2 events waiting, the oldest for /mu);
  const worked = await factlog(t, ["start", "app.ts", "--once"], { cwd, env });
  assert.equal(worked.code, 0, worked.stderr);
  const after = await factlog(t, ["status"], { cwd, env });
  assert.match(after.stdout, /^outbox: 1 event refused: factlog doctor names them/mu);
  const doctor = await factlog(t, ["doctor"], { cwd, env });
  assert.match(doctor.stdout, /not ok {2}outbox: 0 waiting; 1 refused; seq 1: OrderPlaced "o-1" of .*ID_CONFLICT/u);
  assert.notEqual(doctor.code, 0);
});
