/**
 * Faults of disk, clock and processes. `npm run faults -- [--only io|full|zombie|clock|bitflip|storm] [--times N]
 * [--size ci|release] [--seed S] [--json]`
 */
import { parseArgs } from "node:util";
import { Random } from "../../sim/random.ts";
import { conclude } from "../options.ts";
import { bitflip } from "./bitflip.ts";
import type { Fault } from "./fault.ts";
import { full } from "./full.ts";
import { io } from "./io.ts";
import { clock } from "./clock.ts";
import { storm } from "./storm.ts";
import { zombie } from "./zombie.ts";

const faults: readonly Fault[] = [io, full, zombie, clock, bitflip, storm];

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    times: { type: "string" },
    size: { type: "string", default: "ci" },
    seed: { type: "string", default: `${Date.now() % 1_000_000_000}` },
    json: { type: "boolean", default: false },
  },
});
const chosen = faults.filter(({ name }) => values.only?.includes(name) ?? true);
if (chosen.length === 0 || (values.size !== "ci" && values.size !== "release")) {
  console.error(`--only takes ${faults.map(({ name }) => name).join(", ")}; --size takes ci or release`);
  process.exit(2);
}

const startedMs = performance.now();
const summary: Record<string, unknown> = {};
let ok = true;
for (const fault of chosen) {
  const beganMs = performance.now();
  const times = values.times === undefined ? fault[values.size] : Number(values.times);
  const { figures, wrong } = await fault.run(times, new Random(Number(values.seed)));
  const seconds = Math.round((performance.now() - beganMs) / 100) / 10;
  summary[fault.name] = { ...figures, wrong: wrong.length, seconds };
  if (wrong.length > 0) ok = false;
  for (const what of wrong.slice(0, 10)) console.log(`${fault.name}, seed=${values.seed}: ${what}`);
  if (!values.json) console.log(`${fault.name}: ${JSON.stringify(summary[fault.name])}`);
}
conclude({ ok, ...summary, seconds: Math.round((performance.now() - startedMs) / 100) / 10 }, values.json);
