/**
 * Measures Factlog beside the raw limit of the same storage, in turn and in one run: figures of shared machines drift,
 * ratios hold. `npm run bench [-- --json --quick --record --only NAME]`
 */
import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { cpus } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseArgs } from "node:util";
import type { Measure, Measurement, Settings } from "./measure.ts";
import { drainMeasures } from "./measures/drain.ts";
import { failingMeasures } from "./measures/failing.ts";
import { growthMeasure } from "./measures/growth.ts";
import { idleMeasure } from "./measures/idle.ts";
import { latencyMeasures } from "./measures/latency.ts";
import { listeningMeasure } from "./measures/listening.ts";
import { loopDelayMeasure } from "./measures/loop-delay.ts";
import { manyMeasures } from "./measures/many.ts";
import { memoryMeasure } from "./measures/memory.ts";
import { poisonMeasure } from "./measures/poison.ts";
import { publishMeasures } from "./measures/publish.ts";
import { statusMeasure } from "./measures/status.ts";
import { waitingMeasure } from "./measures/waiting.ts";
import { writePage } from "./page.ts";

const measures: readonly Measure[] = [
  ...publishMeasures,
  loopDelayMeasure,
  ...drainMeasures,
  ...latencyMeasures,
  idleMeasure,
  memoryMeasure,
  waitingMeasure,
  statusMeasure,
  ...failingMeasures,
  poisonMeasure,
  listeningMeasure,
  ...manyMeasures,
  growthMeasure,
];

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  },
});
const chosen = measures.filter(({ name }) => values.only?.includes(name) ?? true);
if (chosen.length === 0) {
  console.error(`nothing is named so: choose among ${measures.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
setFlagsFromString("--expose-gc");
globalThis.gc = runInNewContext("gc") as NonNullable<typeof globalThis.gc>;

const settings: Settings = { quick: values.quick, size: (full, quick) => (values.quick ? quick : full) };
const found: Measurement[] = [];
if (!values.json) console.log(row(["measure", "value", "unit", "raw", "ratio", "target"]));
for (const measure of chosen) {
  for (const measurement of await measure.run(settings)) {
    found.push(measurement);
    console.log(values.json ? JSON.stringify(measurement) : shown(measurement));
  }
}
if (values.record) {
  record(found);
  if (!values.quick && values.only === undefined) writePage();
}

function shown({ name, value, unit, raw, ratio, target, better }: Measurement): string {
  const met = target === null ? "" : (better === "higher") === (ratio ?? value) >= target ? "met" : "MISSED";
  const bound = target === null ? "" : `${better === "higher" ? ">=" : "<="} ${target} ${met}`;
  return row([name, figure(value), unit, raw === null ? "" : figure(raw), ratio?.toFixed(2) ?? "", bound]);
}

function row(cells: readonly string[]): string {
  const widths = [20, 10, 16, 10, 8, 16];
  return cells.map((cell, i) => (i === 0 || i === 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" ");
}

function figure(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

/** Adds this run to the history: what, where and of which commit. A whole one is also drawn in docs/reference. */
function record(results: readonly Measurement[]): void {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version };
  const commit = git("rev-parse", "HEAD") + (git("status", "--porcelain", "--", "src") === "" ? "" : "-dirty");
  const line = { at: new Date().toISOString(), commit, quick: values.quick, machine, results };
  appendFileSync(new URL("results.ndjson", import.meta.url), `${JSON.stringify(line)}\n`);
}
