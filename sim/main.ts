/**
 * Deterministic simulation: the real runtime and the real engines under a virtual clock, with faults drawn per seed.
 * `npm run sim -- --seeds 200 [--first F] [--seed S] [--ops N] [--json] [--exhaustive]`
 */
import { parseArgs } from "node:util";
import { isVoid } from "./checker/check.ts";
import { exhaust } from "./exhaustive.ts";
import { faultKinds, planOf, type StoreKind, stores } from "./plan.ts";
import { type Report, runPlan } from "./run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    seed: { type: "string" },
    first: { type: "string", default: "1" },
    ops: { type: "string", default: "2000" },
    store: { type: "string" },
    json: { type: "boolean", default: false },
    exhaustive: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
const ops = Number(values.ops);
const only = values.store === undefined ? {} : { store: storeNamed(values.store) };
const seeds =
  values.seed === undefined
    ? Array.from({ length: Number(values.seeds) }, (_, i) => Number(values.first) + i)
    : [Number(values.seed)];

const startedMs = performance.now();
const totals = { seeds: 0, void: 0, ops: 0, violations: 0, virtualMs: 0 };
const faults = new Map<string, number>(faultKinds.map((kind) => [kind, 0]));
let hashStable = true;

if (values.exhaustive) {
  for (const store of only.store === undefined ? stores.slice(0, 2) : [only.store]) {
    const { runs, violations } = await exhaust(store);
    totals.violations += violations.length;
    for (const { invariant, anomaly, detail } of violations) console.log(`${invariant} ${anomaly}: ${detail}`);
    if (!values.json) console.log(`exhaustive, ${store}: ${runs} runs, ${violations.length} violations`);
  }
} else {
  for (const seed of seeds) await one(seed).catch((error: unknown) => broken(seed, error));
}

async function one(seed: number): Promise<void> {
  const report = await runPlan(planOf(seed, ops, only));
  // The first ones, and whatever failed, are run again: the same seed is the same run.
  if (totals.seeds < 2 || report.violations.length > 0) {
    const again = await runPlan(planOf(seed, ops, only));
    if (again.hash !== report.hash) {
      hashStable = false;
      console.log(`seed=${seed}: two runs differ: ${report.hash} and ${again.hash}`);
    }
  }
  totals.seeds++;
  totals.ops += report.ops;
  totals.virtualMs += report.virtualMs;
  totals.violations += report.violations.length;
  if (isVoid(report.history)) totals.void++;
  for (const [kind, count] of report.faults) faults.set(kind, (faults.get(kind) ?? 0) + count);
  tell(report);
}

/** The run did not come to its end. */
function broken(seed: number, error: unknown): void {
  totals.seeds++;
  totals.violations++;
  console.log(`seed=${seed} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  console.log(`seed=${seed} replay: ${replayOf(seed)}`);
}

function replayOf(seed: number): string {
  const size = values.ops === "2000" ? "" : ` --ops ${values.ops}`;
  const where = values.store === undefined ? "" : ` --store ${values.store}`;
  return `npm run sim -- --seed ${seed}${size}${where}`;
}

function tell(report: Report): void {
  const { seed, plan, violations } = report;
  if (values.verbose || values.seed !== undefined) {
    const { store, workers, slots } = plan;
    console.log(
      `seed=${seed} ${store}, ${workers} workers, ${slots} slots: ${report.ops} operations, ${report.steps} steps, ${(report.virtualMs / 1_000).toFixed(1)} s, hash ${report.hash}`,
    );
  }
  for (const { invariant, anomaly, detail } of violations.slice(0, 10)) {
    console.log(`seed=${seed} ${invariant} ${anomaly}: ${detail}`);
  }
  if (violations.length === 0) return;
  console.log(`seed=${seed} ${violations.length} violations; replay: ${replayOf(seed)}`);
}

function storeNamed(name: string): StoreKind {
  const store = stores.find((each) => each === name);
  if (store === undefined) throw new Error(`there is no store ${name}: choose among ${stores.join(", ")}`);
  return store;
}

const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
const missing = [...faults].filter(([, count]) => count === 0).map(([kind]) => kind);
const whole = !values.exhaustive && values.seed === undefined && totals.seeds >= 100;
if (whole && missing.length > 0) console.log(`void: these faults never happened: ${missing.join(", ")}`);
const tooLittle = whole && (missing.length > 0 || totals.void * 2 > totals.seeds);
const summary = {
  seeds: totals.seeds,
  void: totals.void,
  ops: totals.ops,
  violations: totals.violations,
  faults: Object.fromEntries(faults),
  hashStable,
  simulatedHours: Math.round(totals.virtualMs / 36_000) / 100,
  seconds,
};
if (values.json) console.log(JSON.stringify(summary));
else if (!values.exhaustive) {
  const { violations, simulatedHours } = summary;
  console.log(
    `${totals.seeds} seeds (${totals.void} void), ${totals.ops} operations, ${simulatedHours} h simulated in ${seconds} s: ${violations} violations`,
  );
}
process.exitCode = totals.violations > 0 || !hashStable || tooLittle ? 1 : 0;
