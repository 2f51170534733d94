/** A handler that gets several events: what it fails is tried again alone, in its key's order; effects are exactly once. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { pgStore } from "../../src/engines/postgres/index.ts";
import { sqliteStore } from "../../src/engines/sqlite/index.ts";
import {
  defineApp,
  defineBatchSubscription,
  type FactlogError,
  type Log,
  NonRetryable,
  sql,
  type Subscription,
} from "../../src/index.ts";
import { serverNames, sql as onServer } from "../support/postgres.ts";
import { place } from "../engines/postgres/support.ts";
import { execute, rowsIn } from "../engines/sqlite/store-support.ts";
import { Done, engines, eventually, fact, freshFile, open, Order, unwell } from "./support.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const appOf = (one: Subscription) => defineApp({ name: "t", subscriptions: [one] });
const retry = { backoff: [1] };
const sorted = (of: Iterable<number>): number[] => [...of].toSorted((a, b) => a - b);
/** Drains until nothing waits. */
async function finish(log: Log, one: Subscription): Promise<void> {
  await eventually("all is done", async () => (await log.drain(appOf(one))).waiting === 0);
}

for (const { name, fresh } of engines) {
  suite(`on ${name}`, () => {
    async function scene(t: TestContext): Promise<Log> {
      const log = await open(fresh());
      t.after(() => log.close());
      return log;
    }

    test("events come in batches up to the bound, in the log's order, those of one key too; each once", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(250).map((n) => Order({ key: `k${n % 7}`, n })));
      const batches: number[][] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 100 } },
        async (events) => {
          batches.push(events.map((event) => event.data.n));
          await Promise.resolve();
        },
      );
      await log.drain(appOf(one));
      assert.deepEqual(sorted(batches.flat()), numbers(250));
      assert.ok(
        batches.length < 20 && batches.some((batch) => batch.length > 7),
        String(batches.map((batch) => batch.length)),
      );
      for (const batch of batches) {
        assert.ok(batch.length <= 100);
        assert.deepEqual(batch, sorted(batch));
      }
      for (let key = 0; key < 7; key++) {
        const ofKey = batches.flat().filter((n) => n % 7 === key);
        assert.deepEqual(ofKey, sorted(ofKey));
      }
      assert.deepEqual(await unwell(log), []);
    });

    test("what is failed is tried again alone, what stands behind it in its key after it; nothing else runs twice", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(40).map((n) => Order({ key: `k${n % 4}`, n })));
      const runs: number[][] = [];
      const tries = new Map<number, number>();
      const done: number[] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 100 }, retry },
        (events, ctx) => {
          runs.push(events.map((event) => event.data.n));
          for (const event of events) {
            const { n } = event.data;
            const attempt = (tries.get(n) ?? 0) + 1;
            tries.set(n, attempt);
            if (n === 9 && attempt < 3) ctx.fail(event, new Error("not yet"));
            else done.push(n);
          }
        },
      );
      await finish(log, one);
      // 9 is the third of its key: the two before it are done, the seven behind it come again.
      const behind = new Set(numbers(40).filter((n) => n % 4 === 1 && n > 9));
      for (const [n, count] of tries) assert.equal(count, n === 9 ? 3 : behind.has(n) ? 2 : 1, `${n}`);
      const last = new Map(runs.flat().map((n, i) => [n, i]));
      assert.ok([...behind].every((n) => last.get(n)! > last.get(9)!));
      assert.deepEqual(runs.filter((run) => run.includes(9)).slice(1), [[9], [9]]);
      assert.equal((await log.operator.status())[0]?.outcomes.done, 40);
      assert.deepEqual(await unwell(log), []);
    });

    test("a throw fails all; each goes its own way then, and a bad one becomes a dead letter alone", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(12).map((n) => Order({ key: `k${n % 6}`, n })));
      const done: number[] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 100 }, retry },
        (events) => {
          if (events.length > 1) throw new Error("too many");
          if (events[0]?.data.n === 4) throw new NonRetryable("never");
          done.push(events[0]!.data.n);
        },
      );
      await finish(log, one);
      const [status] = await log.operator.status();
      assert.deepEqual([status?.dead, status?.held, status?.outcomes.done], [1, 1, 10]);
      assert.deepEqual(
        sorted(done),
        numbers(12).filter((n) => n !== 4 && n !== 10),
      );
      assert.deepEqual(await unwell(log), []);
    });

    test("facts of a batch are stated once, when all of it is settled: with one failed, by the run without it", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(30).map((n) => Order({ key: `k${n % 5}`, n })));
      let failed = 0;
      const one = defineBatchSubscription(
        "one",
        { on: Order, emits: [Done], from: "beginning", batch: { max: 100 }, retry },
        async (events, ctx) => {
          for (const event of events) {
            ctx.emit(Done(event.data));
            if (event.data.n === 11 && failed++ < 2) ctx.fail(event, new Error("after it was stated"));
          }
        },
      );
      await finish(log, one);
      const stated = (await Array.fromAsync(log.read({ on: Done }))).map((event) => event.data.n);
      assert.deepEqual(sorted(stated), numbers(30));
      assert.equal((await log.operator.status())[0]?.outcomes.done, 30);
      assert.deepEqual(await unwell(log), []);
    });

    test("a filter and a schema take their events out, and keep their place in the key", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(10).map((n) => Order({ key: "k", n })));
      const done: number[] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 4 }, filter: (event) => event.data.n % 2 === 0 },
        (events) => void done.push(...events.map((event) => event.data.n)),
      );
      await log.drain(appOf(one));
      assert.deepEqual(done, [0, 2, 4, 6, 8]);
      assert.deepEqual((await log.operator.status())[0]?.outcomes.skipped, 5);
    });

    test("linger: the first waits for others, but no longer than that, nor when there are enough", async (t) => {
      const log = await scene(t);
      const batches: number[][] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 3, linger: "2s" } },
        (events) => void batches.push(events.map((event) => event.data.n)),
      );
      const worker = await log.work(appOf(one));
      const startedMs = performance.now();
      for (const n of numbers(3)) await log.publish(Order({ key: `k${n}`, n }));
      await eventually("the full batch", () => batches.length === 1);
      assert.ok(performance.now() - startedMs < 1_900);
      await log.publish(Order({ key: "k", n: 3 }));
      await log.publish(Order({ key: "k", n: 4 }));
      await eventually("the other", () => batches.length === 2);
      assert.ok(performance.now() - startedMs > 1_900);
      assert.deepEqual(batches, [
        [0, 1, 2],
        [3, 4],
      ]);
      await worker.stop();
    });

    test("a stop in the middle lets the batch end: nothing of it comes again", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(20).map((n) => Order({ key: `k${n % 3}`, n })));
      const began = fact();
      const go = fact();
      const seen: number[] = [];
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 10 } },
        async (events) => {
          began.tell();
          await go.holds;
          seen.push(...events.map((event) => event.data.n));
        },
      );
      const worker = await log.work(appOf(one));
      await began.holds;
      const stopped = worker.stop();
      go.tell();
      await stopped;
      await log.drain(appOf(one));
      assert.deepEqual(sorted(seen), numbers(20));
    });

    test("past its timeout all of a batch has failed", async (t) => {
      const log = await scene(t);
      await log.publishAll(numbers(4).map((n) => Order({ key: `k${n % 2}`, n })));
      let runs = 0;
      const one = defineBatchSubscription(
        "one",
        { on: Order, from: "beginning", batch: { max: 10 }, timeout: 30, retry },
        async (events, ctx) => {
          if (runs++ > 0) return;
          assert.equal(events.length, 4);
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        },
      );
      await finish(log, one);
      assert.equal((await log.operator.status())[0]?.outcomes.done, 4);
      assert.ok(runs > 1);
      assert.deepEqual(await unwell(log), []);
    });
  });
}

interface Tables {
  readonly log: Log;
  readonly rows: () => Promise<unknown[]>;
}
async function onSqlite(t: TestContext): Promise<Tables> {
  const file = freshFile();
  const log = await open(`sqlite:${file}`);
  t.after(() => log.close());
  execute(file, "CREATE TABLE effect(n)");
  return { log, rows: async () => rowsIn(file, "SELECT n FROM effect ORDER BY n") };
}
async function onPostgres(t: TestContext): Promise<Tables> {
  const where = await place(t);
  await onServer(where.url, "CREATE TABLE effect(n int)");
  const log = await open(where.handle());
  t.after(() => log.close());
  return { log, rows: async () => (await onServer(where.url, "SELECT n FROM effect ORDER BY n")).flat() };
}
for (const scene of serverNames.length > 0 ? [onSqlite, onPostgres] : [onSqlite]) {
  test(`${scene.name}: statements of a batch are done once, though one of it fails after them`, async (t) => {
    const { log, rows } = await scene(t);
    await log.publishAll(numbers(30).map((n) => Order({ key: `k${n % 5}`, n })));
    let failed = 0;
    let wrong = 0;
    const one = defineBatchSubscription(
      "one",
      { on: Order, from: "beginning", batch: { max: 100 }, retry },
      async (events, ctx) => {
        for (const event of events) {
          ctx.write(sql`INSERT INTO effect VALUES (${event.data.n})`);
          if (event.data.n === 11 && failed++ === 0) ctx.fail(event, new Error("after it was written"));
        }
        if (failed > 1 && wrong++ === 0) ctx.write(sql`INSERT INTO nowhere VALUES (1)`);
      },
    );
    await finish(log, one);
    assert.deepEqual(await rows(), numbers(30));
    assert.deepEqual([wrong > 1, await unwell(log)], [true, []]);
  });
}

test("statements go with what they were queued for: beside events that a filter takes out, before and behind", async (t) => {
  const { log, rows } = await onSqlite(t);
  await log.publishAll(numbers(40).map((n) => Order({ key: n < 20 ? "one" : `k${n}`, n })));
  const one = defineBatchSubscription(
    "one",
    { on: Order, from: "beginning", batch: { max: 2 }, filter: (event) => event.data.n % 2 === 1 },
    async (events, ctx) => {
      for (const event of events) ctx.write(sql`INSERT INTO effect VALUES (${event.data.n})`);
    },
  );
  await finish(log, one);
  assert.deepEqual(
    await rows(),
    numbers(40).filter((n) => n % 2 === 1),
  );
  assert.deepEqual(await unwell(log), []);
});

/** Whether the handler is to fail this one now: a few of them, twice. */
function faults(): (n: number) => boolean {
  const failures = new Map<number, number>();
  return (n) => {
    const failed = failures.get(n) ?? 0;
    if (n % 23 !== 5 || failed >= 2) return false;
    failures.set(n, failed + 1);
    return true;
  };
}
/** Each has its row once, and of every fourth a fact is stated. */
async function assertOnce(log: Log, rows: () => Promise<readonly unknown[]>, count: number): Promise<void> {
  assert.deepEqual(await rows(), numbers(count));
  const stated = (await Array.fromAsync(log.read({ on: Done }))).map((event) => event.data.n);
  assert.deepEqual(
    sorted(stated),
    numbers(count).filter((n) => n % 4 === 0),
  );
  assert.deepEqual(await unwell(log), []);
}

suite("stores", () => {
  test("sqliteStore: rows are there once; what fails leaves nothing of what was written for it", async (t) => {
    const { log, rows } = await onSqlite(t);
    await log.publishAll(numbers(200).map((n) => Order({ key: `k${n % 9}`, n })));
    const isFault = faults();
    const one = defineBatchSubscription(
      "one",
      { on: Order, emits: [Done], from: "beginning", batch: { max: 64 }, store: sqliteStore(), retry },
      (events, ctx) => {
        for (const event of events) {
          const { n } = event.data;
          ctx.tx.run("INSERT INTO effect VALUES (?)", n);
          if (n % 4 === 0) ctx.emit(Done(event.data));
          if (isFault(n)) ctx.fail(event, new Error("after its row"));
        }
      },
    );
    await finish(log, one);
    await assertOnce(log, rows, 200);
  });

  test("sqliteStore: an async handler of batches is refused, by types and when it is defined", () => {
    assert.throws(
      () =>
        // @ts-expect-error it returns a promise
        defineBatchSubscription("one", { on: Order, batch: { max: 2 }, store: sqliteStore() }, async () => undefined),
      { code: "INVALID_DEFINITION" },
    );
  });

  if (serverNames.length > 0)
    test("pgStore: rows are there once; what fails leaves nothing of what was written for it", async (t) => {
      const { log, rows } = await onPostgres(t);
      await log.publishAll(numbers(100).map((n) => Order({ key: `k${n % 9}`, n })));
      const isFault = faults();
      const one = defineBatchSubscription(
        "one",
        { on: Order, emits: [Done], from: "beginning", batch: { max: 40 }, concurrency: 2, store: pgStore(), retry },
        async (events, ctx) => {
          for (const event of events) {
            const { n } = event.data;
            await ctx.tx.query("INSERT INTO effect(n) VALUES ($1)", [n]);
            if (n % 4 === 0) ctx.emit(Done(event.data));
            if (isFault(n)) ctx.fail(event, new Error("after its row"));
          }
        },
      );
      await finish(log, one);
      await assertOnce(log, rows, 100);
    });
});

test("bad options are refused by name", () => {
  for (const batch of [
    {},
    { max: 0 },
    { max: 1.5 },
    { max: 1_001 },
    { max: 2, linger: -1 },
    { max: 2, linger: "2m" },
  ]) {
    assert.throws(
      () => defineBatchSubscription("one", { on: Order, batch } as never, () => undefined),
      (error: FactlogError) => error.code === "INVALID_DEFINITION" && /batch\./u.test(error.message),
    );
  }
  const state = { schema: undefined, initial: 0 };
  assert.throws(
    () => defineBatchSubscription("one", { on: Order, batch: { max: 2 }, state } as never, () => undefined),
    {
      message: /state is no option/u,
    },
  );
});
