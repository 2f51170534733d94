import type { ReceivedCall } from "./receiver.ts";

export interface DemoSummary {
  readonly ok: boolean;
  readonly orders: number;
  /** Orders that were published a second time. */
  readonly publishedTwice: number;
  readonly stored: number;
  readonly paid: number;
  readonly reserved: number;
  /** Calls under a key that the receiver had seen: what a receiver that honours keys answers without doing it again. */
  readonly repeatedCalls: number;
  /** Orders for which a receiver was given two keys. */
  readonly doubleEffects: number;
  readonly lost: number;
  readonly deadLettersLeft: number;
  readonly redriven: number;
  readonly forecast: number;
  readonly kills: number;
  readonly seconds: number;
}

export interface DemoFacts extends Pick<
  DemoSummary,
  "publishedTwice" | "stored" | "deadLettersLeft" | "redriven" | "kills" | "seconds"
> {
  readonly orders: readonly string[];
  readonly calls: readonly ReceivedCall[];
  readonly forecast: ReadonlyMap<string, number>;
}

/** Counted from what the receivers wrote down, not from what the log believes. */
export function summaryOf(facts: DemoFacts): DemoSummary {
  const { orders, calls, forecast, publishedTwice, stored, deadLettersLeft, redriven, kills, seconds } = facts;
  const keys = new Set(calls.map((call) => `${call.service} ${call.key}`));
  const done = (service: string): Set<string> =>
    new Set(calls.filter((call) => call.service === service).map((call) => call.orderId));
  const [paid, reserved] = [done("payment"), done("warehouse")];
  const lost = orders.filter((order) => !paid.has(order) || !reserved.has(order)).length;
  const doubleEffects = keys.size - paid.size - reserved.size;
  const forecastRight = forecast.size === orders.length && [...forecast.values()].every((times) => times === 1);
  const counted = stored === orders.length && calls.length - keys.size <= kills;
  const ok = lost === 0 && doubleEffects === 0 && deadLettersLeft === 0 && forecastRight && counted;
  return {
    ok,
    orders: orders.length,
    publishedTwice,
    stored,
    paid: paid.size,
    reserved: reserved.size,
    repeatedCalls: calls.length - keys.size,
    doubleEffects,
    lost,
    deadLettersLeft,
    redriven,
    forecast: forecast.size,
    kills,
    seconds: Math.round(seconds * 10) / 10,
  };
}
