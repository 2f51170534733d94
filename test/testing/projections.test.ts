/** Projections and process managers under every crash, on a virtual clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { OrderExpired, OrderPlaced, PaymentCaptured } from "../../examples/shop/events.ts";
import shop from "../../examples/shop/app.ts";
import { appSpecOf } from "../../src/app/app.ts";
import { subscriptionOf } from "../../src/app/subscription.ts";
import { defineApp, defineEvent, defineProjection, defineSubscription, sql } from "../../src/index.ts";
import { sqliteStore } from "../../src/engines/sqlite/index.ts";
import { crashTest, testLog } from "../../src/testing/index.ts";

const Placed = defineEvent("Placed", { schema: z.object({ id: z.string(), n: z.number() }), key: (data) => data.id });
const Due = defineEvent("Due", { schema: z.object({ id: z.string() }), key: (data) => data.id });
const Expired = defineEvent("Expired", { schema: z.object({ id: z.string() }), key: (data) => data.id });
const three = [1, 2, 3].map((n) => Placed({ id: `k${n % 2}`, n }));

/** A table that would have a row for each time that an event was applied, and a sum. */
const create = (t: { readonly applied: ReturnType<typeof sql>; readonly sums: ReturnType<typeof sql> }) => [
  sql`create table ${t.applied} (n integer)`,
  sql`create table ${t.sums} (k text primary key, n integer)`,
];

test("crashTest: a projection applies each event once through every crash, by ctx.write and by ctx.tx", async () => {
  const subject = () => {
    const written = defineProjection(
      "written",
      { on: Placed, version: 1, tables: ["applied", "sums"], create },
      ({ data }, ctx) => {
        ctx.write(sql`insert into ${ctx.tables.applied} values (${data.n})`);
        ctx.write(
          sql`insert into ${ctx.tables.sums} as s values (${data.id}, ${data.n}) on conflict (k) do update set n = s.n + excluded.n`,
        );
      },
    );
    const stored = defineProjection(
      "stored",
      {
        on: Placed,
        version: 1,
        tables: ["seen"],
        store: sqliteStore(),
        create: (t) => [sql`create table ${t.seen} (n integer, before integer)`],
      },
      ({ data }, ctx) => {
        const table = ctx.tables.seen.text[0];
        const { n } = ctx.tx.get<{ n: number }>(`select count(*) as n from ${table}`)!;
        ctx.tx.run(`insert into ${table} values (?, ?)`, data.n, n);
      },
    );
    return { app: defineApp({ name: "crash", subscriptions: [written, stored] }), effects: [] };
  };
  const report = await crashTest(subject, three);
  assert.deepEqual([report.problems, report.ok], [[], true]);
  assert.ok(report.points > 20, `${report.points}`);
});

test("crashTest: a process manager states its end once, though its process dies anywhere", async () => {
  const subject = () => {
    const manager = defineSubscription(
      "manager",
      { on: [Placed, Due], emits: [Due, Expired], state: { schema: z.enum(["open", "gone"]), initial: "gone" } },
      (event, ctx) => {
        const { id } = event.data;
        if (Placed.is(event)) {
          ctx.state.set("open");
          return ctx.emit(Due({ id }), { after: "24h", name: "due" });
        }
        if (ctx.state.get() === "open") ctx.emit(Expired({ id }));
        ctx.state.delete();
      },
    );
    return { app: defineApp({ name: "crash", subscriptions: [manager] }), effects: [] };
  };
  const report = await crashTest(subject, [Placed({ id: "a", n: 1 }), Placed({ id: "b", n: 2 })]);
  assert.deepEqual([report.problems, report.ok], [[], true]);
  assert.ok(report.points > 10, `${report.points}`);
});

/** Of the shop, as it is, without those who ask the outside world. */
const part = (...names: readonly string[]) =>
  defineApp({
    name: "shop",
    events: [PaymentCaptured],
    subscriptions: appSpecOf(shop)
      .subscriptions.filter((spec) => names.includes(spec.name))
      .map((spec) => subscriptionOf(spec.name, spec.kind, spec)),
  });
const placed = (orderId: string, cents: number, date = "1997-01-01") =>
  OrderPlaced({ orderId, customerId: "c", date, cds: 1, cents });

test("the shop: an order that nobody pays for within a day expires, one that is paid does not", async () => {
  await using log = await testLog(part("expiry"));
  await log.publishAll([placed("paid", 100), placed("unpaid", 200)]);
  await log.publish(PaymentCaptured({ orderId: "paid" }));
  await log.advance("23h");
  assert.deepEqual(await log.eventsOf(OrderExpired), []);
  await log.advance("2h");
  assert.deepEqual(
    (await log.eventsOf(OrderExpired)).map(({ data }) => data),
    [{ orderId: "unpaid" }],
  );
  await log.advance("48h");
  assert.equal((await log.eventsOf(OrderExpired)).length, 1);
});

test("the shop: sales of a day are added up, and a test reads them", async () => {
  await using log = await testLog(part("sales"));
  await log.publishAll([placed("a", 100), placed("b", 250), placed("c", 70, "1997-01-02"), placed("a", 100)]);
  await log.settled();
  assert.deepEqual(await log.query(sql`select * from daily_sales order by day`), [
    { day: "1997-01-01", purchases: 2, cds: 2, cents: 350 },
    { day: "1997-01-02", purchases: 1, cds: 1, cents: 70 },
  ]);
});
