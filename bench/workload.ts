import { z } from "zod";
import { defineEvent } from "factlog";

const item = z.object({ sku: z.string(), name: z.string(), quantity: z.int(), cents: z.int() });
const order = z.object({
  orderId: z.string(),
  customer: z.string(),
  items: z.array(item),
  currency: z.string(),
  /** Cents, so that sums are exact. */
  total: z.int(),
  /** When it was published, where that matters: monotonic milliseconds of this machine. */
  t: z.number(),
  ts: z.string(),
});
/** The event of all measurements: an order of some 330 bytes of JSON. */
export type Order = z.infer<typeof order>;
export const OrderPlaced = defineEvent("order.placed", { schema: order, key: ({ customer }) => customer });
export const OrderBilled = defineEvent("order.billed", {
  schema: z.object({ orderId: z.string(), total: z.int() }),
  key: (bill) => bill.orderId,
});

export const keys = 1_000;

/** Orders of 1,000 customers in random but repeatable order. */
export function makeOrders(count: number): Order[] {
  let seed = 20_261_123;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  return Array.from({ length: count }, (_, index) => makeOrder(index, random));
}

function makeOrder(index: number, random: (below: number) => number): Order {
  const items = [0, 1, 2].map(() => ({
    sku: `sku-${100_000 + random(900_000)}`,
    name: `article no ${random(1_000)}`,
    quantity: 1 + random(5),
    cents: 100 + random(9_900),
  }));
  return {
    orderId: `order-${1_000_000 + index}`,
    customer: `customer-${random(keys)}`,
    items,
    currency: "EUR",
    total: items.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0),
    t: index,
    ts: "2026-11-23T07:00:00.000Z",
  };
}

export const sumOf = (orders: readonly Order[]): number => orders.reduce((sum, order) => sum + order.total, 0);

/** Monotonic milliseconds that all processes of this machine share. */
export const sharedNowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
