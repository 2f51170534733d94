import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignLog, pairing } from "../../src/conformance/foreign-log.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { defineApp, defineEvent, defineSubscription, openLog } from "../../src/index.ts";
import { testLog } from "../../src/testing/index.ts";
import { z } from "zod";
import { Done, freshFile, open, Order } from "./support.ts";

const idle = defineApp({ name: "t", events: [Order, Done], subscriptions: [] });
const code = (expected: string) => ({ code: expected });

test("a delayed fact is stated at its time, not before, with the time of its stating", async () => {
  await using log = await testLog(idle);
  const receipt = await log.publish(Order({ key: "a", n: 1 }, { id: "o-1" }), { after: "24h" });
  assert.deepEqual(receipt, { id: "o-1", correlationId: "o-1", duplicate: false });
  await log.advance("23h");
  assert.deepEqual(await log.events(), []);
  await log.advance("1h");
  const [event] = await log.eventsOf(Order);
  assert.deepEqual([event?.id, event?.data.n], ["o-1", 1]);
  assert.equal(event?.time.getTime(), Date.UTC(2026, 0, 2));
  assert.equal(event?.recordedTime.getTime(), Date.UTC(2026, 0, 2));
});

test("of facts that are due at one moment the earlier time comes first", async () => {
  await using log = await testLog(idle);
  await log.publish(Order({ key: "a", n: 1 }), { after: "3h" });
  await log.publish(Order({ key: "a", n: 2 }), { at: new Date(Date.UTC(2026, 0, 1, 2)) });
  await log.publish(Order({ key: "a", n: 3 }), { after: "1h" });
  await log.advance("1d");
  assert.deepEqual(
    (await log.eventsOf(Order)).map((event) => event.data.n),
    [3, 2, 1],
  );
});

test("a time that has passed is now; a repeat is one fact, and its first time stands", async () => {
  await using log = await testLog(idle);
  const now = await log.publish(Order({ key: "a", n: 1 }), { at: new Date(0) });
  assert.notEqual(now.position, undefined);
  await log.publish(Order({ key: "b", n: 2 }, { id: "b" }), { after: "1h" });
  const again = await log.publish(Order({ key: "b", n: 2 }, { id: "b" }), { after: "1m" });
  assert.equal(again.duplicate, true);
  await log.advance("30m");
  assert.equal((await log.events()).length, 1);
  await log.advance("30m");
  assert.equal((await log.events()).length, 2);
  await assert.rejects(log.publish(Order({ key: "b", n: 3 }, { id: "b" }), { after: "1m" }), code("ID_CONFLICT"));
});

test("a withdrawn fact is never stated; one that was stated cannot be withdrawn", async () => {
  await using log = await testLog(idle);
  await log.publish(Order({ key: "a", n: 1 }, { id: "a" }), { after: "1h" });
  await log.publish(Order({ key: "b", n: 2 }, { id: "b" }), { after: "1h" });
  assert.equal(await log.cancel("a"), true);
  assert.equal(await log.cancel("a"), false);
  assert.equal(await log.cancel("a-stranger"), false);
  await log.advance("1h");
  assert.equal(await log.cancel("b"), false);
  assert.deepEqual(
    (await log.events()).map(({ id }) => id),
    ["b"],
  );
});

test("bad times are refused, and nothing is stored", async () => {
  await using log = await testLog(idle);
  const order = Order({ key: "a", n: 1 });
  for (const when of [
    { after: -1 },
    { after: "1h", at: new Date() } as const,
    { after: "5000d" } as const,
    { at: new Date("nonsense") },
    { at: new Date(Date.UTC(2126, 0, 1)) },
    { after: "1 hour" as "1h" },
  ])
    await assert.rejects(log.publish(order, when), code("INVALID_OPTION"));
  await assert.rejects(log.publish(Order({ key: "a" } as never), { after: "1h" }), code("INVALID_DATA"));
  await log.advance("4000d");
  assert.deepEqual(await log.events(), []);
});

const PaymentDue = defineEvent("PaymentDue", {
  schema: z.object({ key: z.string(), n: z.number() }),
  key: (p) => p.key,
});
const Expired = defineEvent("Expired", { schema: z.object({ key: z.string(), n: z.number() }), key: (p) => p.key });

test("a process manager of delayed facts and a state: an order that is not paid within 24 hours expires", async () => {
  const expiry = defineSubscription(
    "expiry",
    {
      on: [Order, Done, PaymentDue],
      emits: [PaymentDue, Expired],
      state: { schema: z.enum(["open", "paid"]), initial: "open" },
      retry: { backoff: [1] },
    },
    (event, ctx) => {
      switch (event.type) {
        case "Order":
          ctx.emit(PaymentDue(event.data), { after: "24h" });
          // The second attempt states nothing twice.
          if (ctx.attempt === 1) throw new Error("once");
          return;
        case "Done":
          return ctx.state.set("paid");
        case "PaymentDue":
          if (ctx.state.get() === "open") ctx.emit(Expired(event.data));
          return ctx.state.delete();
      }
    },
  );
  await using log = await testLog(defineApp({ name: "t", subscriptions: [expiry] }));
  await log.publish(Order({ key: "paid", n: 1 }));
  await log.publish(Order({ key: "late", n: 2 }));
  await log.advance("12h");
  await log.publish(Done({ key: "paid", n: 1 }));
  await log.advance("13h");
  assert.equal((await log.eventsOf(PaymentDue)).length, 2);
  assert.deepEqual(
    (await log.eventsOf(Expired)).map((event) => [event.data.key, event.correlationId]),
    [["late", (await log.eventsOf(Order))[1]?.id]],
  );
  await assert.rejects(log.until({ correlationId: "nobody" }, Expired, { timeout: 1, signal: AbortSignal.abort() }));
});

test("a chain that waits for a delayed fact is not over", async () => {
  const chain = defineSubscription("chain", { on: Order, emits: [Done] }, (event, ctx) =>
    ctx.emit(Done(event.data), { after: "1h" }),
  );
  await using log = await testLog(defineApp({ name: "t", subscriptions: [chain] }));
  const { correlationId } = await log.publish(Order({ key: "a", n: 1 }));
  await log.settled();
  const frames: string[] = [];
  const over = (async () => {
    for await (const frame of log.follow({ correlationId })) frames.push(frame.kind);
  })();
  await log.advance("59m");
  assert.deepEqual(frames, ["event"]);
  await log.advance("2m");
  await log.advance("1s");
  await over;
  assert.deepEqual(frames, ["event", "event", "end"]);
});

const stores = [
  { name: "sqlite", fresh: () => sqlite(`sqlite:${freshFile()}`) },
  {
    name: "foreign log + sqlite ledger",
    fresh: () => pairing(foreignLog({ slots: 8 }), sqlite(`sqlite:${freshFile()}`, { slots: 8 })),
  },
  { name: "foreign log + memory ledger", fresh: () => pairing(foreignLog({ slots: 8 }), memory({ slots: 8 })) },
];
for (const { name, fresh } of stores) {
  test(`${name}: a delayed fact survives its publisher and reaches its subscriber`, async () => {
    const store = fresh();
    const publisher = await open(store);
    await publisher.publish(Order({ key: "a", n: 1 }, { id: "a" }), { after: 40 });
    await publisher.publish(Order({ key: "a", n: 2 }, { id: "b" }), { after: "1h" });
    const seen = Promise.withResolvers<string>();
    const reader = defineSubscription("reader", { on: Order }, (event) => seen.resolve(event.id));
    const worker = await publisher.work(defineApp({ name: "t", subscriptions: [reader] }));
    assert.equal(await seen.promise, "a");
    await worker.stop();
    const drained = await publisher.drain(defineApp({ name: "t", subscriptions: [reader] }));
    assert.ok(drained.dueNext !== undefined && drained.dueNext.getTime() > Date.now() + 3_000_000);
    await publisher.close();
  });
}

test("announce knows no later", async () => {
  const codes: string[] = [];
  const eager = defineSubscription("eager", { on: Order, emits: [Done] }, async (event, ctx) => {
    await ctx
      .announce(Done(event.data), { after: "1h" } as object)
      .catch((error: { code: string }) => codes.push(error.code));
  });
  await using log = await testLog(defineApp({ name: "t", subscriptions: [eager] }));
  await log.publish(Order({ key: "a", n: 1 }));
  await log.settled();
  assert.deepEqual(codes, ["INVALID_OPTION"]);
});

test("openLog takes no part in the clock: facts wait until somebody works", async () => {
  const log = await openLog(sqlite(`sqlite:${freshFile()}`));
  await log.publish(Order({ key: "a", n: 1 }), { after: 1 });
  const summary = await log.drain(idle);
  assert.ok(summary.drained);
  while ((await Array.fromAsync(log.read())).length === 0) await log.drain(idle);
  await log.close();
});
