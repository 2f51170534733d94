/** `ctx.write` on PostgreSQL: what it may do, and what it may not. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { effects, progress } from "../../../src/conformance/build.ts";
import { subjectOf } from "../../../src/conformance/index.ts";
import { scene, type Scene } from "../../../src/conformance/worker.ts";
import type { Recorded, SqlStatement } from "../../../src/engine/ledger.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { place } from "./support.ts";

type Writes = Scene & { readonly where: Place; readonly write: (...statements: SqlStatement[]) => Promise<Recorded> };

async function writing(t: TestContext): Promise<Writes> {
  const where = await place(t);
  await sql(where.url, "CREATE TABLE orders(id int PRIMARY KEY, note text, at timestamptz, raw bytea, ok boolean)");
  const subject = subjectOf(where.handle({ slots: 4 }));
  t.after(() => subject.close());
  const here = await scene(subject);
  let low = 0;
  const write = async (...writes: SqlStatement[]): Promise<Recorded> => {
    const given = { low: ++low, outcomes: { done: 1 }, effects: [effects(low, { writes })] };
    return here.worker.settle(progress(here.lease, given));
  };
  return { ...here, where, write };
}
const statement = (text: TemplateStringsArray, ...values: unknown[]): SqlStatement => ({ text: [...text], values });
const plain = (text: string): SqlStatement => ({ text: [text], values: [] });

test("values of every kind reach their columns", async (t) => {
  const { write, where } = await writing(t);
  const [at, raw] = [new Date(1_700_000_000_000), new Uint8Array([0, 255])];
  const done = await write(statement`INSERT INTO orders VALUES (${1}, ${"it's"}, ${at}, ${raw}, ${true})`);
  assert.equal(done.status, "ok");
  const rows = await sql<[number, string, Date, Buffer, boolean]>(where.url, "SELECT * FROM orders");
  assert.deepEqual(rows, [[1, "it's", at, Buffer.from(raw), true]]);
});

test("what it may not do is refused, and leaves nothing", async (t) => {
  const { write, where } = await writing(t);
  const { schema } = where;
  const refused = [
    "COMMIT",
    "  /* so */ -- there\n rollback",
    "BEGIN",
    "SAVEPOINT x",
    "SET search_path = x",
    "LISTEN x",
    "INSERT INTO orders VALUES (5); COMMIT",
    `UPDATE ${schema}.slot SET low = 0`,
    `DELETE FROM ${schema}.event`,
    `TRUNCATE ${schema}.event`,
    `DROP TABLE ${schema}.event`,
    `ALTER TABLE "${schema}".event ADD COLUMN x int`,
    `WITH x AS (DELETE FROM ${schema}.meta RETURNING 1) SELECT * FROM x`,
    `SELECT ${schema}.raise_head(0, 99, 'x')`,
  ];
  for (const text of refused) {
    const answer = await write(plain("INSERT INTO orders VALUES (7)"), plain(text));
    assert.equal(answer.status, "refused", text);
    assert.equal((answer.refused!.error as { code?: string }).code, "NOT_SUPPORTED", text);
  }
  assert.deepEqual(await sql(where.url, "SELECT * FROM orders"), []);
  assert.equal((await write(plain(`SELECT * FROM ${schema}.event`))).status, "ok");
});

test("a constraint that is put off until the end is looked at with its own change", async (t) => {
  const { write, where } = await writing(t);
  await sql(where.url, "CREATE TABLE lines(order_id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED)");
  const answer = await write(plain("INSERT INTO lines VALUES (404)"));
  assert.equal(answer.status, "refused");
  assert.equal(
    (await write(plain("INSERT INTO lines VALUES (1)"), plain("INSERT INTO orders VALUES (1)"))).status,
    "ok",
  );
});

test("a value that is none is refused", async (t) => {
  const { write } = await writing(t);
  const answer = await write(statement`INSERT INTO orders VALUES (${undefined})`);
  assert.equal((answer.refused!.error as { code?: string }).code, "INVALID_OPTION");
});
