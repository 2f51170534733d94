/** docs/concepts/events.md: what an event is, and what publishing answers. */
import { defineEvent, FactlogError, newEventFromJson, openLog } from "factlog";
import { z } from "zod";

// #region define
const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), tenant: z.string(), total: z.number() }),
  key: (order) => order.orderId, // what must stay in order
  id: (order) => order.orderId, // published twice = one fact
  group: (order) => order.tenant, // who it belongs to
});
// #endregion

// #region publish
const log = await openLog("memory:", { source: "shop" });
const first = await log.publish(OrderPlaced({ orderId: "o-1", tenant: "acme", total: 20 }));
const again = await log.publish(OrderPlaced({ orderId: "o-1", tenant: "acme", total: 20 }));
console.log(first.duplicate, again.duplicate, again.position === first.position);
// #endregion

// #region refused
const code = (error: unknown): unknown => (error instanceof FactlogError ? error.code : error);
await log
  .publish(OrderPlaced({ orderId: "o-1", tenant: "acme", total: 21 }))
  .catch((error) => console.log(code(error)));
await log.publish(newEventFromJson(OrderPlaced, '{"orderId":"o-2"}')).catch((error) => console.log(code(error)));
// #endregion

// #region batch
const receipts = await log.publishAll([
  OrderPlaced({ orderId: "o-3", tenant: "acme", total: 5 }),
  OrderPlaced({ orderId: "o-4", tenant: "acme", total: 6 }),
]);
console.log(receipts.map((receipt) => receipt.id).join(" "));
// #endregion

// #region attributes
await log.publish(
  OrderPlaced(
    { orderId: "o-5", tenant: "acme", total: 7 },
    { correlationId: "request-17", time: new Date("2026-11-23T08:00:00Z"), extensions: { channel: "phone" } },
  ),
);
for await (const event of log.read({ on: OrderPlaced, key: "o-5" })) {
  console.log(
    event.id,
    event.source,
    event.group,
    event.correlationId,
    event.time.toISOString(),
    event.extensions["channel"],
  );
}
// #endregion

await log.close();

// Output:
// false true true
// ID_CONFLICT
// INVALID_DATA
// o-3 o-4
// o-5 shop acme request-17 2026-11-23T08:00:00.000Z phone
