/**
 * The shop. A pure value: importing it opens nothing.
 *
 *     web -> OrderPlaced -+-> payment   -> PaymentCaptured -+
 *                         +-> warehouse -> StockReserved   -+-> shipping -> OrderShipped -> notification
 *                         +-> loyalty
 *                         +-> sales (a projection: what was sold on each day)
 *                         +-> expiry    -> PaymentDue, a day later -> OrderExpired, if nobody has paid
 *
 * A handler may run more than once; what it does happens once:
 * - the next fact (`ctx.emit`), rows in the shop's own tables (`ctx.write`) and `ctx.state` are committed together with the
 *   end of the delivery;
 * - the outside world is asked under `ctx.idempotencyKey`, which is the same at every run, so that it can tell a repetition.
 */
import { defineApp, defineSubscription, sql } from "factlog";
import { z } from "zod";
import { OrderExpired, OrderPlaced, OrderShipped, PaymentCaptured, PaymentDue, StockReserved } from "./events.ts";
import { bank, carrier, depot, post } from "./outside.ts";
import { sales } from "./sales.ts";

/** A new reader of this log starts with the first fact, even if the web was quicker to start. */
const from = "beginning";

const payment = defineSubscription(
  "payment",
  { on: OrderPlaced, emits: [PaymentCaptured], from },
  async (event, ctx) => {
    const { orderId, cents } = event.data;
    await bank.charge({ orderId, cents }, { idempotencyKey: ctx.idempotencyKey("charge"), signal: ctx.signal });
    ctx.emit(PaymentCaptured({ orderId }));
  },
);

export const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, emits: [StockReserved], from },
  async (event, ctx) => {
    const { orderId, cds } = event.data;
    await depot.reserve({ orderId, cds }, { idempotencyKey: ctx.idempotencyKey("reserve"), signal: ctx.signal });
    ctx.emit(StockReserved({ orderId }));
  },
);

/** Ships once an order is both paid and reserved, in whichever order that happens. */
const shipping = defineSubscription(
  "shipping",
  {
    on: [PaymentCaptured, StockReserved],
    emits: [OrderShipped],
    from,
    state: {
      schema: z.object({ paid: z.boolean(), reserved: z.boolean() }),
      initial: { paid: false, reserved: false },
    },
  },
  async (event, ctx) => {
    const { orderId } = event.data;
    const order = ctx.state.get();
    if (PaymentCaptured.is(event)) order.paid = true;
    else order.reserved = true;
    if (!order.paid || !order.reserved) return ctx.state.set(order);
    await carrier.ship({ orderId }, { idempotencyKey: ctx.idempotencyKey("ship"), signal: ctx.signal });
    ctx.emit(OrderShipped({ orderId }));
    ctx.state.delete();
  },
);

/** Letters need no order. */
const notification = defineSubscription(
  "notification",
  { on: OrderShipped, order: "none", from },
  async (event, ctx) => {
    const { orderId } = event.data;
    await post.mail({ orderId }, { idempotencyKey: ctx.idempotencyKey("mail"), signal: ctx.signal });
    ctx.write(sql`insert into letters (order_id) values (${orderId})`);
  },
);

/** An account per customer: a row a purchase, each with the sum so far, so a purchase out of order would show. */
const loyalty = defineSubscription(
  "loyalty",
  { on: OrderPlaced, from, state: { schema: z.object({ cents: z.int() }), initial: { cents: 0 } } },
  (event, ctx) => {
    const { orderId, customerId, cds, cents } = event.data;
    const sum = ctx.state.get().cents + cents;
    ctx.state.set({ cents: sum });
    ctx.write(
      sql`insert into loyalty (order_id, customer_id, cds, cents, sum) values (${orderId}, ${customerId}, ${cds}, ${cents}, ${sum})`,
    );
  },
);

/** A payment that is not captured within a day: facts and a state, so that what waits costs a row and nothing else. */
const expiry = defineSubscription(
  "expiry",
  {
    on: [OrderPlaced, PaymentCaptured, PaymentDue],
    emits: [PaymentDue, OrderExpired],
    from,
    state: { schema: z.enum(["open", "paid"]), initial: "open" },
  },
  (event, ctx) => {
    const { orderId } = event.data;
    if (OrderPlaced.is(event)) return ctx.emit(PaymentDue({ orderId }), { after: "24h" });
    if (PaymentCaptured.is(event)) return ctx.state.set("paid");
    if (ctx.state.get() === "open") ctx.emit(OrderExpired({ orderId }));
    ctx.state.delete();
  },
);

const shop = defineApp({
  name: "shop",
  subscriptions: [payment, warehouse, shipping, notification, loyalty, sales, expiry],
});
export default shop;
