/** docs/concepts/events.md: old facts through a new definition. */
import { defineEvent, openLog, upcast } from "factlog";
import { z } from "zod";

const log = await openLog("memory:");
const PricedOnce = defineEvent("Priced", { schema: z.object({ sku: z.string(), cents: z.int() }) });
await log.publish(PricedOnce({ sku: "cd", cents: 1299 }));

// #region upcast
const First = z.object({ sku: z.string(), cents: z.int() });
const Priced = defineEvent("Priced", {
  schema: z.object({ sku: z.string(), amount: z.number(), currency: z.string().default("EUR") }),
  version: 2,
  upcasts: [upcast(1, First, (old) => ({ sku: old.sku, amount: old.cents / 100 }))],
});
for await (const event of log.read({ on: Priced })) {
  console.log(event.data.amount, event.data.currency, Buffer.from(event.raw()).toString());
}
// #endregion

await log.close();

// Output:
// 12.99 EUR {"sku":"cd","cents":1299}
