/** docs/guides/testing-your-handlers.md: no worker process, no waiting, and a crash at every point. */
import { type App, defineApp, defineEvent, defineSubscription } from "factlog";
import { crashTest, fakeEffect, testLog } from "factlog/testing";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
});
const PaymentCaptured = defineEvent("PaymentCaptured", { schema: z.object({ orderId: z.string() }) });

type Charge = (orderId: string, idempotencyKey: string) => Promise<void>;
// #region app
const shop = (charge: Charge): App => {
  const payment = defineSubscription(
    "payment",
    { on: OrderPlaced, emits: [PaymentCaptured] },
    async ({ data }, ctx) => {
      await charge(data.orderId, ctx.idempotencyKey("charge"));
      ctx.emit(PaymentCaptured({ orderId: data.orderId }));
    },
  );
  return defineApp({ name: "shop", subscriptions: [payment] });
};
// #endregion

// #region settled
async function paysOnce(): Promise<void> {
  await using log = await testLog(shop(async () => {}));
  await log.publish(OrderPlaced({ orderId: "o-1" }));
  await log.settled();
  console.log("payments", (await log.eventsOf(PaymentCaptured)).length);
}
// #endregion
await paysOnce();

// #region advance
async function givesUp(): Promise<void> {
  let tries = 0;
  const broken: Charge = async () => {
    tries++;
    throw new Error("the provider is away");
  };
  await using log = await testLog(shop(broken));
  await log.publish(OrderPlaced({ orderId: "o-1" }));
  await log.settled();
  console.log("tries at once", tries);
  await log.advance("2h");
  console.log("tries in two hours", tries, "dead", (await log.deadLetters()).length);
}
// #endregion
await givesUp();

// #region crash
const report = await crashTest(() => {
  const charge = fakeEffect<Charge>("charge", async () => {}, { idempotencyKey: (_orderId, key) => key });
  return { app: shop(charge), effects: [charge] };
}, [OrderPlaced({ orderId: "o-1" })]);
console.log("ok", report.ok, "points", report.points > 5, "problems", report.problems.length);
// #endregion

// Output:
// payments 1
// tries at once 1
// tries in two hours 8 dead 1
// ok true points true problems 0
