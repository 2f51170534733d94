import { type App, defineApp } from "../../app/app.ts";
import { defineSubscription } from "../../app/subscription.ts";
import { NonRetryable } from "../../app/verdicts.ts";
import { defineEvent, type EventType } from "../../event/define.ts";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { call } from "./receiver.ts";

/** The shop of the demo: as in the README, but with a schema written by hand, since the package brings no schema library. */
interface Order {
  readonly orderId: string;
  readonly sku: string;
}
const order: StandardSchemaV1<Order> = {
  "~standard": {
    version: 1,
    vendor: "factlog-demo",
    validate: (value) => {
      const { orderId, sku } = (value ?? {}) as Partial<Order>;
      const valid = typeof orderId === "string" && typeof sku === "string";
      return valid ? { value: { orderId, sku } } : { issues: [{ message: "expected { orderId, sku }" }] };
    },
  },
};

export const OrderPlaced: EventType<"OrderPlaced", StandardSchemaV1<Order>> = defineEvent("OrderPlaced", {
  schema: order,
  key: ({ orderId }) => orderId,
  id: ({ orderId }) => orderId,
});

export interface ShopOptions {
  /** Where the receivers keep what they were told. */
  readonly folder: string;
  /** The warehouse's process stands still in this order, after its receiver was told: here it will be killed. */
  readonly standStillAt?: string;
}

export const unknownArticle = "cd-?";
export const mendedFile = (folder: string): string => join(folder, "mended");

export function shop({ folder, standStillAt }: ShopOptions): App<"payment" | "warehouse"> {
  const payment = defineSubscription("payment", { on: OrderPlaced, from: "beginning" }, ({ data }, ctx) => {
    call(folder, { service: "payment", orderId: data.orderId, key: ctx.idempotencyKey("charge") });
  });
  const warehouse = defineSubscription("warehouse", { on: OrderPlaced, from: "beginning" }, async ({ data }, ctx) => {
    if (data.sku === unknownArticle && !existsSync(mendedFile(folder)))
      throw new NonRetryable(`no article ${data.sku}`);
    call(folder, { service: "warehouse", orderId: data.orderId, key: ctx.idempotencyKey("reserve") });
    if (data.orderId === standStillAt) await new Promise(() => {});
  });
  return defineApp({ name: "demo-shop", subscriptions: [payment, warehouse] });
}

/** Attached later, to the history that is there. */
export function forecaster(sold: Map<string, number>): App<"forecast"> {
  const forecast = defineSubscription("forecast", { on: OrderPlaced, from: "beginning" }, ({ data }) => {
    sold.set(data.orderId, (sold.get(data.orderId) ?? 0) + 1);
  });
  return defineApp({ name: "demo-forecast", subscriptions: [forecast] });
}
