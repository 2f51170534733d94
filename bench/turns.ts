/**
 * One tenant has much queued, another publishes one a second: how long the other's events take, beside an empty system.
 * `node --conditions=@factlog/source bench/turns.ts [--queued 100000] [--seconds 30] [--keys 1000] [--cost 5] [--url sqlite:FILE]`
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";

const { values } = parseArgs({
  options: {
    queued: { type: "string", default: "100000" },
    seconds: { type: "string", default: "30" },
    keys: { type: "string", default: "1000" },
    cost: { type: "string", default: "5" },
    url: { type: "string" },
  },
});
const [queued, seconds, keys, costMs] = [values.queued, values.seconds, values.keys, values.cost].map(Number) as [
  number,
  number,
  number,
  number,
];

const Job = defineEvent("Job", {
  schema: z.object({ key: z.string(), tenant: z.string(), atMs: z.number() }),
  key: (job) => job.key,
  group: (job) => job.tenant,
});
const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Milliseconds from publish to the end of the handler, of each of B's events. */
async function latencies(flood: number): Promise<{ readonly sorted: readonly number[]; readonly done: number }> {
  const folder = mkdtempSync(join(tmpdir(), "factlog-turns-"));
  const took: number[] = [];
  let done = 0;
  const work = defineSubscription("work", { on: Job, from: "beginning", concurrency: 16 }, async ({ data }) => {
    await sleep(costMs);
    if (data.tenant === "B") took.push(performance.now() - data.atMs);
    else done++;
  });
  const app = defineApp({ name: "turns", events: [Job], subscriptions: [work] });
  const log = await openLog(values.url ?? `sqlite:${join(folder, "turns.db")}`);
  for (let n = 0; n < flood; n += 1_000) {
    const some = Array.from({ length: Math.min(1_000, flood - n) }, (_, i) =>
      Job({ key: `a${(n + i) % keys}`, tenant: "A", atMs: 0 }),
    );
    await log.publishAll(some);
  }
  const worker = await log.work(app);
  for (let i = 0; i < seconds; i++) {
    await sleep(1_000);
    await log.publish(Job({ key: `b${i}`, tenant: "B", atMs: performance.now() }));
  }
  const untilMs = performance.now() + 60_000;
  while (took.length < seconds && performance.now() < untilMs) await sleep(20);
  while (took.length < seconds) took.push(Number.POSITIVE_INFINITY);
  await worker.stop({ grace: "1s" });
  await log.close();
  rmSync(folder, { recursive: true, force: true });
  return { sorted: took.toSorted((a, b) => a - b), done };
}
const at = (sorted: readonly number[], share: number): number =>
  Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;

const empty = await latencies(0);
const flooded = await latencies(queued);
console.log(
  JSON.stringify({
    queued,
    seconds,
    keys,
    costMs,
    emptyMs: { p50: at(empty.sorted, 0.5), p99: at(empty.sorted, 0.99) },
    floodedMs: { p50: at(flooded.sorted, 0.5), p99: at(flooded.sorted, 0.99) },
    ratio: Math.round((at(flooded.sorted, 0.99) / at(empty.sorted, 0.99)) * 100) / 100,
    ofAWereDone: flooded.done,
  }),
);
