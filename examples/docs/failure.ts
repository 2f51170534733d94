/** docs/concepts/delivery-and-failure.md and docs/guides/dead-letters.md: one bad event, and what a person does about it. */
import { defineApp, defineEvent, defineSubscription, NonRetryable, openLog, RetryAfter } from "factlog";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), line: z.int() }),
  key: (order) => order.orderId,
});
const log = await openLog("memory:", { source: "shop", logger: { debug() {}, info() {}, warn() {}, error() {} } });
for (const [orderId, line] of [
  ["o-1", 1],
  ["o-2", 1],
  ["o-1", 2],
  ["o-3", 1],
] as const) {
  await log.publish(OrderPlaced({ orderId, line }));
}
const place = (event: { data: { orderId: string; line: number } }): string =>
  `${event.data.orderId} line ${event.data.line}`;

// #region verbs
const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, from: "beginning", retry: { attemptsMax: 3, backoff: ["10ms", "50ms"] } },
  async (event, ctx) => {
    if (event.data.orderId === "o-3" && ctx.attempt === 1) throw new RetryAfter("20ms", "the shelf is being counted");
    if (event.data.orderId === "o-1") throw new NonRetryable("no such shelf");
    console.log("reserved", place(event), "at attempt", ctx.attempt);
  },
);
// #endregion
const app = defineApp({ name: "shop", subscriptions: [warehouse] });

let summary = await log.drain(app);
while (summary.waiting > 0) summary = await log.drain(app);

// #region status
const [status] = await log.operator.status();
console.log("dead", status?.dead, "blocked keys", status?.blockedKeys, "held", status?.held);
// #endregion

// #region list
for await (const letter of log.operator.deadLetters({ subscription: "warehouse" })) {
  console.log(letter.key, letter.class, letter.attempts.length, letter.attempts[0]?.error.split("\n")[0]);
}
// #endregion

const mended = defineApp({
  name: "shop",
  subscriptions: [
    defineSubscription("warehouse", { on: OrderPlaced }, (event, ctx) =>
      console.log("reserved", place(event), ctx.mode),
    ),
  ],
});

// #region redrive
await log.operator.redrive({ subscription: "warehouse" }, { confirm: 1 });
await log.drain(mended);
// #endregion

// #region audit
for await (const event of log.read()) if (event.type.startsWith("factlog.operator.")) console.log(event.type);
// #endregion
await log.close();

// Output:
// reserved o-2 line 1 at attempt 1
// reserved o-3 line 1 at attempt 2
// dead 1 blocked keys 1 held 1
// o-1 non-retryable 1 NonRetryable: no such shelf
// reserved o-1 line 1 redrive
// reserved o-1 line 2 live
// factlog.operator.redriven
