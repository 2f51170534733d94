/** docs/concepts/subscriptions.md: readers of their own, where they start, what order they keep. */
import { defineApp, defineEvent, defineSubscription, type FactlogError, openLog } from "factlog";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), total: z.number() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
});
const log = await openLog("memory:", { source: "shop" });
for (const [orderId, total] of [
  ["o-1", 20],
  ["o-2", 5],
  ["o-3", 70],
] as const) {
  await log.publish(OrderPlaced({ orderId, total }));
}

// #region from
const forecast = defineSubscription("forecast", { on: OrderPlaced }, (event) => console.log("forecast", event.id));
const app = defineApp({ name: "shop", subscriptions: [forecast] });
await log.drain(app).catch((error: FactlogError) => console.log(error.code, error.details["history"]));
// #endregion

// #region beginning
const fromTheStart = defineSubscription(
  "forecast",
  { on: OrderPlaced, from: "beginning", order: "log", filter: (event) => event.data.total > 10 },
  (event) => console.log("forecast", event.id),
);
const summary = await log.drain(defineApp({ name: "shop", subscriptions: [fromTheStart] }));
console.log(summary.drained, summary.deliveries);
// #endregion

// #region later
await log.publish(OrderPlaced({ orderId: "o-4", total: 12 }));
await log.drain(defineApp({ name: "shop", subscriptions: [fromTheStart] }));
// #endregion

await log.close();

// Output:
// FROM_REQUIRED 3
// forecast o-1
// forecast o-3
// true 3
// forecast o-4
