/** Read models: what they hold, who may make them, and what readers see. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memory } from "../../src/engines/memory/index.ts";
import { defineApp, defineProjection, sql } from "../../src/index.ts";
import { engines, type LoggedLine, loggerTo, open, Order, unwell } from "./support.ts";

const sqlEngines = engines.filter(({ name }) => name !== "memory");

const sums = (version = 1, factor = 1) =>
  defineProjection(
    "sums",
    {
      on: Order,
      version,
      tables: ["sums"],
      create: (t) => [
        sql`create table ${t.sums} (k text primary key, n integer not null, last integer not null)`,
        sql`create index ${t.sums}_by_n on ${t.sums} (n)`,
      ],
    },
    ({ data }, ctx) => {
      ctx.write(
        sql`insert into ${ctx.tables.sums} as s values (${data.key}, ${factor * data.n}, ${data.n})
            on conflict (k) do update set n = s.n + excluded.n, last = excluded.last`,
      );
    },
  );
const orders = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => Order({ key: `k${(from + i) % 7}`, n: from + i }));
const expected = (count: number, factor = 1) =>
  Array.from({ length: 7 }, (_, key) => {
    const ns = Array.from({ length: count }, (_, n) => n).filter((n) => n % 7 === key);
    return { k: `k${key}`, n: factor * ns.reduce((a, b) => a + b, 0), last: ns.at(-1) };
  });
const rows = sql`select k, n, last from sums order by k`;

for (const engine of sqlEngines) {
  test(`${engine.name}: a projection starts at the beginning, and each event is in its tables once`, async () => {
    await using log = await open(engine.fresh());
    await log.publishAll(orders(300));
    const app = defineApp({ name: "t", subscriptions: [sums()] });
    const { drained } = await log.drain(app);
    assert.equal(drained, true);
    await log.publishAll(orders(200, 300));
    await log.drain(app);
    assert.deepEqual(await log.query(rows), expected(500));
    assert.deepEqual(await unwell(log), []);
  });

  test(`${engine.name}: caughtUp answers when the tables show the event`, async () => {
    await using log = await open(engine.fresh());
    const projection = sums();
    await assert.rejects(log.caughtUp(projection, { id: "x", correlationId: "x" }, { timeout: 5 }), {
      code: "NOT_FOUND",
    });
    const worker = await log.work(defineApp({ name: "t", subscriptions: [projection] }));
    for (let n = 0; n < 50; n++) {
      const receipt = await log.publish(Order({ key: "one", n }));
      await log.caughtUp(projection, n % 2 === 0 ? receipt : receipt.position!, { timeout: "10s" });
      assert.deepEqual(await log.query(sql`select last from sums where k = ${"one"}`), [{ last: n }]);
    }
    const receipt = await log.publish(Order({ key: "one", n: 50 }));
    const { position: _, ...placeless } = receipt;
    await log.caughtUp(projection, placeless, { timeout: "10s" });
    // One id of two sources: it is told by its correlation, and awaited where that is still to come.
    for (const source of ["a", "b"])
      await log.publish(Order({ key: "one", n: 50 }, { id: "same", source, correlationId: `of ${source}` }));
    await log.caughtUp(projection, { id: "same", correlationId: "of b" }, { timeout: "10s" });
    await assert.rejects(log.caughtUp(projection, { id: "same", correlationId: "of c" }, { timeout: 20 }), {
      code: "TIMEOUT",
    });
    await worker.stop();
    const late = await log.publish(Order({ key: "one", n: 51 }));
    await assert.rejects(log.caughtUp(projection, late, { timeout: 20 }), { code: "TIMEOUT" });
  });

  test(`${engine.name}: a newer version is filled beside, and takes the views over`, async () => {
    await using log = await open(engine.fresh());
    await log.publishAll(orders(500));
    await log.drain(defineApp({ name: "t", subscriptions: [sums()] }));
    assert.deepEqual(await log.query(rows), expected(500));
    await log.drain(defineApp({ name: "t", subscriptions: [sums(2, 10)] }));
    assert.deepEqual(await log.query(rows), expected(500, 10));
    assert.deepEqual(
      (await log.operator.status()).map(({ name, dead }) => [name, dead]),
      [["sums", 0]],
    );
    await assert.rejects(log.query(sql`select * from sums__1`));
    await log.publishAll(orders(100, 500));
    await log.drain(defineApp({ name: "t", subscriptions: [sums(2, 10)] }));
    assert.deepEqual(await log.query(rows), expected(600, 10));
    assert.deepEqual(await unwell(log), []);
  });

  test(`${engine.name}: query only reads`, async () => {
    await using log = await open(engine.fresh());
    await log.drain(defineApp({ name: "t", subscriptions: [sums()] }));
    for (const statement of [sql`delete from sums__1`, sql`drop view sums`, sql`create table x (a integer)`])
      await assert.rejects(log.query(statement), { code: "NOT_SUPPORTED" });
  });

  test(`${engine.name}: what a projection cannot be is said, and nothing is made`, async () => {
    const handle = engine.fresh();
    await using log = await open(handle);
    const drain = (...subscriptions: Parameters<typeof defineApp>[0]["subscriptions"]) =>
      log.drain(defineApp({ name: "t", subscriptions }));
    const broken = define("broken", ["t1", "t2"], (t) => [
      sql`create table ${t["t1"]!} (a integer)`,
      sql`create table ${t["t2"]!} (a integer,)`,
    ]);
    await assert.rejects(drain(broken), { code: "INVALID_DEFINITION", message: /create.*failed.*syntax/u });
    const forgetful = define("broken", ["t1", "t2"], (t) => [sql`create table ${t["t1"]!} (a integer)`]);
    await assert.rejects(drain(forgetful), { code: "INVALID_DEFINITION", message: /makes no table t2/u });
    assert.deepEqual(await log.operator.status(), []);
    await drain(define("first", ["t1"]));
    await assert.rejects(drain(define("second", ["t1"])), { code: "CONFLICT", message: /t1 is there already/u });
    await assert.rejects(drain(define("second", ["t1__1"])), { code: "CONFLICT" });
    const changed = define("first", ["t1"], (t) => [sql`create table ${t["t1"]!} (b integer)`]);
    await assert.rejects(drain(changed), { code: "INVALID_DEFINITION", message: /raise `version`/u });
    assert.deepEqual(
      (await log.operator.status()).map(({ name }) => name),
      ["first"],
    );
    await assert.rejects(
      log.query(sql`select * from nowhere`),
      (error: Error) => /nowhere/u.test(error.message) && !/not whole/u.test(error.message),
    );
    await log.publish(Order({ key: "k", n: 1 }));
  });

  test(`${engine.name}: what apply throws is tried again, and then the projection stops, loudly`, async () => {
    const lines: LoggedLine[] = [];
    await using log = await open(engine.fresh(), { logger: loggerTo(lines) });
    let broken = true;
    let runs = 0;
    const picky = defineProjection(
      "picky",
      {
        on: Order,
        version: 1,
        tables: ["numbers"],
        retry: { attemptsMax: 3, backoff: [1] },
        create: (t) => [sql`create table ${t.numbers} (n integer primary key)`],
      },
      ({ data }, ctx) => {
        ctx.write(sql`insert into ${ctx.tables.numbers} values (${data.n})`);
        if (data.n !== 2 || !broken) return;
        runs++;
        throw new Error("no");
      },
    );
    const worker = await log.work(defineApp({ name: "t", subscriptions: [picky] }));
    const receipts = await log.publishAll([1, 2, 3].map((n) => Order({ key: "k", n })));
    await assert.rejects(log.caughtUp(picky, receipts[1]!, { timeout: "20s" }), { code: "DELIVERY_DEAD" });
    assert.equal(runs, 3);
    assert.deepEqual(await log.query(sql`select n from numbers`), [{ n: 1 }]);
    assert.ok(lines.some(({ level, message }) => level === "error" && /picky has stopped/u.test(message)));
    assert.equal((await log.operator.status())[0]?.state, "stopped");
    broken = false;
    for await (const letter of log.operator.deadLetters()) await log.operator.redrive([letter.id], { confirm: 1 });
    await log.caughtUp(picky, receipts[2]!, { timeout: "20s" });
    assert.deepEqual(await log.query(sql`select n from numbers order by n`), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await worker.stop();
  });

  test(`${engine.name}: older code leaves the tables of newer code alone, and says so`, async () => {
    const lines: LoggedLine[] = [];
    await using log = await open(engine.fresh(), { logger: loggerTo(lines) });
    await log.publishAll(orders(20));
    await log.drain(defineApp({ name: "t", subscriptions: [sums(2, 10)] }));
    await log.publishAll(orders(20, 20));
    await log.drain(defineApp({ name: "t", subscriptions: [sums(1)] }));
    assert.deepEqual(await log.query(rows), expected(20, 10));
    assert.ok(lines.some(({ level, message }) => level === "warn" && /tables are of version 2/u.test(message)));
    await log.drain(defineApp({ name: "t", subscriptions: [sums(2, 10)] }));
    assert.deepEqual(await log.query(rows), expected(40, 10));
  });

  test(`${engine.name}: a projection over the whole log in order`, async () => {
    await using log = await open(engine.fresh());
    const ordered = defineProjection(
      "ordered",
      {
        on: Order,
        version: 1,
        order: "log",
        tables: ["places"],
        create: (t) => [sql`create table ${t.places} (place integer primary key, n integer not null)`],
      },
      ({ data }, ctx) =>
        ctx.write(
          sql`insert into ${ctx.tables.places} select coalesce(max(place), 0) + 1, ${data.n}${bigint} from ${ctx.tables.places}`,
        ),
    );
    await log.publishAll(orders(60));
    await log.drain(defineApp({ name: "t", subscriptions: [ordered] }));
    assert.deepEqual(
      (await log.query<{ n: number }>(sql`select n from places order by place`)).map(({ n }) => n),
      Array.from({ length: 60 }, (_, n) => n),
    );
    assert.deepEqual(await log.caughtUp(ordered, (await log.head()).position, { timeout: "10s" }), undefined);
  });
}

/** A value in a list of columns has no type of its own on PostgreSQL. */
const bigint = sql`+ 0`;

function define(
  name: string,
  tables: readonly string[],
  create = (t: Readonly<Record<string, ReturnType<typeof sql>>>) =>
    tables.map((table) => sql`create table ${t[table]!} (a integer)`),
) {
  return defineProjection(name, { on: Order, version: 1, tables, create }, () => undefined);
}

test("in memory there are no tables: the refusal names who has them", async () => {
  await using log = await open(memory());
  await assert.rejects(log.drain(defineApp({ name: "t", subscriptions: [sums()] })), {
    code: "NOT_SUPPORTED",
    message: /sqlite::memory:/u,
  });
  await assert.rejects(log.query(rows), { code: "NOT_SUPPORTED" });
});

test("sqlite in memory has them", async () => {
  await using log = await open("sqlite::memory:");
  await log.publishAll(orders(40));
  await log.drain(defineApp({ name: "t", subscriptions: [sums()] }));
  assert.deepEqual(await log.query(rows), expected(40));
});

test("definitions that cannot be are refused where they are written", () => {
  const good = { on: Order, version: 1, tables: ["a"], create: () => [] } as const;
  const refusals: readonly (readonly [object, string])[] = [
    [{ version: 0 }, "INVALID_DEFINITION"],
    [{ version: 1.5 }, "INVALID_DEFINITION"],
    [{ tables: [] }, "INVALID_DEFINITION"],
    [{ tables: ["a", "a"] }, "INVALID_DEFINITION"],
    [{ tables: ["A"] }, "INVALID_ATTRIBUTE"],
    [{ tables: ["a-b"] }, "INVALID_ATTRIBUTE"],
    [{ tables: ["1a"] }, "INVALID_ATTRIBUTE"],
    [{ tables: ["factlog_event"] }, "INVALID_ATTRIBUTE"],
    [{ tables: ["a".repeat(49)] }, "INVALID_ATTRIBUTE"],
    [{ tables: [null] }, "INVALID_ATTRIBUTE"],
    [{ create: undefined }, "INVALID_DEFINITION"],
    [{ order: "none" }, "INVALID_DEFINITION"],
    [{ onExhausted: "skip-event" }, "INVALID_DEFINITION"],
    [{ retry: { attemptsMax: 0 } }, "INVALID_DEFINITION"],
  ];
  for (const [change, code] of refusals)
    assert.throws(
      () => defineProjection("p", { ...good, ...change } as typeof good, () => undefined),
      { code },
      JSON.stringify(change),
    );
  assert.throws(() => defineProjection("p", good, (async () => undefined) as unknown as () => void), {
    code: "INVALID_DEFINITION",
  });
  const twice = [define("one", ["same"]), define("two", ["same"])];
  assert.throws(() => defineApp({ name: "t", subscriptions: twice }), { code: "INVALID_DEFINITION" });
});

test("data that look like a statement are no SQL", () => {
  const forged = JSON.parse('{"text":["1); drop table x; --"],"values":[]}') as string;
  assert.throws(() => sql`insert into t values (${forged})`, { code: "INVALID_OPTION" });
  const spliced = sql`select ${sql`a = ${1} and b`} = ${2}`;
  assert.deepEqual(
    [spliced.text, spliced.values],
    [
      ["select a = ", " and b = ", ""],
      [1, 2],
    ],
  );
});
