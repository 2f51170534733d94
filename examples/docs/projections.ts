/** A read model, reading one's writes, a rebuild: what docs/guides/projections.md shows. */
import { defineApp, defineEvent, defineProjection, FactlogError, type Log, openLog, sql } from "factlog";
import { testLog } from "factlog/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

const folder = mkdtempSync(join(tmpdir(), "factlog-docs-"));
const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), cents: z.int() }),
  key: (order) => order.orderId,
});
const OrderShipped = defineEvent("OrderShipped", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
});

// #region define
const orders = defineProjection(
  "orders",
  {
    on: [OrderPlaced, OrderShipped],
    version: 1,
    tables: ["orders"],
    create: (t) => [
      sql`create table ${t.orders} (id text primary key, cents integer not null, status text not null)`,
      sql`create index ${t.orders}_by_status on ${t.orders} (status)`,
    ],
  },
  (event, ctx) => {
    const { orderId } = event.data;
    if (OrderShipped.is(event))
      ctx.write(sql`update ${ctx.tables.orders} set status = 'shipped' where id = ${orderId}`);
    else ctx.write(sql`insert into ${ctx.tables.orders} values (${orderId}, ${event.data.cents}, 'placed')`);
  },
);
// #endregion

// #region page
/** POST /orders: 201 with the order as the page shows it; 202 where the projection is behind. */
async function placeOrder(log: Log, body: { orderId: string; cents: number }) {
  const receipt = await log.publish(OrderPlaced(body));
  try {
    await log.caughtUp(orders, receipt, { timeout: "500ms" });
  } catch (error) {
    if (!(error instanceof FactlogError) || error.code !== "TIMEOUT") throw error;
    return { status: 202, body: { orderId: body.orderId } };
  }
  const [order] = await log.query(sql`select * from orders where id = ${body.orderId}`);
  return { status: 201, body: order };
}
// #endregion

const app = defineApp({ name: "shop", subscriptions: [orders] });
const log = await openLog(`sqlite:${join(folder, "shop.db")}`);
const worker = await log.work(app);
console.log(await placeOrder(log, { orderId: "o-1", cents: 1_199 }));

// #region rebuild
const generation = await log.operator.rebuild("orders");
for (;;) {
  const now = (await log.operator.projections()).find((one) => one.generation === generation);
  if (now?.state === "live") break;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log("generation", generation, await log.query(sql`select count(*) as orders from orders`));
// #endregion
await worker.stop();
await log.close();
rmSync(folder, { recursive: true });

// #region test
async function showsOrders(): Promise<void> {
  await using test = await testLog(app);
  await test.publish(OrderPlaced({ orderId: "o-1", cents: 500 }));
  await test.publish(OrderShipped({ orderId: "o-1" }));
  await test.settled();
  console.log(await test.query(sql`select status from orders`));
}
// #endregion
await showsOrders();
// Output:
// { status: 201, body: { id: 'o-1', cents: 1199, status: 'placed' } }
// generation 2 [ { orders: 1 } ]
// [ { status: 'shipped' } ]
