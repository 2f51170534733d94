/**
 * Soak: 500 events a second on five subscriptions; memory and descriptors of the worker level off.
 * `npm run soak -- --minutes 60 [--rate N] [--json]`
 */
import { openLog } from "../../src/index.ts";
import { keys, makeEffectTable, publisher } from "../app.ts";
import { Child } from "../child.ts";
import { factOf } from "../facts.ts";
import { complaints, rowsAreRight } from "../judge.ts";
import { conclude, optionsOf } from "../options.ts";
import { errorsOnly } from "../say.ts";
import { eventually, inDirectory, pause } from "../scratch.ts";

const options = optionsOf({ minutes: 1, rate: 500 });
const samples = 120;
const perTick = 10;
/** Part of the run that is not judged: caches fill. */
const warmUp = 0.4;
const slopeMaxMiB = 1;
/** Live memory tells a leak within a minute; what the process holds of the system levels off after a few. */
const rssJudgedMinutes = 10;
const rssMaxMiB = 400;
const descriptorsMore = 3;

interface Sample {
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly descriptors: number;
  readonly at: number;
}

await inDirectory(async (path) => {
  const file = path("log.db");
  const wrong: string[] = [];
  const seen: Sample[] = [];
  const hear = (said: unknown): void => {
    if (Object.hasOwn(said as object, "rssMiB")) seen.push(said as Sample);
  };
  const log = await openLog(`sqlite:${file}`, { logger: errorsOnly });
  makeEffectTable(file);
  const durationMs = options.minutes * 60_000;
  const child = new Child("soak/soak-process.ts", [file, `${Math.ceil(durationMs / samples)}`], hear, {
    node: ["--expose-gc"],
  });
  const startedMs = performance.now();
  let next = 0;
  const passedMs = (): number => performance.now() - startedMs;
  while (passedMs() < durationMs && child.exit === undefined) {
    await log.publishAll(Array.from({ length: perTick }, () => factOf(publisher, next++, keys)));
    await pause(Math.max(1, (next / options.rate) * 1_000 - passedMs()));
  }
  const measured = seen.slice(Math.ceil(seen.length * warmUp));
  if (!(await eventually(async () => (await depth()) === 0, 120_000))) wrong.push(`${await depth()} are open`);
  child.kill("SIGTERM");
  const { code } = await child.ended;
  if (code !== 0) wrong.push(`the worker ended with ${code}: ${child.errors.slice(-3).join(" | ")}`);
  const ids = new Set(Array.from({ length: next }, (_, n) => `${publisher}-${n}`));
  wrong.push(...(await complaints(log)), ...rowsAreRight(file, ids, true));
  await log.close();

  const heapSlope = slopeOf(measured, ({ heapMiB }) => heapMiB);
  const rssSlope = slopeOf(measured, ({ rssMiB }) => rssMiB);
  const more = (measured.at(-1)?.descriptors ?? 0) - (measured[0]?.descriptors ?? 0);
  if (!(heapSlope <= slopeMaxMiB)) wrong.push(`live memory grows by ${heapSlope} MiB a minute`);
  if (options.minutes >= rssJudgedMinutes && !(rssSlope <= slopeMaxMiB))
    wrong.push(`memory grows by ${rssSlope} MiB a minute`);
  if (measured.some(({ rssMiB }) => rssMiB > rssMaxMiB)) wrong.push(`the process takes more than ${rssMaxMiB} MiB`);
  if (more > descriptorsMore) wrong.push(`${more} descriptors more than after the warm-up`);
  const rate = Math.round(next / (durationMs / 1_000));
  if (measured.length < samples / 4 || rate < options.rate / 2) wrong.push("void: it did too little");
  for (const what of wrong.slice(0, 10)) console.log(what);
  conclude(
    {
      ok: wrong.length === 0,
      minutes: options.minutes,
      events: next,
      rate,
      rssMiB: Math.round(measured.at(-1)?.rssMiB ?? 0),
      heapMiB: Math.round(measured.at(-1)?.heapMiB ?? 0),
      heapSlopeMiBPerMinute: Math.round(heapSlope * 100) / 100,
      rssSlopeMiBPerMinute: Math.round(rssSlope * 100) / 100,
      descriptors: measured.at(-1)?.descriptors ?? 0,
      descriptorsMore: more,
    },
    options.json,
  );

  async function depth(): Promise<number> {
    return (await log.operator.status()).reduce((sum, each) => sum + each.depth, 0);
  }
});

/** Of the line through the samples that leaves the least squares: MiB a minute. */
function slopeOf(measured: readonly Sample[], sizeOf: (sample: Sample) => number): number {
  const mean = (pick: (sample: Sample) => number): number =>
    measured.reduce((sum, sample) => sum + pick(sample), 0) / measured.length;
  const at = mean((sample) => sample.at);
  const size = mean(sizeOf);
  const rise = mean((sample) => (sample.at - at) * (sizeOf(sample) - size));
  return (rise / mean((sample) => (sample.at - at) ** 2)) * 60_000;
}
