/** Real runtime and engines under a virtual clock. One seed is one run: `npm run sim -- --seed S --ops N` shows it again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isVoid } from "../../sim/checker/check.ts";
import { exhaust } from "../../sim/exhaustive.ts";
import { planOf, type StoreKind, stores } from "../../sim/plan.ts";
import { Random } from "../../sim/random.ts";
import regressions from "../../sim/regressions.json" with { type: "json" };
import { type Report, runPlan } from "../../sim/run.ts";

const ops = 300;

async function sound(seed: number, size: number, store?: StoreKind): Promise<Report> {
  const report = await runPlan(planOf(seed, size, store === undefined ? {} : { store }));
  const told = report.violations.map(({ invariant, anomaly, detail }) => `${invariant} ${anomaly}: ${detail}`);
  const replay = `npm run sim -- --seed ${seed} --ops ${size}${store === undefined ? "" : ` --store ${store}`}`;
  assert.deepEqual(told.slice(0, 5), [], `seed=${seed} replay: ${replay}`);
  return report;
}

for (const [i, store] of stores.entries()) {
  test(`${store}: six seeds keep every promise`, async () => {
    let worked = 0;
    for (let seed = 1; seed <= 6; seed++) if (!isVoid((await sound(seed + i * 10, ops, store)).history)) worked++;
    assert.ok(worked >= 3, `${worked} of 6 runs did enough to count`);
  });
}

test("one seed is one run, on each store", async () => {
  for (const store of stores) {
    const first = await sound(5, ops, store);
    const second = await sound(5, ops, store);
    assert.equal(first.hash, second.hash, store);
    assert.ok(first.steps > 500);
    assert.notEqual((await sound(6, ops, store)).hash, first.hash);
  }
});

test("a crash at each of many scheduling points of a small run harms nothing", async () => {
  for (const store of ["memory", "sqlite"] as const) {
    const { runs, violations } = await exhaust(store, 17);
    assert.deepEqual(violations, []);
    assert.ok(runs > 50, `${store}: ${runs} runs`);
  }
});

test("seeds that found a bug once", async () => {
  for (const { seed, ops: size, store } of regressions as readonly Regression[]) await sound(seed, size, store);
});
interface Regression {
  readonly seed: number;
  readonly ops: number;
  readonly store?: StoreKind;
  readonly why: string;
}

test("the same seed gives the same stream, another seed another one", () => {
  const stream = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 5 }, () => random.bits());
  };
  assert.deepEqual(stream(7), stream(7));
  assert.notDeepEqual(stream(7), stream(8));
  assert.notDeepEqual(stream(7), stream(7 + 2 ** 32));
});
