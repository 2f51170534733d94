/** Whether effects came in the order of their facts, key by key. */
import { type Call, customerOf } from "./calls.ts";
import type { Evidence } from "./evidence.ts";
import type { Purchase } from "./input.ts";
import type { Tables } from "./tables.ts";

/** How many did not. */
export function orderViolations({ calls, tables, orders }: Evidence, purchases: readonly Purchase[]): number {
  const inInput = placesOf(purchases.map((purchase) => purchase.orderId));
  const inLog = placesOf(orders);
  const firstCalls = new Map(calls.toReversed().map((call) => [`${call.effect} ${call.orderId}`, call] as const));
  const first = calls.filter((call) => firstCalls.get(`${call.effect} ${call.orderId}`) === call);
  const ordersOf = (effect: Call["effect"]) =>
    first.filter((call) => call.effect === effect).map((call) => call.orderId);
  return (
    overtaken(orders, inInput) +
    overtaken(ordersOf("charge"), inLog) +
    overtaken(ordersOf("reserve"), inLog) +
    overtaken(
      tables.loyalty.map((row) => row.orderId),
      inLog,
    ) +
    wrongSums(tables.loyalty) +
    tooEarly(first)
  );
}

const placesOf = (orderIds: readonly string[]): ReadonlyMap<string, number> =>
  new Map(orderIds.map((orderId, place) => [orderId, place]));

/** Orders that came after a later order of the same customer. */
function overtaken(orderIds: readonly string[], places: ReadonlyMap<string, number>): number {
  const last = new Map<string, number>();
  return orderIds.filter((orderId) => {
    const place = places.get(orderId) ?? -1;
    const before = last.get(customerOf(orderId)) ?? -1;
    last.set(customerOf(orderId), Math.max(place, before));
    return place < before;
  }).length;
}

/** Rows of an account whose sum is not the one before and their own amount. */
function wrongSums(rows: Tables["loyalty"]): number {
  const sums = new Map<string, number>();
  return rows.filter(({ customerId, cents, sum }) => {
    const before = sums.get(customerId) ?? 0;
    sums.set(customerId, sum);
    return sum !== before + cents;
  }).length;
}

/** Orders shipped before they were charged and reserved, and letters before the order was shipped. */
function tooEarly(firstCalls: readonly Call[]): number {
  const done = new Set<string>();
  return firstCalls.filter(({ effect, orderId }) => {
    done.add(`${effect} ${orderId}`);
    if (effect === "ship") return !done.has(`charge ${orderId}`) || !done.has(`reserve ${orderId}`);
    return effect === "mail" && !done.has(`ship ${orderId}`);
  }).length;
}
