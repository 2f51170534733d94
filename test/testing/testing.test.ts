import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { sqliteStore } from "../../src/engines/sqlite/index.ts";
import { defineApp, defineBatchSubscription, defineEvent, defineSubscription, sql } from "../../src/index.ts";
import { crashTest, fakeEffect, testLog } from "../../src/testing/index.ts";
import { Done, Order } from "../runtime/facts.ts";

type Charge = (key: string, amount: number, idempotencyKey?: string) => Promise<number>;
const appOf = (charge: Charge, safe: boolean): ReturnType<typeof defineApp> =>
  defineApp({
    name: "shop",
    subscriptions: [
      defineSubscription("payment", { on: Order, emits: [Done] }, async ({ data }, ctx) => {
        const amount = await charge(data.key, data.n, safe ? ctx.idempotencyKey("charge") : undefined);
        ctx.emit(Done({ key: data.key, n: amount }));
      }),
    ],
  });
const order = Order({ key: "o-1", n: 10 });

test("a test log delivers without waiting", async () => {
  await using log = await testLog(appOf(async (_key, amount) => amount, true));
  await log.publish(order);
  await log.settled();
  assert.deepEqual(
    (await log.eventsOf(Done)).map((event) => event.data),
    [{ key: "o-1", n: 10 }],
  );
  assert.equal((await log.events()).length, 2);
  assert.deepEqual(await log.deadLetters(), []);
});

test("what is due later waits for the virtual clock: retries, then dead", async () => {
  let attempts = 0;
  const down: Charge = async () => {
    attempts++;
    throw new Error("down");
  };
  await using log = await testLog(appOf(down, true));
  await log.publish(order);
  await log.settled();
  assert.equal(attempts, 1);
  await log.advance("1h");
  const afterAnHour = attempts;
  assert.ok(afterAnHour > 1, `${attempts} attempts`);
  await log.advance("48h");
  assert.equal(attempts, 8);
  assert.equal((await log.deadLetters()).length, 1);
});

test("handlers that publish to each other without end are noticed", async () => {
  const loop = defineSubscription("loop", { on: Order, emits: [Order] }, ({ data }, ctx) =>
    ctx.emit(Order({ ...data, n: data.n + 1 })),
  );
  await using log = await testLog(defineApp({ name: "loop", subscriptions: [loop] }));
  await log.publish(order);
  await assert.rejects(log.settled({ limit: 50 }), { code: "TIMEOUT" });
});

const make = (safe: boolean) => () => {
  const charge = fakeEffect<Charge>("charge", async (_key, amount) => amount, {
    idempotencyKey: (_key, _amount, key) => key,
  });
  return { app: appOf(charge, safe), effects: [charge] };
};

test("crashTest: one charge through every crash where the key is given; the missing key is found", async () => {
  const report = await crashTest(make(true), [order]);
  assert.deepEqual(report.problems, []);
  assert.ok(report.ok && report.points >= 8, `${report.points} points`);
  const unsafe = await crashTest(make(false), [order]);
  assert.equal(unsafe.ok, false);
  assert.ok(
    unsafe.problems.some(
      (problem) => problem.seen === 2 && problem.point === "after charge" && /idempotencyKey/.test(problem.advice),
    ),
  );
});

test("crashTest: state, announce and emit survive every crash; an effect that nobody awaits is found lost or doubled", async () => {
  const counter = (): { app: ReturnType<typeof defineApp>; effects: [] } => ({
    app: defineApp({
      name: "counter",
      subscriptions: [
        defineSubscription(
          "counter",
          { on: Order, emits: [Done], state: { schema: z.object({ n: z.number() }), initial: { n: 0 } } },
          async ({ data }, ctx) => {
            const n = ctx.state.get().n + 1;
            await ctx.announce(Done({ key: `${data.key}-begun`, n: data.n }));
            ctx.state.set({ n });
            ctx.emit(Done({ key: data.key, n }));
          },
        ),
      ],
    }),
    effects: [],
  });
  const report = await crashTest(
    counter,
    [1, 2, 3].map((n) => Order({ key: "a", n })),
  );
  assert.deepEqual(report.problems, []);
  assert.ok(report.points > 20);
});

test("crashTest: a report without points is not ok", async () => {
  const empty = await crashTest(() => ({ app: defineApp({ name: "empty", subscriptions: [] }), effects: [] }), []);
  assert.deepEqual([empty.ok, empty.points], [false, 0]);
});

test("crashTest: rows of a store's handler survive every crash, once; batches, ctx.write and state beside it too", async () => {
  const Placed = defineEvent("Placed", { schema: z.object({ id: z.string(), n: z.number() }), key: (data) => data.id });
  const Booked = defineEvent("Booked", { schema: z.object({ n: z.number() }) });
  const retry = { backoff: [1] };
  const subject = () => {
    let failed = false;
    const store = defineSubscription(
      "store",
      { on: Placed, emits: [Booked], store: sqliteStore(), retry },
      ({ data }, ctx) => {
        ctx.tx.run("INSERT INTO effect VALUES ('store', ?)", data.n);
        if (data.n === 2 && !failed) {
          failed = true;
          throw new Error("once, after its row");
        }
        ctx.emit(Booked({ n: data.n }));
      },
    );
    const batch = defineBatchSubscription(
      "batch",
      { on: Placed, store: sqliteStore(), batch: { max: 10 }, retry },
      (events, ctx) => {
        for (const { data } of events) ctx.tx.run("INSERT INTO effect VALUES ('batch', ?)", data.n);
      },
    );
    const write = defineBatchSubscription("write", { on: Placed, batch: { max: 10 }, retry }, async (events, ctx) => {
      for (const { data } of events) ctx.write(sql`INSERT INTO effect VALUES ('write', ${data.n})`);
    });
    const tables = ["CREATE TABLE effect(who, n)"];
    return { app: defineApp({ name: "crash", subscriptions: [store, batch, write] }), effects: [], tables };
  };
  const report = await crashTest(
    subject,
    [1, 2].map((n) => Placed({ id: "k", n })),
  );
  assert.deepEqual([report.problems, report.ok], [[], true]);
  assert.ok(report.points > 20, `${report.points}`);
});

test("crashTest: a row written beside the transaction is found lost or doubled", async () => {
  const Placed = defineEvent("Placed", { schema: z.object({ n: z.number() }) });
  const subject = () => {
    const elsewhere = fakeEffect("elsewhere", async (_n: number) => {});
    const store = defineSubscription("store", { on: Placed, store: sqliteStore() }, ({ data }, ctx) => {
      void elsewhere(data.n).catch(() => undefined);
      ctx.tx.run("INSERT INTO effect VALUES (?)", data.n);
    });
    const tables = ["CREATE TABLE effect(n)"];
    return { app: defineApp({ name: "crash", subscriptions: [store] }), effects: [elsewhere], tables };
  };
  const report = await crashTest(subject, [Placed({ n: 1 })]);
  assert.equal(report.ok, false);
  assert.ok(report.problems.every(({ effect }) => effect.startsWith("elsewhere")));
});
