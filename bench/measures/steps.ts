import { DatabaseSync } from "node:sqlite";
import { defineApp, defineSubscription, type HandlerContext, openLog } from "factlog";
import { silent, withBacklog } from "../backlog.ts";
import { Child } from "../child.ts";
import { collect, inDirectory, interleaved, type Measure, type Measurement, median, quantile } from "../measure.ts";
import { makeOrders, OrderPlaced } from "../workload.ts";

const lower = { raw: null, ratio: null, better: "lower" } as const;

/** What a remembered part of a handler costs, what waits, what is in flight, and what a handler shows. */
export const stepsMeasure: Measure = {
  name: "steps",
  run: async (settings) => [
    await cost(settings.size(5, 2), settings.size(1_000, 200)),
    await late(settings.size(5, 2)),
    await waitingRuns(settings.size(10_000, 1_000)),
    await runsInFlight(settings.size(1_000, 100)),
    await deltas(settings.size(100_000, 10_000)),
  ],
};

/** Runs one handler on an empty log. */
async function once(path: string, handler: (ctx: HandlerContext) => Promise<void>): Promise<void> {
  const log = await openLog(`sqlite:${path}`, { logger: silent });
  const subscription = defineSubscription("once", { on: OrderPlaced, timeout: "1h" }, (_, ctx) => handler(ctx));
  const app = defineApp({ name: "bench", subscriptions: [subscription] });
  await log.drain(app);
  await log.publish(OrderPlaced(makeOrders(1)[0]!));
  await log.drain(app);
  await log.close();
}

/** How long each of so many steps took, one after the other: two durable writes each. */
function stepTimes(count: number): Promise<readonly number[]> {
  return inDirectory(async (path) => {
    const times: number[] = [];
    await once(path("steps.db"), async (ctx) => {
      collect();
      for (let n = 0; n < count; n++) {
        const startedMs = performance.now();
        await ctx.step(`step ${n}`, () => ({ answer: "some 100 bytes of JSON, which is what a small answer has", n }));
        times.push(performance.now() - startedMs);
      }
    });
    return times;
  });
}

async function cost(rounds: number, count: number): Promise<Measurement> {
  const commits = (): Promise<number> => inDirectory(async (path) => median(commitTimes(path("raw.db"), count)));
  const result = await interleaved(rounds, async () => median(await stepTimes(count)), commits);
  return { name: "steps/cost", unit: "ms", target: 3, better: "lower", ...result };
}
/** One row, one commit, as durable as a step. */
function commitTimes(path: string, count: number): readonly number[] {
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE step(name TEXT PRIMARY KEY, value TEXT)");
  const insert = db.prepare("INSERT INTO step VALUES (?, ?)");
  const times = Array.from({ length: count }, (_, n) => {
    const startedMs = performance.now();
    insert.run(`step ${n}`, "x".repeat(100));
    return performance.now() - startedMs;
  });
  db.close();
  return times;
}

/** The last 100 of 1,000 steps of one run, against the first 100. */
async function late(rounds: number): Promise<Measurement> {
  const firsts: number[] = [];
  const lasts: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const times = await stepTimes(1_000);
    if (round === 0) continue;
    firsts.push(median(times.slice(0, 100)));
    lasts.push(median(times.slice(-100)));
  }
  const ratio = median(lasts.map((last, i) => last / firsts[i]!));
  const line = { unit: "ms", target: 1.2, better: "lower" } as const;
  return { name: "steps/late", value: median(lasts), raw: median(firsts), ratio, ...line };
}

/** Resident memory of a worker for which so many runs wait, beyond that of one for which none does, per run. */
function waitingRuns(count: number): Promise<Measurement> {
  return inDirectory((path) =>
    withBacklog(path("waiting.db"), count, async (log) => {
      const asleep = defineSubscription("asleep", { on: OrderPlaced, from: "beginning", order: "none" }, (_, ctx) =>
        ctx.sleep("long", "10d"),
      );
      await log.drain(defineApp({ name: "bench", subscriptions: [asleep] }));
      await log.close();
      const [none, all] = [await resident(path("waiting.db"), "none"), await resident(path("waiting.db"), "asleep")];
      if (all.waiting !== count) throw new Error(`${all.waiting} runs wait, it should be ${count}`);
      const value = ((all.megabytes - none.megabytes) * 1_024) / count;
      return { name: "steps/waiting", value, unit: "KB a run", target: 1, ...lower };
    }),
  );
}
interface Resident {
  readonly waiting: number;
  readonly megabytes: number;
}
async function resident(file: string, how: "none" | "asleep"): Promise<Resident> {
  const worker = new Child("steps-worker.ts", [file, how], ["--max-semi-space-size=16", "--expose-gc"]);
  const told = await worker.hear<Resident>();
  await worker.ended();
  return told;
}

/** Resident memory of a worker in which so many agents wait for their model at one time. */
function runsInFlight(count: number): Promise<Measurement> {
  return inDirectory((path) =>
    withBacklog(path("flight.db"), count, async (log) => {
      await log.close();
      const worker = new Child(
        "steps-worker.ts",
        [path("flight.db"), "agents", String(count)],
        ["--max-semi-space-size=16"],
      );
      const { megabytes } = await worker.hear<Resident>();
      await worker.ended();
      return { name: "steps/in-flight", value: megabytes, unit: "MB", target: 300, ...lower };
    }),
  );
}

/** What showing a word costs a handler while somebody follows, p99. */
function deltas(count: number): Promise<Measurement> {
  return inDirectory(async (path) => {
    const times: number[] = [];
    const log = await openLog(`sqlite:${path("deltas.db")}`, { logger: silent });
    const subscription = defineSubscription("shows", { on: OrderPlaced, from: "beginning" }, async (_, ctx) => {
      for (let n = 0; n < count; n++) {
        const startedMs = performance.now();
        ctx.delta("word ");
        times.push(performance.now() - startedMs);
        if (n % 100 === 0) await new Promise((resolve) => void setImmediate(resolve));
      }
    });
    const { correlationId } = await log.publish(OrderPlaced(makeOrders(1)[0]!));
    const worker = await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
    let shown = 0;
    for await (const frame of log.follow({ correlationId })) if (frame.kind === "delta") shown++;
    if (shown === 0) throw new Error("nothing was shown");
    await worker.stop();
    await log.close();
    return { name: "steps/delta", value: quantile(times, 0.99), unit: "ms p99", target: 1, ...lower };
  });
}
