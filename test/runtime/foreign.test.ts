import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignLog, pairing } from "../../src/conformance/foreign-log.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { defineApp, defineSubscription, openLog } from "../../src/index.ts";
import { Done, freshFile, open, Order } from "./support.ts";

// A log without total order, dedupe, exact counts or retention of its own, joined with a ledger of another store.
const ledgers = [
  { name: "memory", fresh: () => memory({ slots: 8 }) },
  { name: "sqlite", fresh: () => sqlite(`sqlite:${freshFile()}`, { slots: 8 }) },
];

for (const ledger of ledgers) {
  test(`foreign log + ${ledger.name} ledger: handlers run unchanged, emitted facts arrive once, in order, repeats are dropped`, async () => {
    const seen: string[] = [];
    const facts = new Map<string, number[]>();
    const echo = defineSubscription(
      "echo",
      { on: Order, emits: [Done], retry: { backoff: [1] } },
      async ({ data }, ctx) => {
        if (data.n === 5 && ctx.attempt === 1) throw new Error("once");
        seen.push(`${data.key}${data.n}`);
        ctx.emit(Done(data));
      },
    );
    const sink = defineSubscription(
      "sink",
      { on: Done },
      ({ data }) => void facts.set(data.key, [...(facts.get(data.key) ?? []), data.n]),
    );
    const app = defineApp({ name: "t", subscriptions: [echo, sink] });
    const log = await open(pairing(foreignLog(), ledger.fresh()));
    assert.equal((await log.drain(app)).drained, true);
    const orders = Array.from({ length: 60 }, (_, n) => Order({ key: `k${n % 6}`, n }, { id: `o-${n}` }));
    await log.publishAll(orders);
    await log.publishAll(orders.slice(10, 20));
    while ((await log.drain(app)).waiting > 0);
    assert.equal(seen.length, 60, "the repeats were dropped");
    assert.equal([...facts.values()].flat().length, 60);
    for (const [key, numbers] of facts)
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
        key,
      );
    const [status] = await log.operator.status();
    assert.equal(status?.closed, 70, "a repeat is a counted outcome");
    await log.close();
  });

  test(`foreign log + ${ledger.name} ledger: a dead letter carries its event, and is redriven after the log has dropped it`, async () => {
    let broken = true;
    const seen: number[] = [];
    const reader = defineSubscription("reader", { on: Order, retry: { attemptsMax: 1 } }, ({ data }) => {
      if (broken) throw new Error("down");
      seen.push(data.n);
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const foreign = foreignLog();
    const log = await open(pairing(foreign, ledger.fresh()));
    await log.drain(app);
    await log.publishAll([1, 2].map((n) => Order({ key: "a", n })));
    assert.equal((await log.drain(app)).dead, 1);
    broken = false;
    await foreign.dropEvents();
    await log.operator.redrive({}, { confirm: 1 });
    await log.drain(app);
    assert.deepEqual(seen, [1, 2]);
    await assert.rejects(
      log.drain(
        defineApp({
          name: "t",
          subscriptions: [defineSubscription("whole", { on: Order, order: "log", from: "beginning" }, () => {})],
        }),
      ),
      { code: "NOT_SUPPORTED" },
    );
    await log.close();
  });
}

test("openLog takes a log and another store's ledger: emitted facts go through the outbox", async () => {
  const seen: number[] = [];
  const app = defineApp({
    name: "t",
    subscriptions: [
      defineSubscription("echo", { on: Order, emits: [Done] }, ({ data }, ctx) => ctx.emit(Done(data))),
      defineSubscription("sink", { on: Done }, ({ data }) => void seen.push(data.n)),
    ],
  });
  const log = await openLog({ log: memory(), ledger: `sqlite:${freshFile()}` });
  await log.drain(app);
  await log.publishAll([1, 2, 3].map((n) => Order({ key: "a", n })));
  await log.drain(app);
  assert.deepEqual(seen, [1, 2, 3]);
  await log.close();
});

test("of two contents under one id the first stands, and the relay goes on", async () => {
  const seen: string[] = [];
  const app = defineApp({
    name: "t",
    subscriptions: [
      defineSubscription("echo", { on: Order, emits: [Done] }, ({ data }, ctx) => {
        ctx.emit(Done({ key: `of-${data.n}`, n: data.n }), { attributes: { id: data.n === 3 ? "other" : "same" } });
      }),
      defineSubscription("sink", { on: Done }, ({ data }) => void seen.push(data.key)),
    ],
  });
  const log = await open({ log: memory(), ledger: `sqlite:${freshFile()}` });
  await log.drain(app);
  for (const n of [1, 2, 3]) {
    await log.publish(Order({ key: "a", n }));
    await log.drain(app);
  }
  assert.deepEqual(seen, ["of-1", "of-3"]);
  await log.close();
});
