import { defineApp, defineSubscription, type Log } from "factlog";
import { withBacklog } from "../backlog.ts";
import {
  collect,
  inDirectory,
  interleaved,
  type Measure,
  type Measurement,
  median,
  perSecond,
  type Settings,
} from "../measure.ts";
import { rawDrain } from "../raw/drain.ts";
import { OrderBilled, OrderPlaced } from "../workload.ts";

const settings = { on: OrderPlaced, from: "beginning" } as const;

/** Handlers that sum a field of the data; the sums are checked. */
async function drainSumming(log: Log, names: readonly string[], sum: number): Promise<void> {
  const sums = names.map(() => 0);
  const subscriptions = names.map((name, i) =>
    defineSubscription(name, settings, async (event) => {
      sums[i]! += event.data.total;
    }),
  );
  await log.drain(defineApp({ name: "bench", subscriptions }));
  for (const each of sums) if (each !== sum) throw new Error(`the handlers summed ${each}, it should be ${sum}`);
}

async function drainCounting(log: Log, name: string, count: number): Promise<void> {
  let seen = 0;
  const subscription = defineSubscription(name, settings, async () => {
    seen++;
  });
  await log.drain(defineApp({ name: "bench", subscriptions: [subscription] }));
  if (seen !== count) throw new Error(`${seen} deliveries, it should be ${count}`);
}

async function drainEmitting(log: Log, name: string): Promise<void> {
  const subscription = defineSubscription(name, { ...settings, emits: [OrderBilled] }, async (event, ctx) => {
    ctx.emit(OrderBilled({ orderId: event.data.orderId, total: event.data.total }));
  });
  const { deliveries, drained } = await log.drain(defineApp({ name: "bench", subscriptions: [subscription] }));
  if (!drained) throw new Error(`only ${deliveries} deliveries were settled`);
}

type Contest = (log: Log, path: string, count: number, sum: number) => Promise<Measurement>;

function measure(name: string, full: number, quick: number, contest: (how: Settings) => Contest): Measure {
  return {
    name,
    run: (how) =>
      inDirectory((path) => {
        const count = how.size(full, quick);
        const file = path("backlog.db");
        return withBacklog(file, count, async (log, sum) => [await contest(how)(log, file, count, sum)]);
      }),
  };
}

/** Deliveries a second of a backlog: keyed order, leases and progress on. */
export const drainMeasures: readonly Measure[] = [
  measure("drain", 100_000, 30_000, (how) => async (log, path, count, sum) => {
    const result = await interleaved(
      how.size(5, 3),
      (round) => perSecond(count, () => drainSumming(log, [`sum-${round}`], sum)),
      () => perSecond(count, async () => check(rawDrain(path, { parse: true }).sum, sum)),
    );
    return { name: "drain", unit: "deliveries/s", target: 0.6, better: "higher", ...result };
  }),
  measure("drain-no-data", 100_000, 30_000, (how) => async (log, path, count) => {
    const result = await interleaved(
      how.size(5, 3),
      (round) => perSecond(count, () => drainCounting(log, `count-${round}`, count)),
      () => perSecond(count, async () => check(rawDrain(path, { parse: true }).count, count)),
    );
    return { name: "drain-no-data", unit: "deliveries/s", target: 0.9, better: "higher", ...result };
  }),
  measure("drain-two", 100_000, 30_000, (how) => async (log, _path, count, sum) => {
    const result = await interleaved(
      how.size(5, 3),
      (round) => perSecond(2 * count, () => drainSumming(log, [`left-${round}`, `right-${round}`], sum)),
      (round) => perSecond(count, () => drainSumming(log, [`alone-${round}`], sum)),
    );
    return { name: "drain-two", unit: "deliveries/s", target: 1.2, better: "higher", ...result };
  }),
  measure("emit", 40_000, 10_000, (how) => async (log, _path, count) => {
    const rates: number[] = [];
    for (let round = 0; round <= how.size(3, 2); round++) {
      collect();
      rates.push(await perSecond(count, () => drainEmitting(log, `emit-${round}`)));
    }
    return {
      name: "emit",
      value: median(rates.slice(1)),
      unit: "deliveries/s",
      raw: null,
      ratio: null,
      target: null,
      better: "higher",
    };
  }),
];

function check(found: number, expected: number): void {
  if (found !== expected) throw new Error(`raw found ${found}, it should be ${expected}`);
}
