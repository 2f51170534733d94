/** What really happened, compared with what was to happen. */
import { type Call, effects, firstOf, nameOf } from "./calls.ts";
import type { Evidence, Sales } from "./evidence.ts";
import type { Purchase } from "./input.ts";
import type { Days, Totals } from "./oracle.ts";
import { orderViolations } from "./order.ts";

export interface Summary {
  readonly ok: boolean;
  /** What is wrong, for people. */
  readonly faults: readonly string[];
  /** Facts in the log. */
  readonly events: number;
  /** Deliveries closed, over all subscriptions. */
  readonly deliveries: number;
  /** Keys under which the receiver was called. */
  readonly distinctEffects: number;
  /** Calls under a key that was used before: a receiver that honours the key answers them without acting again. */
  readonly repeatedCalls: number;
  /** What kills explain: 16 for each subscription of each killed process, which is what it may have in flight. */
  readonly repeatedCallsMax: number;
  /** Effects that a purchase should have had and has not. */
  readonly lost: number;
  /** Days whose purchases, CDs and cents in the sales projection are the input's. */
  readonly dailyTotals: number;
  /** All of them are, and there is no other day. */
  readonly dailyTotalsExact: boolean;
  /** Effects of a purchase under a second key, and second rows of a purchase in the shop's own and the projection's tables. */
  readonly duplicateEffects: number;
  /** Effects that did not come in the order of the facts of their key. */
  readonly orderViolations: number;
  readonly dead: number;
  /** Every fact is accounted for in every subscription, and the store is sound. */
  readonly conservation: boolean;
  /** Shipped, reserved and charged; each key counts once. */
  readonly purchases: number;
  readonly cds: number;
  readonly cents: number;
  readonly dollars: number;
  /** Added up from the input alone. */
  readonly expected: Totals & { readonly dollars: number };
  readonly seconds: number;
}

export interface Run {
  readonly evidence: Evidence;
  readonly purchases: readonly Purchase[];
  readonly expected: Totals;
  readonly days: Days;
  /** Calls that may have been repeated, because their caller was killed. */
  readonly repeatedCallsMax: number;
  readonly seconds: number;
}

export function summarise({ evidence, purchases, expected, days, repeatedCallsMax, seconds }: Run): Summary {
  const { calls, tables, sales, events, deliveries, dead, complaints } = evidence;
  const served = firstOf(calls, (call) => call.key);
  const totals = totalsOf(served);
  const dailyTotals = exactDays(sales, days);
  const facts = {
    events,
    deliveries,
    distinctEffects: served.length,
    repeatedCalls: calls.length - served.length,
    repeatedCallsMax,
    lost: lost(evidence, purchases),
    dailyTotals,
    dailyTotalsExact: dailyTotals === days.size && sales.days.length === days.size,
    duplicateEffects:
      repeats(served.map(nameOf)) +
      repeats(tables.loyalty.map(orderOf)) +
      repeats(tables.letters.map(orderOf)) +
      repeats(sales.orders.map(orderOf)),
    orderViolations: orderViolations(evidence, purchases),
    dead,
    conservation: complaints.length === 0,
    ...totals,
    dollars: dollarsOf(totals),
    expected: { ...expected, dollars: dollarsOf(expected) },
    seconds,
  };
  const faults = [...complaints, ...faultsOf(facts)];
  return { ok: faults.length === 0, faults, ...facts };
}

function faultsOf(facts: Omit<Summary, "ok" | "faults">): string[] {
  const { expected, events, repeatedCalls, repeatedCallsMax } = facts;
  const notZero = (["lost", "duplicateEffects", "orderViolations", "dead"] as const).filter(
    (name) => facts[name] !== 0,
  );
  const notAsInput = (["purchases", "cds", "cents"] as const).filter((name) => facts[name] !== expected[name]);
  const faults = [
    ...notZero.map((name) => `${name} is ${facts[name]}, not 0`),
    ...notAsInput.map((name) => `${name} is ${facts[name]}, the input has ${expected[name]}`),
  ];
  if (!facts.dailyTotalsExact) faults.push(`dailyTotals: only ${facts.dailyTotals} days are as in the input`);
  if (repeatedCalls > repeatedCallsMax) faults.push(`repeatedCalls is ${repeatedCalls}, more than ${repeatedCallsMax}`);
  const eventsExpected = expected.purchases * factsPerOrder;
  if (events !== eventsExpected) faults.push(`events is ${events}, not ${eventsExpected}`);
  return faults;
}

/** Placed, captured, reserved, shipped. */
const factsPerOrder = 4;
const orderOf = (row: { readonly orderId: string }): string => row.orderId;
const repeats = (names: readonly string[]): number => names.length - new Set(names).size;

/** Days that are as they should be. */
const exactDays = (sales: Sales, days: Days): number =>
  sales.days.filter(({ day, purchases, cds, cents }) => {
    const due = days.get(day);
    return due?.purchases === purchases && due.cds === cds && due.cents === cents;
  }).length;

function lost({ calls, tables, sales }: Evidence, purchases: readonly Purchase[]): number {
  const done = new Set([
    ...calls.map(nameOf),
    ...tables.loyalty.map((row) => `loyalty ${row.orderId}`),
    ...tables.letters.map((row) => `letters ${row.orderId}`),
    ...sales.orders.map((row) => `sales ${row.orderId}`),
  ]);
  const due = purchases.flatMap(({ orderId }) =>
    [...effects, "loyalty", "letters", "sales"].map((name) => `${name} ${orderId}`),
  );
  return due.filter((name) => !done.has(name)).length;
}

function totalsOf(calls: readonly Call[]): Totals {
  let [purchases, cds, cents] = [0, 0, 0];
  for (const call of calls) {
    if (call.effect === "ship") purchases += 1;
    cds += call.cds ?? 0;
    cents += call.cents ?? 0;
  }
  return { purchases, cds, cents };
}

/** Counted in cents; divided for showing only. */
const dollarsOf = ({ cents }: Totals): number => cents / 100;
