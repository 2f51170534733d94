/** docs/reference/cloudevents.md: a fact in the form that other systems read. */
import { defineEvent, newEventFromJson, openLog, toCloudEvent, toCloudEventJson } from "factlog";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), total: z.number() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
});
const log = await openLog("memory:", { source: "shop" });
const time = new Date("2026-11-23T08:00:00Z");

// #region cloudevent
await log.publish(OrderPlaced({ orderId: "o-1", total: 20 }, { time, extensions: { channel: "web" } }));
for await (const event of log.read({ on: OrderPlaced })) {
  const { recordedtime: _, ...fields } = toCloudEvent(event);
  console.log(JSON.stringify(fields, null, 2));
}
// #endregion

// #region bytes
await log.publish(newEventFromJson(OrderPlaced, '{ "orderId": "o-2", "total": 20.00 }'));
for await (const event of log.read({ on: OrderPlaced, key: "o-2" }))
  console.log(toCloudEventJson(event).split('"data":')[1]);
// #endregion
await log.close();

// Output:
// {
//   "specversion": "1.0",
//   "id": "o-1",
//   "source": "shop",
//   "type": "OrderPlaced",
//   "datacontenttype": "application/json",
//   "dataschema": "factlog:OrderPlaced:1",
//   "time": "2026-11-23T08:00:00.000Z",
//   "partitionkey": "o-1",
//   "correlationid": "o-1",
//   "sequence": "0000000000000001",
//   "channel": "web",
//   "data": {
//     "orderId": "o-1",
//     "total": 20
//   }
// }
// { "orderId": "o-2", "total": 20.00 }}
