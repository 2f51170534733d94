import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { anotherProcess, Done, engines, open, Order, unwell } from "./support.ts";

const quick = { retry: { backoff: [1] } } as const;

for (const engine of engines) {
  test(`${engine.name}: one key runs in order and alone, distinct keys side by side`, async () => {
    const seen = new Map<string, number[]>();
    const running = new Set<string>();
    let most = 0;
    const reader = defineSubscription("reader", { on: Order, concurrency: 8 }, async ({ data }) => {
      assert.ok(!running.has(data.key), "a key ran twice at once");
      running.add(data.key);
      most = Math.max(most, running.size);
      for (let turns = data.n % 4; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      seen.set(data.key, [...(seen.get(data.key) ?? []), data.n]);
      running.delete(data.key);
    });
    const log = await open(engine.fresh());
    const app = defineApp({ name: "t", subscriptions: [reader] });
    await log.drain(app);
    await log.publishAll(Array.from({ length: 1_000 }, (_, n) => Order({ key: `k${n % 20}`, n })));
    const summary = await log.drain(app);
    assert.deepEqual([summary.drained, summary.deliveries], [true, 1_000]);
    for (let key = 0; key < 20; key++)
      assert.deepEqual(
        seen.get(`k${key}`),
        Array.from({ length: 50 }, (_, i) => key + i * 20),
      );
    assert.ok(most >= 4 && most <= 8, `${most} keys at once`);
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: a failing key holds its own events back and nobody else's`, async () => {
    const effects: string[] = [];
    let failures = 0;
    const reader = defineSubscription(
      "reader",
      { on: Order, emits: [Done], retry: { backoff: [200] }, concurrency: 4 },
      async ({ data }, ctx) => {
        await Promise.resolve();
        if (data.key === "bad" && data.n === 1 && ctx.attempt <= 3) {
          failures++;
          throw new Error(`attempt ${ctx.attempt}`);
        }
        effects.push(`${data.key}${data.n}`);
        ctx.emit(Done(data));
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll(
      Array.from({ length: 60 }, (_, n) => Order({ key: n % 2 === 0 ? "bad" : "good", n: Math.floor(n / 2) })),
    );
    while ((await log.drain(app)).waiting > 0);
    assert.equal(failures, 3);
    const order = Array.from({ length: 30 }, (_, n) => n);
    assert.deepEqual(
      effects.filter((each) => each.startsWith("bad")),
      order.map((n) => `bad${n}`),
    );
    assert.deepEqual(
      effects.filter((each) => each.startsWith("good")),
      order.map((n) => `good${n}`),
    );
    assert.ok(effects.indexOf("good29") < effects.indexOf("bad1"), "the good key did not wait");
    const facts: string[] = [];
    for await (const { data } of log.read({ on: Done })) facts.push(`${data.key}${data.n}`);
    for (const key of ["bad", "good"])
      assert.deepEqual(
        facts.filter((each) => each.startsWith(key)),
        order.map((n) => `${key}${n}`),
      );
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: order "log" sees all events one after the other, with one state`, async () => {
    const seen: number[] = [];
    const sums = defineSubscription(
      "sums",
      { on: Order, order: "log", state: { schema: z.object({ sum: z.number() }), initial: { sum: 0 } } },
      async ({ data }, ctx) => {
        seen.push(data.n);
        await new Promise((resolve) => setImmediate(resolve));
        ctx.state.set({ sum: ctx.state.get().sum + data.n });
        if (data.n === 99) assert.equal(ctx.state.get().sum, 4_950);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [sums] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll(Array.from({ length: 100 }, (_, n) => Order({ key: `k${n % 7}`, n })));
    assert.deepEqual(await log.drain(app), { drained: true, deliveries: 100, dead: 0, waiting: 0, dueNext: undefined });
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, n) => n),
    );
    await log.close();
  });

  test(`${engine.name}: order "none" holds nothing back, not even the same key`, async () => {
    const seen: number[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, order: "none", retry: { attemptsMax: 2, backoff: [1] } },
      ({ data }) => {
        if (data.n === 0) throw new Error("always");
        seen.push(data.n);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll(Array.from({ length: 20 }, (_, n) => Order({ key: "same", n })));
    while ((await log.drain(app)).waiting > 0);
    assert.equal(seen.length, 19);
    const [status] = await log.operator.status();
    assert.deepEqual([status?.dead, status?.blockedKeys, status?.depth], [1, 0, 0]);
    await log.close();
  });

  test(`${engine.name}: state is one value per key, committed with the delivery`, async () => {
    const totals = new Map<string, number>();
    const counter = defineSubscription(
      "counter",
      { on: Order, ...quick, state: { schema: z.object({ sum: z.number() }), initial: { sum: 0 } } },
      ({ data }, ctx) => {
        const sum = ctx.state.get().sum + data.n;
        ctx.state.set({ sum });
        if (data.n % 5 === 0 && ctx.attempt === 1) throw new Error("after set: it must not count twice");
        totals.set(data.key, sum);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [counter] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll(Array.from({ length: 60 }, (_, n) => Order({ key: `k${n % 3}`, n })));
    while ((await log.drain(app)).waiting > 0);
    for (let key = 0; key < 3; key++) {
      const expected = Array.from({ length: 20 }, (_, i) => key + i * 3).reduce((sum, n) => sum + n, 0);
      assert.equal(totals.get(`k${key}`), expected);
    }
    await log.close();
  });

  test(`${engine.name}: two workers on one store share the slots, and every delivery is done once`, async () => {
    const store = engine.fresh();
    const counts = new Map<string, number>();
    const made = (worker: string): ReturnType<typeof defineApp> =>
      defineApp({
        name: "t",
        subscriptions: [
          defineSubscription("reader", { on: Order, from: "beginning" }, async ({ data }, ctx) => {
            await new Promise((resolve) => setImmediate(resolve));
            counts.set(`${worker}`, (counts.get(worker) ?? 0) + 1);
            ctx.emit(Done(data));
          }),
        ],
      });
    const logs = await Promise.all([
      open(store, { env: anotherProcess(), lease: "1s" }),
      open(store, { env: anotherProcess(), lease: "1s" }),
    ]);
    const [first, second] = logs as [(typeof logs)[0], (typeof logs)[0]];
    const workers = [await first.work(made("a")), await second.work(made("b"))];
    const share = async (): Promise<readonly number[]> => (await first.operator.status()).map((each) => each.workers);
    while ((await share())[0] !== 2) await new Promise((resolve) => setImmediate(resolve));
    for (let batch = 0; batch < 10; batch++) {
      await first.publishAll(Array.from({ length: 100 }, (_, n) => Order({ key: `k${n % 50}`, n: batch * 100 + n })));
    }
    const seen = new Map<string, number[]>();
    let read = 0;
    for await (const frame of first.follow({ on: Done, from: "beginning" })) {
      if (frame.kind !== "event") continue;
      const { key, n } = frame.event.data;
      seen.set(key, [...(seen.get(key) ?? []), n]);
      if (++read === 1_000) break;
    }
    for (const [key, numbers] of seen)
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
        key,
      );
    assert.ok((counts.get("a") ?? 0) >= 200 && (counts.get("b") ?? 0) >= 200, JSON.stringify([...counts]));
    await Promise.all(workers.map((worker) => worker.stop()));
    assert.deepEqual(await unwell(first), []);
    await Promise.all(logs.map((log) => log.close()));
  });
}
