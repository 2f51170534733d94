/** Groups take turns: one that floods starves no other; what is beyond its share waits in rows, in order per key. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, type SubscriptionOptions } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { anotherProcess, engines, eventually, fact, open, unwell } from "./support.ts";

const schema = z.object({ key: z.string(), group: z.string(), n: z.number() });
const Job = defineEvent("Job", { schema, key: ({ key }) => key, group: ({ group }) => group });
type Options = Partial<SubscriptionOptions<typeof Job, typeof Job>>;

/** A handler that takes one step of a bench at a time: the test says when the next may end. */
function bench(options: Options = {}) {
  const done: string[] = [];
  const started: string[] = [];
  const waiting: (() => void)[] = [];
  let isOpen = false;
  const s = defineSubscription(
    "s",
    { on: Job, from: "beginning", concurrency: 4, ...options },
    async ({ data: { key, group, n } }) => {
      started.push(`${group} ${key} ${n}`);
      if (!isOpen) await new Promise<void>((resolve) => void waiting.push(resolve));
      done.push(`${group} ${key} ${n}`);
    },
  );
  const of = (group: string, list = done) => list.filter((each) => each.startsWith(`${group} `));
  const openUp = (): void => {
    isOpen = true;
    for (const go of waiting.splice(0)) go();
  };
  return {
    done,
    started,
    of,
    waiting,
    step: () => waiting.shift()?.(),
    openUp,
    app: defineApp({ name: "t", events: [Job], subscriptions: [s] }),
  };
}
const flood = (count: number, keys: number, group = "A") =>
  Array.from({ length: count }, (_, n) => Job({ key: `${group}${n % keys}`, group, n }));
const numbersByKey = (lines: readonly string[]): number[][] =>
  [...Map.groupBy(lines, (line) => line.split(" ")[1]).values()].map((some) =>
    some.map((line) => Number(line.split(" ")[2])),
  );

for (const { name, fresh } of engines) {
  for (const [count, keys] of [
    [3_000, 3_000],
    [3_000, 40],
    [900, 1],
  ] as const) {
    test(`${name}: with ${count} of A queued over ${keys} keys and a slow handler, B is next when a place is free`, async () => {
      await using log = await open(fresh());
      const { done, started, of, waiting, step, openUp, app } = bench();
      await log.publishAll(flood(count, keys));
      const worker = await log.work(app);
      await eventually("A runs", () => started.length === Math.min(keys, 4));
      await eventually("what is beyond A's share waits in rows", async () => {
        const { deferred, held } = (await log.operator.status())[0]!;
        return deferred + held > count - 700;
      });
      for (let n = 0; n < 10; n++) {
        await log.publish(Job({ key: `b${n % 3}`, group: "B", n }));
        const before = of("A", started).length;
        const isNext = (): boolean => of("B", started).length === n + 1;
        // It has to be read before its turn can come: a place is freed only when the last one was taken.
        let running = waiting.length;
        await eventually("B has its turn", () => {
          if (isNext() || waiting.length < running) return isNext();
          running = waiting.length;
          step();
          return false;
        });
        assert.ok(
          of("A", started).length - before <= count / 10,
          `${of("A", started).length - before} of A went before B`,
        );
      }
      openUp();
      await eventually("all are done", () => done.length === count + 10, 60_000);
      for (const numbers of numbersByKey(done))
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        );
      assert.equal(new Set(done).size, count + 10);
      await worker.stop();
      assert.deepEqual(await unwell(log), []);
    });
  }

  test(`${name}: what is deferred outlives its worker, and events without a key are deferred as well`, async () => {
    const engine = fresh();
    await using log = await open(engine, { env: anotherProcess() });
    await using other = await open(engine, { env: anotherProcess() });
    const first = bench({ order: "none" });
    await log.publishAll(flood(2_000, 50));
    const worker = await log.work(first.app);
    await eventually("A runs", () => first.started.length === 4);
    await eventually("rows wait", async () => (await log.operator.status())[0]!.deferred > 1_000);
    first.openUp();
    await worker.stop();
    const left = 2_000 - first.done.length;
    const second = bench({ order: "none" });
    second.openUp();
    const { drained } = await other.drain(second.app);
    assert.deepEqual([drained, second.done.length, (await log.operator.status())[0]!.depth], [true, left, 0]);
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: a paused group waits in rows, others go on, a restart changes nothing; resumed, all of it runs in order`, async () => {
    const engine = fresh();
    await using log = await open(engine, { env: anotherProcess() });
    await using other = await open(engine, { env: anotherProcess() });
    const { done, of, openUp, app } = bench();
    openUp();
    await log.publishAll([...flood(1, 1), ...flood(1, 1, "B")]);
    await log.drain(app);
    await other.operator.pause("s", { group: "A" });
    for (let n = 1; n < 6; n++)
      for (const group of ["A", "B"]) await log.publish(Job({ key: `${group}${n % 2}`, group, n }));
    await log.drain(app);
    await log.drain(app);
    assert.deepEqual([of("A").length, of("B").length], [1, 6]);
    const [status] = await log.operator.status(app);
    const { deferred, held, depth, pausedGroups, waitsFor } = status!;
    assert.deepEqual([deferred + held, depth, pausedGroups, waitsFor], [5, 5, 1, [{ for: "resume", group: "A" }]]);
    const worker = await log.work(app);
    await log.publish(Job({ key: "A0", group: "A", n: 6 }));
    await eventually("it waits as well", async () => (await log.operator.status())[0]?.pending === 0);
    assert.equal(of("A").length, 1);
    await other.operator.resume("s", { group: "A" });
    await eventually("all of it has run", () => done.length === 13);
    for (const numbers of numbersByKey(done))
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    await worker.stop();
    const acts: unknown[] = [];
    for await (const { type, data } of log.read())
      if (type.startsWith("factlog.operator.")) acts.push([type.slice(17), (data as { group?: string }).group]);
    assert.deepEqual(acts, [
      ["paused", "A"],
      ["resumed", "A"],
    ]);
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: a group that is paused while it runs and fails is tried again when it is resumed, and costs nothing`, async () => {
    await using log = await open(fresh());
    const began = fact();
    const go = fact();
    const ran: string[] = [];
    const s = defineSubscription(
      "s",
      { on: Job, from: "beginning", retry: { backoff: ["1ms"] } },
      async ({ data }, { attempt }) => {
        ran.push(`${data.key}${data.n}.${attempt}`);
        if (ran.length > 1) return;
        began.tell();
        await go.holds;
        throw new Error("not yet");
      },
    );
    const app = defineApp({ name: "t", events: [Job], subscriptions: [s] });
    const worker = await log.work(app);
    await log.publishAll(flood(3, 1));
    await began.holds;
    await log.operator.pause("s", { group: "A" });
    go.tell();
    await eventually("it is deferred", async () => {
      const { deferred, held } = (await log.operator.status())[0]!;
      return deferred === 1 && held === 2;
    });
    assert.deepEqual(ran, ["A00.1"]);
    await log.operator.resume("s", { group: "A" });
    await eventually("all have run", () => ran.length === 4);
    assert.deepEqual(ran, ["A00.1", "A00.2", "A01.1", "A02.1"]);
    await worker.stop();
    assert.deepEqual(await unwell(log), []);
  });
}

test("a subscription without groups, and one that reads fast, defers nothing", async () => {
  await using log = await open(engines[0]!.fresh());
  const seen = new Set<number>();
  const app = (handle: () => Promise<void>) =>
    defineApp({
      name: "t",
      events: [Job],
      subscriptions: [
        defineSubscription("s", { on: Job, from: "beginning" }, async () => {
          await handle();
          seen.add((await log.operator.status())[0]?.deferred ?? 0);
        }),
      ],
    });
  await log.publishAll(flood(2 * limits.readAheadMax, 10));
  await log.drain(app(async () => {}));
  assert.deepEqual([...seen], [0]);
});

test("what cannot be paused by group is refused; dead letters are found by group", async () => {
  await using log = await open(engines[0]!.fresh());
  const whole = defineSubscription("whole", { on: Job, order: "log", from: "beginning" }, () => {});
  const failing = defineSubscription(
    "failing",
    { on: Job, from: "beginning", retry: { attemptsMax: 1 }, outage: false },
    () => {
      throw new Error("no");
    },
  );
  await log.publishAll([...flood(2, 2), ...flood(3, 3, "B")]);
  await log.drain(defineApp({ name: "t", events: [Job], subscriptions: [whole, failing] }));
  await assert.rejects(log.operator.pause("whole", { group: "A" }), {
    code: "INVALID_OPTION",
    message: /order: "log"/,
  });
  await assert.rejects(log.operator.pause("failing", { group: "A", key: "k" }), { code: "INVALID_OPTION" });
  const found = async (group: string) =>
    (await Array.fromAsync(log.operator.deadLetters({ group }))).map(({ key }) => key);
  assert.deepEqual([(await found("A")).length, (await found("B")).length, await found("C")], [2, 3, []]);
  assert.equal((await log.operator.redrives.plan({ group: "B" })).deadLetters, 3);
});
