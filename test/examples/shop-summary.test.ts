/** The shop's summary sees what it is there to see: evidence is spoilt in each way, and each time something is said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Call, type Effect, effects } from "../../examples/shop/calls.ts";
import type { Evidence } from "../../examples/shop/evidence.ts";
import type { Purchase } from "../../examples/shop/input.ts";
import { type Summary, summarise } from "../../examples/shop/summary.ts";

const purchases: readonly Purchase[] = ["a-1", "b-1", "a-2"].map((orderId, i) => ({
  orderId,
  customerId: orderId.slice(0, 1),
  date: `1997-01-0${i + 1}`,
  cds: i + 1,
  cents: 100 * (i + 1),
}));
const days = new Map(purchases.map(({ date, cds, cents }) => [date, { purchases: 1, cds, cents }]));
const expected = { purchases: 3, cds: 6, cents: 600 };

function call(effect: Effect, { orderId, cds, cents }: Purchase): Call {
  const more = effect === "charge" ? { cents } : effect === "reserve" ? { cds } : {};
  return { effect, key: `${effect}/${orderId}`, orderId, pid: 1, together: 1, ...more };
}
const sound: Evidence = {
  calls: effects.flatMap((effect) => purchases.map((purchase) => call(effect, purchase))),
  tables: {
    loyalty: purchases.map((purchase, i) => ({ ...purchase, sum: [100, 200, 400][i] ?? 0 })),
    letters: purchases,
    forecast: [],
  },
  sales: {
    days: purchases.map(({ date, cds, cents }) => ({ day: date, purchases: 1, cds, cents })),
    orders: purchases,
    generation: 1,
  },
  orders: purchases.map((purchase) => purchase.orderId),
  events: 12,
  deliveries: 18,
  dead: 0,
  complaints: [],
};
const summaryOf = (evidence: Evidence): Summary =>
  summarise({ evidence, purchases, expected, days, repeatedCallsMax: 1, seconds: 1 });
const swapped = <T>(list: readonly T[], i: number, j: number): T[] => list.with(i, list[j] as T).with(j, list[i] as T);

test("sound evidence is ok", () => {
  const summary = summaryOf(sound);
  assert.deepEqual([summary.ok, summary.faults], [true, []]);
  assert.deepEqual([summary.distinctEffects, summary.dollars], [12, 6]);
});

test("a call repeated under its key is counted once, and tolerated as long as a kill explains it", () => {
  const once = { ...sound, calls: [...sound.calls, sound.calls[0] as Call] };
  assert.deepEqual([summaryOf(once).ok, summaryOf(once).repeatedCalls, summaryOf(once).cents], [true, 1, 600]);
  const twice = { ...once, calls: [...once.calls, sound.calls[1] as Call] };
  assert.deepEqual([summaryOf(twice).ok, summaryOf(twice).repeatedCalls], [false, 2]);
});

const { calls, tables, sales } = sound;
const spoilt: readonly (readonly [string, Evidence, Partial<Summary>])[] = [
  ["a call is missing", { ...sound, calls: calls.slice(0, -1) }, { lost: 1 }],
  ["a row is missing", { ...sound, tables: { ...tables, letters: purchases.slice(1) } }, { lost: 1 }],
  ["a second key", { ...sound, calls: [...calls, { ...(calls.at(-1) as Call), key: "2" }] }, { duplicateEffects: 1 }],
  ["a second row", { ...sound, tables: { ...tables, letters: [...purchases, ...purchases] } }, { duplicateEffects: 3 }],
  [
    "an order applied twice",
    { ...sound, sales: { ...sales, orders: [...purchases, ...purchases] } },
    { duplicateEffects: 3 },
  ],
  ["an order never applied", { ...sound, sales: { ...sales, orders: purchases.slice(1) } }, { lost: 1 }],
  ["a day is missing", { ...sound, sales: { ...sales, days: sales.days.slice(1) } }, { dailyTotalsExact: false }],
  [
    "a day has another sum",
    { ...sound, sales: { ...sales, days: sales.days.map((day) => ({ ...day, cents: day.cents + 1 })) } },
    { dailyTotals: 0, dailyTotalsExact: false },
  ],
  ["charged out of order", { ...sound, calls: swapped(calls, 0, 2) }, { orderViolations: 1 }],
  ["reserved out of order", { ...sound, calls: swapped(calls, 3, 5) }, { orderViolations: 1 }],
  ["shipped before it was charged", { ...sound, calls: swapped(calls, 0, 6) }, { orderViolations: 2 }],
  ["mailed before it was shipped", { ...sound, calls: swapped(calls, 8, 11) }, { orderViolations: 1 }],
  ["stored out of order", { ...sound, orders: sound.orders.toReversed() }, { orderViolations: 4 }],
  [
    "rows out of order",
    { ...sound, tables: { ...tables, loyalty: swapped(tables.loyalty, 0, 2) } },
    { orderViolations: 3 },
  ],
  ["a dead letter", { ...sound, dead: 1 }, { dead: 1 }],
  ["a complaint of the store", { ...sound, complaints: ["slot 3: 7 matched, 6 closed"] }, { conservation: false }],
  ["a fact too many", { ...sound, events: 13 }, { events: 13 }],
  ["another price", { ...sound, calls: calls.with(0, { ...(calls[0] as Call), cents: 99 }) }, { cents: 599 }],
];
for (const [name, evidence, seen] of spoilt) {
  test(`it is seen: ${name}`, () => {
    const summary = summaryOf(evidence);
    assert.equal(summary.ok, false);
    assert.ok(summary.faults.length > 0);
    assert.deepEqual(Object.fromEntries(Object.keys(seen).map((key) => [key, summary[key as keyof Summary]])), seen);
  });
}
