/** docs/guides/effects.md and docs/guides/stores.md: which way for which effect, on SQLite. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { defineApp, defineBatchSubscription, defineEvent, defineSubscription, openLog, sql } from "factlog";
import { sqliteStore } from "factlog/sqlite";
import { crashTest } from "factlog/testing";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), sku: z.string(), quantity: z.int() }),
  key: (order) => order.sku,
  id: (order) => order.orderId,
});
const StockReserved = defineEvent("StockReserved", { schema: z.object({ orderId: z.string() }) });
async function sendMail(orderId: string, options: { idempotencyKey: string }): Promise<void> {
  console.log("mail", orderId, options.idempotencyKey.length);
}

const folder = mkdtempSync(join(tmpdir(), "factlog-docs-"));
const file = join(folder, "shop.db");
const tables = [
  "CREATE TABLE stock(sku TEXT PRIMARY KEY, free INTEGER)",
  "CREATE TABLE reservation(order_id TEXT, quantity INTEGER)",
  "CREATE TABLE journal(order_id TEXT)",
  "INSERT INTO stock VALUES ('cd', 10)",
];

// #region write
const journal = defineSubscription("journal", { on: OrderPlaced }, async (event, ctx) => {
  ctx.write(sql`INSERT INTO journal(order_id) VALUES (${event.data.orderId})`);
});
// #endregion

// #region sqlite
const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, emits: [StockReserved], store: sqliteStore() },
  (event, ctx) => {
    const { orderId, sku, quantity } = event.data;
    const stock = ctx.tx.get<{ free: number }>("SELECT free FROM stock WHERE sku = ?", sku);
    if ((stock?.free ?? 0) < quantity) throw new Error(`${sku} is sold out`); // all of it is rolled back, and tried again
    ctx.tx.run("UPDATE stock SET free = free - ? WHERE sku = ?", quantity, sku);
    ctx.tx.run("INSERT INTO reservation(order_id, quantity) VALUES (?, ?)", orderId, quantity);
    ctx.emit(StockReserved({ orderId }));
  },
);
// #endregion

// #region key
const mail = defineSubscription("mail", { on: StockReserved }, async (event, ctx) => {
  await sendMail(event.data.orderId, { idempotencyKey: ctx.idempotencyKey("mail") });
});
// #endregion

// #region batch
const totals = defineBatchSubscription(
  "totals",
  { on: OrderPlaced, batch: { max: 500, linger: "50ms" }, store: sqliteStore() },
  (events, ctx) => {
    for (const event of events) {
      if (event.data.quantity > 100) ctx.fail(event, new Error("nobody orders so many"));
      else ctx.tx.run("INSERT INTO reservation(order_id, quantity) VALUES (?, 0)", event.data.orderId);
    }
  },
);
// #endregion

await using log = await openLog(`sqlite:${file}`);
const own = new DatabaseSync(file, { timeout: 5_000 });
for (const text of tables) own.exec(text);
const app = defineApp({ name: "shop", subscriptions: [journal, warehouse, mail, totals] });
await log.drain(app);
await log.publish(OrderPlaced({ orderId: "o-1", sku: "cd", quantity: 3 }));
await log.drain(app);
for (const table of ["stock", "reservation", "journal"]) {
  const rows = own.prepare(`SELECT * FROM ${table}`).all();
  console.log(
    table,
    rows
      .map((row) => JSON.stringify(row))
      .toSorted()
      .join(" "),
  );
}
own.close();
rmSync(folder, { recursive: true });

// #region crash
const report = await crashTest(
  () => ({ app: defineApp({ name: "shop", subscriptions: [warehouse] }), effects: [], tables }),
  [OrderPlaced({ orderId: "o-1", sku: "cd", quantity: 3 })],
);
console.log("ok", report.ok, "problems", report.problems.length);
// #endregion

// Output:
// mail o-1 32
// stock {"sku":"cd","free":7}
// reservation {"order_id":"o-1","quantity":0} {"order_id":"o-1","quantity":3}
// journal {"order_id":"o-1"}
// ok true problems 0
