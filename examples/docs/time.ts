/** Facts that come later, as in docs/guides/time.md. */
import { defineApp, defineEvent, defineSchedule, defineSubscription } from "factlog";
import { testLog } from "factlog/testing";
import { z } from "zod";

const order = { schema: z.object({ orderId: z.string() }), key: (data: { orderId: string }) => data.orderId };
const OrderPlaced = defineEvent("OrderPlaced", order);
const PaymentCaptured = defineEvent("PaymentCaptured", order);
const PaymentDue = defineEvent("PaymentDue", order);
const OrderExpired = defineEvent("OrderExpired", order);
const ReportDue = defineEvent("ReportDue", { schema: z.object({ day: z.string() }) });

// #region later
async function later(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", events: [PaymentDue], subscriptions: [] }));
  await log.publish(PaymentDue({ orderId: "o-1" }, { id: "due-o-1" }), { after: "24h" });
  await log.publish(PaymentDue({ orderId: "o-2" }, { id: "due-o-2" }), { after: "24h" });
  await log.cancel("due-o-2");
  await log.advance("24h");
  console.log("due", (await log.eventsOf(PaymentDue)).map((event) => event.data.orderId).join());
}
// #endregion

// #region process manager
const expiry = defineSubscription(
  "expiry",
  {
    on: [OrderPlaced, PaymentCaptured, PaymentDue],
    emits: [PaymentDue, OrderExpired],
    state: { schema: z.enum(["open", "paid"]), initial: "open" },
  },
  (event, ctx) => {
    const { orderId } = event.data;
    switch (event.type) {
      case "OrderPlaced":
        return ctx.emit(PaymentDue({ orderId }), { after: "24h" });
      case "PaymentCaptured":
        return ctx.state.set("paid");
      case "PaymentDue":
        if (ctx.state.get() === "open") ctx.emit(OrderExpired({ orderId }));
        return ctx.state.delete();
    }
  },
);

async function expires(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", subscriptions: [expiry] }));
  await log.publish(OrderPlaced({ orderId: "paid" }));
  await log.publish(OrderPlaced({ orderId: "late" }));
  await log.settled();
  await log.publish(PaymentCaptured({ orderId: "paid" }));
  await log.advance("25h");
  console.log("expired", (await log.eventsOf(OrderExpired)).map((event) => event.data.orderId).join());
}
// #endregion

// #region schedules
const nightly = defineSchedule<typeof ReportDue>(
  "nightly",
  { cron: "0 2 * * *", timeZone: "Europe/Berlin" },
  ({ at }) => ReportDue({ day: at.toISOString().slice(0, 10) }),
);

async function reports(): Promise<void> {
  await using log = await testLog(
    defineApp({ name: "shop", events: [ReportDue], subscriptions: [], schedules: [nightly] }),
  );
  await log.advance("3d");
  console.log("reports", (await log.eventsOf(ReportDue)).length);
}
// #endregion

await later();
await expires();
await reports();

// Output:
// due o-1
// expired late
// reports 3
