/** The command line over a PostgreSQL log: the address is all that differs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyFolder, factlog, objectsIn, order } from "../support/cli.ts";
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
