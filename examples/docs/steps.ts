/** Steps and waits, as in docs/guides/steps.md. */
import { currentStep, defineApp, defineEvent, defineSubscription } from "factlog";
import { testLog } from "factlog/testing";
import { z } from "zod";

const order = { schema: z.object({ orderId: z.string() }), key: (data: { orderId: string }) => data.orderId };
const OrderPlaced = defineEvent("OrderPlaced", order);
const PaymentCaptured = defineEvent("PaymentCaptured", order);
const OrderShipped = defineEvent("OrderShipped", order);
const OrderRefunded = defineEvent("OrderRefunded", order);

// #region steps
const shipping = defineSubscription("shipping", { on: OrderPlaced, emits: [OrderShipped] }, async (event, ctx) => {
  const { orderId } = event.data;
  const label = await ctx.step("label", ({ idempotencyKey }) => printLabel(orderId, idempotencyKey));
  await ctx.step("courier", () => callCourier(label), { retry: { attemptsMax: 3, backoff: ["10s"] } });
  ctx.emit(OrderShipped({ orderId }));
});
// #endregion

// #region waits
const reminder = defineSubscription("reminder", { on: OrderPlaced }, async (event, ctx) => {
  const { orderId } = event.data;
  const paid = await ctx.waitFor("payment", PaymentCaptured, { key: orderId, timeout: "3d" });
  if (paid !== null) return;
  await ctx.step("remind", () => sendReminder(orderId));
  await ctx.sleep("a week", "7d");
  await ctx.step("last call", () => sendReminder(orderId));
});
// #endregion

// #region approvals
const refunds = defineSubscription("refunds", { on: OrderPlaced, emits: [OrderRefunded] }, async (event, ctx) => {
  const { orderId } = event.data;
  const answer = await ctx.approval("refund", { summary: `refund ${orderId}?`, details: { orderId }, timeout: "24h" });
  if (!answer.approved) return console.log("not refunded:", answer.reason);
  await ctx.step("refund", () => refund(orderId), { onAmbiguous: "ask" });
  ctx.emit(OrderRefunded({ orderId }));
});
// #endregion

// #region inside
async function refund(orderId: string): Promise<void> {
  const { idempotencyKey, signal } = currentStep(); // no ctx needed
  signal.throwIfAborted();
  console.log("refund", orderId, "under a key of", idempotencyKey.length, "characters");
}
// #endregion

let calls = 0;
async function printLabel(orderId: string, key: string): Promise<{ readonly number: string }> {
  console.log("label for", orderId, key.length);
  return { number: "L-1" };
}
async function callCourier(label: { readonly number: string }): Promise<void> {
  if (++calls < 3) throw new Error("engaged");
  console.log("courier takes", label.number, "at call", calls);
}
async function sendReminder(orderId: string): Promise<void> {
  console.log("remind", orderId);
}

async function ships(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", subscriptions: [shipping] }));
  await log.publish(OrderPlaced({ orderId: "o-1" }));
  await log.advance("1m");
  console.log("shipped", (await log.eventsOf(OrderShipped)).length);
}
async function reminds(): Promise<void> {
  const app = defineApp({ name: "shop", events: [PaymentCaptured], subscriptions: [reminder] });
  await using log = await testLog(app);
  await log.publish(OrderPlaced({ orderId: "paid" }));
  await log.publish(OrderPlaced({ orderId: "late" }));
  await log.publish(PaymentCaptured({ orderId: "paid" }));
  await log.advance("4d");
  await log.advance("7d");
}
async function asks(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", subscriptions: [refunds] }));
  await log.publish(OrderPlaced({ orderId: "o-1" }));
  await log.publish(OrderPlaced({ orderId: "o-2" }));
  await log.settled();
  // #region answer
  for await (const { id, summary } of log.operator.approvals()) {
    await log.operator.answer(id, { approved: summary === "refund o-1?", by: "ada", comment: "looked at it" });
  }
  // #endregion
  await log.settled();
  console.log("refunded", (await log.eventsOf(OrderRefunded)).map((event) => event.data.orderId).join());
}

await ships();
await reminds();
await asks();

// Output:
// label for o-1 32
// courier takes L-1 at call 3
// shipped 1
// remind late
// remind late
// not refunded: rejected
// refund o-1 under a key of 32 characters
// refunded o-1
