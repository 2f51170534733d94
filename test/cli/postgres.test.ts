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
