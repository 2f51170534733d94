/** Whether effects came in the order of their facts, key by key. */
import { type Call, customerOf, type Effect, firstOf, nameOf } from "./calls.ts";
import type { Evidence } from "./evidence.ts";
import type { Purchase } from "./input.ts";
import type { Tables } from "./tables.ts";

/** How many did not. */
export function orderViolations({ calls, tables, orders }: Evidence, purchases: readonly Purchase[]): number {
  const inInput = placesOf(purchases.map(orderOf));
  const inLog = placesOf(orders);
  const first = firstOf(calls, nameOf);
  const called = (effect: Effect): string[] => first.filter((call) => call.effect === effect).map(orderOf);
  return (
    overtaken(orders, inInput) +
    overtaken(called("charge"), inLog) +
    overtaken(called("reserve"), inLog) +
    overtaken(tables.loyalty.map(orderOf), inLog) +
    wrongSums(tables.loyalty) +
    tooEarly(first)
  );
}

const orderOf = ({ orderId }: { readonly orderId: string }): string => orderId;
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
  return firstCalls.filter((call) => {
    const { effect, orderId } = call;
    done.add(nameOf(call));
    if (effect === "ship") return !done.has(`charge ${orderId}`) || !done.has(`reserve ${orderId}`);
    return effect === "mail" && !done.has(`ship ${orderId}`);
  }).length;
}
