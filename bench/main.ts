/**
 * Measures Factlog beside the raw limit of the same storage, in turn and in one run: figures of shared machines drift,
 * ratios hold. `npm run bench [-- --json --quick --record --only NAME]`
 */
import { parseArgs } from "node:util";
import { exposeCollector, type Measure, type Measurement, type Settings } from "./measure.ts";
import { drainMeasures } from "./measures/drain.ts";
import { failingMeasures } from "./measures/failing.ts";
import { growthMeasure } from "./measures/growth.ts";
import { httpMeasures } from "./measures/http.ts";
import { idleMeasure } from "./measures/idle.ts";
import { latencyMeasures } from "./measures/latency.ts";
import { listeningMeasure } from "./measures/listening.ts";
import { loopDelayMeasure } from "./measures/loop-delay.ts";
import { manyMeasures } from "./measures/many.ts";
import { memoryMeasure } from "./measures/memory.ts";
import { poisonMeasure } from "./measures/poison.ts";
import { postgresMeasures } from "./measures/postgres.ts";
import { publishMeasures } from "./measures/publish.ts";
import { statusMeasure } from "./measures/status.ts";
import { stepsMeasure } from "./measures/steps.ts";
import { storeMeasure } from "./measures/store.ts";
import { waitingMeasure } from "./measures/waiting.ts";
import { record } from "./record.ts";
import { header, rowOf } from "./table.ts";

const measures: readonly Measure[] = [
  ...publishMeasures,
  loopDelayMeasure,
  ...drainMeasures,
  storeMeasure,
  ...latencyMeasures,
  idleMeasure,
  memoryMeasure,
  waitingMeasure,
  statusMeasure,
  ...failingMeasures,
  poisonMeasure,
  listeningMeasure,
  ...manyMeasures,
  stepsMeasure,
  ...httpMeasures,
  growthMeasure,
  ...postgresMeasures,
];

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  },
});
/** A server of its own takes too long for a quick look. */
const slow = new Set(postgresMeasures.map(({ name }) => name));
const chosen = measures.filter(({ name }) => values.only?.includes(name) ?? !(values.quick && slow.has(name)));
if (chosen.length === 0) {
  console.error(`nothing is named so: choose among ${measures.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
exposeCollector();

const settings: Settings = { quick: values.quick, size: (full, quick) => (values.quick ? quick : full) };
const found: Measurement[] = [];
if (!values.json) console.log(header("raw"));
for (const measure of chosen) {
  for (const measurement of await measure.run(settings)) {
    found.push(measurement);
    console.log(values.json ? JSON.stringify(measurement) : rowOf(measurement));
  }
}
if (values.record) record(found, values.quick);
