/** Steps and waits, as in docs/guides/steps.md. */
import { defineApp, defineEvent, defineSubscription } from "factlog";
import { testLog } from "factlog/testing";
import { z } from "zod";

const order = { schema: z.object({ orderId: z.string() }), key: (data: { orderId: string }) => data.orderId };
const RefundAsked = defineEvent("RefundAsked", order);
const PaymentReturned = defineEvent("PaymentReturned", order);
const RefundDone = defineEvent("RefundDone", order);
const RefundRejected = defineEvent("RefundRejected", order);

const calls: string[] = [];
async function lookUp(orderId: string): Promise<{ readonly cents: number }> {
  calls.push(`look up ${orderId}`);
  return { cents: 1_999 };
}
async function returnPayment(orderId: string, key: string): Promise<void> {
  calls.push(`return ${orderId} under a key of ${key.length} characters`);
}

// #region refund
const refund = defineSubscription(
  "refund",
  { on: RefundAsked, emits: [RefundDone, RefundRejected] },
  async (event, ctx) => {
    const { orderId } = event.data;
    const { cents } = await ctx.step("look up", () => lookUp(orderId));

    const answer = await ctx.approval("approve", { summary: `refund ${cents} cents of ${orderId}?`, timeout: "3d" });
    if (!answer.approved) return ctx.emit(RefundRejected({ orderId }));

    await ctx.step("return", ({ idempotencyKey }) => returnPayment(orderId, idempotencyKey), { onAmbiguous: "ask" });
    const returned = await ctx.waitFor("returned", PaymentReturned, { key: orderId, timeout: "14d" });
    if (returned !== null) ctx.emit(RefundDone({ orderId }));
  },
);
// #endregion

// #region days
async function days(): Promise<void> {
  await using log = await testLog(
    defineApp({ name: "shop", events: [RefundAsked, PaymentReturned], subscriptions: [refund] }),
  );
  await log.publish(RefundAsked({ orderId: "o-1" }));
  await log.advance("1d");
  for await (const { id, summary } of log.operator.approvals()) {
    console.log(summary);
    await log.operator.answer(id, { approved: true, by: "ada" });
  }
  await log.advance("2d");
  await log.publish(PaymentReturned({ orderId: "o-1" }));
  await log.settled();
  console.log("refunds", (await log.eventsOf(RefundDone)).length);
}
// #endregion

await days();
console.log(calls.join("\n"));

// Output:
// refund 1999 cents of o-1?
// refunds 1
// look up o-1
// return o-1 under a key of 32 characters
