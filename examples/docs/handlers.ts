/** docs/guides/handlers.md: what a handler can do. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { defineApp, defineEvent, defineSubscription, openLog, sql } from "factlog";
import { z } from "zod";

const folder = mkdtempSync(join(tmpdir(), "factlog-docs-"));
const file = join(folder, "shop.db");
const order = z.object({ orderId: z.string() });
const about = { key: (data: { orderId: string }) => data.orderId, id: (data: { orderId: string }) => data.orderId };
const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), sku: z.string(), quantity: z.int() }),
  ...about,
});
const PaymentCaptured = defineEvent("PaymentCaptured", {
  schema: order,
  ...about,
  id: (data) => `paid/${data.orderId}`,
});
const StockReserved = defineEvent("StockReserved", {
  schema: order,
  ...about,
  id: (data) => `reserved/${data.orderId}`,
});
const OrderShipped = defineEvent("OrderShipped", { schema: order, ...about, id: (data) => `shipped/${data.orderId}` });
const ReportStarted = defineEvent("ReportStarted", { schema: order, key: (data) => data.orderId });
async function charge(orderId: string, request: { idempotencyKey: string; signal: AbortSignal }): Promise<void> {
  request.signal.throwIfAborted();
  console.log("charge", orderId, request.idempotencyKey.length);
}

// #region emit
const payment = defineSubscription("payment", { on: OrderPlaced, emits: [PaymentCaptured] }, async (event, ctx) => {
  await charge(event.data.orderId, { idempotencyKey: ctx.idempotencyKey("charge"), signal: ctx.signal });
  ctx.emit(PaymentCaptured({ orderId: event.data.orderId }));
});
// #endregion

// #region write
const warehouse = defineSubscription("warehouse", { on: OrderPlaced, emits: [StockReserved] }, (event, ctx) => {
  const { orderId, sku, quantity } = event.data;
  ctx.write(sql`INSERT INTO reservation(order_id, sku, quantity) VALUES (${orderId}, ${sku}, ${quantity})`);
  ctx.emit(StockReserved({ orderId }));
});
// #endregion

// #region state
const shipping = defineSubscription(
  "shipping",
  {
    on: [PaymentCaptured, StockReserved],
    emits: [OrderShipped],
    state: {
      schema: z.object({ paid: z.boolean(), reserved: z.boolean() }),
      initial: { paid: false, reserved: false },
    },
  },
  (event, ctx) => {
    const now = { ...ctx.state.get(), ...(PaymentCaptured.is(event) ? { paid: true } : { reserved: true }) };
    ctx.state.set(now);
    if (now.paid && now.reserved) ctx.emit(OrderShipped({ orderId: event.data.orderId }));
  },
);
// #endregion

// #region announce
const report = defineSubscription("report", { on: OrderShipped, emits: [ReportStarted] }, async (event, ctx) => {
  await ctx.announce(ReportStarted({ orderId: event.data.orderId }), { name: "started" });
  if (ctx.attempt === 1) throw new Error("the printer is off"); // ReportStarted stays, and is not repeated
});
// #endregion

const app = defineApp({ name: "shop", subscriptions: [payment, warehouse, shipping, report] });
const log = await openLog(`sqlite:${file}`, { source: "shop" });

await log.drain(app); // the subscriptions are there from now on, and start at an empty log
// #region table
const tables = new DatabaseSync(file); // the log made the file; your own tables may stand beside its own
tables.exec("CREATE TABLE reservation(order_id TEXT PRIMARY KEY, sku TEXT, quantity INTEGER) STRICT");
// #endregion

await log.publish(OrderPlaced({ orderId: "o-1", sku: "cd", quantity: 2 }));
let waiting = 1;
while (waiting > 0) ({ waiting } = await log.drain(app));
const chain: string[] = [];
for await (const event of log.read({ correlationId: "o-1" })) chain.push(event.type);
console.log(chain.toSorted().join(" "));
console.log(JSON.stringify(tables.prepare("SELECT * FROM reservation").all()));

tables.close();
await log.close();
rmSync(folder, { recursive: true });

// Output:
// charge o-1 32
// OrderPlaced OrderShipped PaymentCaptured ReportStarted StockReserved
// [{"order_id":"o-1","sku":"cd","quantity":2}]
