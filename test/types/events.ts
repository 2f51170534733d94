import { type } from "arktype";
import { defineEvent, upcast } from "factlog";
import * as v from "valibot";
import { z } from "zod";

const Line = z.object({ sku: z.string(), quantity: z.int() });
export const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({
    orderId: z.string(),
    tenantId: z.string(),
    customer: z.string(),
    lines: z.array(Line),
    total: z.number(),
    currency: z.string().default("EUR"),
  }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
  group: (order) => order.tenantId,
  version: 2,
  upcasts: [
    upcast(1, z.object({ orderId: z.string(), amount: z.number() }), (old) => ({
      orderId: old.orderId,
      tenantId: "t0",
      customer: "?",
      lines: [],
      total: old.amount,
    })),
  ],
});
export const PaymentCaptured = defineEvent("PaymentCaptured", {
  schema: v.object({ orderId: v.string(), amount: v.number() }),
  key: (payment) => payment.orderId,
});
export const PaymentDeclined = defineEvent("PaymentDeclined", {
  schema: v.object({ orderId: v.string(), reason: v.string() }),
  key: (payment) => payment.orderId,
});
export const StockReserved = defineEvent("StockReserved", {
  schema: type({ orderId: "string" }),
  key: (stock) => stock.orderId,
});
export const OrderShipped = defineEvent("OrderShipped", {
  schema: z.object({ orderId: z.string(), at: z.iso.datetime().transform((text) => new Date(text)) }),
  key: (order) => order.orderId,
});
export const OrderExpired = defineEvent("OrderExpired", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
});
