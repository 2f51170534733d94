/** The checkout shop: five subscriptions, three processes; app.ts, web.ts and worker.ts in one file for reading. */
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { defineApp, defineSubscription, NonRetryable, openLog, RetryAfter, run } from "factlog";
import { z } from "zod";
import { OrderPlaced, OrderShipped, PaymentCaptured, PaymentDeclined, StockReserved } from "../events.ts";

interface Once {
  readonly idempotencyKey: string;
  readonly signal?: AbortSignal;
}
type Charge = { readonly ok: true; readonly amount: number } | { readonly ok: false; readonly reason: string };
declare const payments: { charge(orderId: string, total: number, once: Once): Promise<Charge> };
declare const warehouseApi: {
  reserve(
    lines: readonly { readonly sku: string; readonly quantity: number }[],
    once: Once,
  ): Promise<{ readonly status: number; readonly retryAfterMs?: number }>;
};
declare const carrier: { book(orderId: string, once: Once): Promise<{ readonly pickup: string }> };
declare const mail: { send(to: string, text: string, once: Once): Promise<void> };

// ── app.ts: pure, opens nothing ──
const payment = defineSubscription(
  "payment",
  { on: OrderPlaced, emits: [PaymentCaptured, PaymentDeclined] },
  async (event, ctx) => {
    const { orderId, total } = event.data;
    const once = { idempotencyKey: ctx.idempotencyKey("charge"), signal: ctx.signal };
    const result = await payments.charge(orderId, total, once);
    ctx.emit(
      result.ok
        ? PaymentCaptured({ orderId, amount: result.amount })
        : PaymentDeclined({ orderId, reason: result.reason }),
    );
  },
);
const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, emits: [StockReserved], concurrency: 16 },
  async (event, ctx) => {
    if (event.data.lines.length === 0) throw new NonRetryable("an order without lines");
    const answer = await warehouseApi.reserve(event.data.lines, { idempotencyKey: ctx.idempotencyKey("reserve") });
    if (answer.status === 429) throw new RetryAfter(answer.retryAfterMs ?? "5s");
    ctx.emit(StockReserved({ orderId: event.data.orderId }));
  },
);
/** Shipping needs both a payment and stock: `state` remembers, per order, what has arrived. */
const shipping = defineSubscription(
  "shipping",
  {
    on: [PaymentCaptured, StockReserved],
    emits: [OrderShipped],
    state: {
      schema: z.object({ paid: z.boolean(), reserved: z.boolean() }),
      initial: { paid: false, reserved: false },
    },
  },
  async (event, ctx) => {
    const arrived = event.type === "PaymentCaptured" ? { paid: true } : { reserved: true };
    const now = { ...ctx.state.get(), ...arrived };
    ctx.state.set(now);
    if (!now.paid || !now.reserved) return;
    // Per order, not per event: a second StockReserved must book no second pickup.
    const { pickup } = await carrier.book(event.data.orderId, { idempotencyKey: `ship/${event.data.orderId}` });
    ctx.emit(OrderShipped({ orderId: event.data.orderId, at: pickup }));
  },
);
const notification = defineSubscription(
  "notification",
  { on: [OrderShipped, PaymentDeclined], order: "none" },
  async (event, ctx) => {
    const text =
      event.type === "OrderShipped" ? `shipped ${event.data.at.toDateString()}` : `declined: ${event.data.reason}`;
    await mail.send(event.key ?? "", text, { idempotencyKey: ctx.idempotencyKey("mail") });
  },
);
const audit = defineSubscription(
  "audit",
  {
    on: [OrderPlaced, PaymentCaptured, PaymentDeclined, StockReserved, OrderShipped],
    from: "beginning",
    order: "log",
  },
  (event, ctx) => ctx.logger.info(event.type, { id: event.id }),
);

const app = defineApp({ name: "shop", subscriptions: [payment, warehouse, shipping, notification, audit] });
export default app;

// ── web.ts: process 1 ──
export async function web(): Promise<void> {
  await using log = await openLog("sqlite:shop.db");
  const server = createServer((request, response) => {
    const publish = async (): Promise<void> => {
      const data = (await json(request)) as Parameters<typeof OrderPlaced>[0];
      const correlationId = String(request.headers["x-request-id"] ?? crypto.randomUUID());
      const receipt = await log.publish(OrderPlaced(data, { correlationId }));
      response.writeHead(202).end(JSON.stringify(receipt));
    };
    publish().catch((error: unknown) => response.writeHead(400).end(String(error)));
  });
  await using worker = await log.work(app, { only: ["audit"] });
  server.listen(3000);
  await worker.stopped;
}

// ── worker-money.ts and worker-goods.ts: processes 2 and 3 ──
export const money = (): Promise<void> => run(app, { only: ["payment", "notification"] });
export const goods = (): Promise<void> => run(app, { only: ["warehouse", "shipping"] });
