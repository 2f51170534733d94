/** `ctx.write` in the store's own file: what it may do, and what happens to the rest where it may not. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { suite, test, type TestContext } from "node:test";
import { codeOf, effects, event, idsOf, progress, readAll, tallyOf } from "../../../src/conformance/build.ts";
import { subjectOf } from "../../../src/conformance/index.ts";
import { scene, type Scene } from "../../../src/conformance/worker.ts";
import { sqlite } from "../../../src/engines/sqlite/index.ts";
import type { Recorded, SqlStatement } from "../../../src/engine/ledger.ts";
import { realEnv } from "../../../src/env.ts";
import { place } from "./support.ts";

const sql = (text: string, ...values: unknown[]): SqlStatement => ({ text: text.split("?"), values });

async function sceneIn(t: TestContext): Promise<Scene & { readonly path: string }> {
  const path = place(t);
  const subject = subjectOf(sqlite(path));
  t.after(() => subject.close());
  return { ...(await scene(subject)), path };
}

/** Closes one delivery of slot 0 with these statements. */
function closing({ lease }: Scene, position: number, ...writes: readonly SqlStatement[]): ReturnType<typeof progress> {
  return progress(lease, { low: position, outcomes: { done: 1 }, effects: [effects(position, { writes })] });
}

function rowsOf(path: string, query: string): unknown[][] {
  const db = new DatabaseSync(path, { readOnly: true, returnArrays: true });
  try {
    return db.prepare(query).all() as unknown as unknown[][];
  } finally {
    db.close();
  }
}

suite("statements", () => {
  test("take values of every kind that SQLite has", async (t) => {
    const here = await sceneIn(t);
    const values = [new Date(0), "text ' quoted", 1.5, 7, null, true, 9_007_199_254_740_993n, new Uint8Array([1, 2])];
    const recorded = await here.worker.settle(
      closing(
        here,
        1,
        sql("CREATE TABLE kept(at, a, b, c, d, e, f, g)"),
        sql("INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ...values),
      ),
    );
    assert.equal(recorded.status, "ok");
    const [row] = rowsOf(here.path, "SELECT at, a, b, c, d, e, CAST(f AS TEXT), hex(g) FROM kept");
    assert.deepEqual(row, ["1970-01-01T00:00:00.000Z", "text ' quoted", 1.5, 7, null, 1, "9007199254740993", "0102"]);
  });

  test("are prepared once and run often", async (t) => {
    const here = await sceneIn(t);
    await here.worker.settle(closing(here, 1, sql("CREATE TABLE kept(n)")));
    for (let n = 2; n < 20; n++) await here.worker.settle(closing(here, n, sql("INSERT INTO kept VALUES (?)", n)));
    await here.worker.settle(closing(here, 20, sql("ALTER TABLE kept ADD COLUMN m")));
    await here.worker.settle(closing(here, 21, sql("INSERT INTO kept(n) VALUES (?)", 21)));
    assert.deepEqual(rowsOf(here.path, "SELECT count(*) FROM kept"), [[19]]);
  });

  test("may read what is ours", async (t) => {
    const here = await sceneIn(t);
    await here.worker.engine.log.append([event()]);
    await here.worker.settle(closing(here, 1, sql("CREATE TABLE kept AS SELECT position FROM factlog_event")));
    assert.deepEqual(rowsOf(here.path, "SELECT position FROM kept"), [[1]]);
  });

  test("triggers on the user's tables run", async (t) => {
    const here = await sceneIn(t);
    const make = [
      "CREATE TABLE a(n)",
      "CREATE TABLE b(n)",
      "CREATE TRIGGER copy AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.n); END",
    ];
    await here.worker.settle(closing(here, 1, ...make.map((text) => sql(text)), sql("INSERT INTO a VALUES (?)", 5)));
    assert.deepEqual(rowsOf(here.path, "SELECT n FROM b"), [[5]]);
  });
});

/** Refused, with nothing changed: not the row before it, not the progress, not the log. */
async function refusedBy(t: TestContext, statement: SqlStatement): Promise<Recorded> {
  const here = await sceneIn(t);
  await here.worker.settle(closing(here, 1, sql("CREATE TABLE kept(n UNIQUE)"), sql("INSERT INTO kept VALUES (0)")));
  const emits = [event()];
  const change = progress(here.lease, {
    low: 7,
    outcomes: { done: 2 },
    effects: [effects(3, { writes: [sql("INSERT INTO kept VALUES (1)")] }), effects(4, { emits, writes: [statement] })],
  });
  const neighbour = closing(here, 8, sql("INSERT INTO kept VALUES (8)"));
  const append = here.worker.engine.log.append([event({ id: "neighbour" })]);
  const [recorded, other] = await here.worker.record(change, neighbour);
  assert.deepEqual([recorded!.status, recorded!.refused?.position, other!.status], ["refused", 4, "ok"]);
  assert.deepEqual(rowsOf(here.path, "SELECT n FROM kept"), [[0], [8]]);
  assert.equal((await append)[0]!.duplicate, false);
  assert.deepEqual(idsOf(await readAll(here.worker.engine.log)), ["neighbour"]);
  const tally = await tallyOf(here.ledger, here.sub);
  assert.equal(tally.slots[0]!.low, 8);
  assert.equal(tally.slots[0]!.matched, 2);
  assert.ok((await here.worker.engine.inspect()).every(({ check, ok }) => ok || check === "conservation"));
  return recorded!;
}

suite("refused, and only what belongs to it rolled back", () => {
  const ours = [
    "INSERT INTO factlog_event(position) VALUES (9)",
    "UPDATE factlog_slot SET low = 0",
    "DELETE FROM Factlog_Event",
    "DROP TABLE factlog_event",
    "DROP INDEX factlog_event_id",
    "CREATE INDEX mine ON factlog_event(key)",
    "CREATE TRIGGER mine AFTER INSERT ON factlog_event BEGIN SELECT 1; END",
    "ALTER TABLE factlog_event RENAME TO mine",
    "CREATE TABLE factlog_mine(a)",
  ];
  for (const text of ours) {
    test(`what is ours: ${text}`, async (t) => {
      const { refused } = await refusedBy(t, sql(text));
      assert.equal((refused!.error as { code: string }).code, "NOT_SUPPORTED");
    });
  }

  for (const text of [
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT mine",
    "RELEASE change",
    "ATTACH 'other.db' AS other",
    "PRAGMA synchronous = OFF",
  ]) {
    test(`what is not for a handler: ${text}`, async (t) => {
      const { refused } = await refusedBy(t, sql(text));
      assert.equal((refused!.error as { code: string }).code, "NOT_SUPPORTED");
    });
  }

  test("two statements in one", async (t) => {
    const { refused } = await refusedBy(t, sql("INSERT INTO kept VALUES (2); DELETE FROM kept"));
    assert.equal((refused!.error as { code: string }).code, "NOT_SUPPORTED");
  });

  test("a value that SQLite does not have", async (t) => {
    const { refused } = await refusedBy(t, sql("INSERT INTO kept VALUES (?)", undefined));
    assert.equal((refused!.error as { code: string }).code, "INVALID_OPTION");
  });

  test("a statement that is wrong", async (t) => {
    const { refused } = await refusedBy(t, sql("INSERT INTO nowhere VALUES (1)"));
    assert.match(String(refused!.error), /no such table: nowhere/);
  });

  test("a broken constraint", async (t) => {
    const { refused } = await refusedBy(t, sql("INSERT INTO kept VALUES (0)"));
    assert.match(String(refused!.error), /UNIQUE constraint failed/);
  });

  test("a statement that rolls the whole transaction back", async (t) => {
    const { refused } = await refusedBy(t, sql("INSERT OR ROLLBACK INTO kept VALUES (0)"));
    assert.match(String(refused!.error), /UNIQUE constraint failed/);
  });
});

test("progress with writes survives the process", async (t) => {
  const here = await sceneIn(t);
  await here.worker.settle(closing(here, 1, sql("CREATE TABLE kept(n)"), sql("INSERT INTO kept VALUES (1)")));
  const other = await sqlite(here.path).open(realEnv);
  assert.equal((await tallyOf(other.ledger, here.sub)).slots[0]!.low, 1);
  await other.ledger.close();
  assert.equal(await codeOf(other.log.close()), "resolved");
});
