import { defineApp, defineSubscription, type Log, NonRetryable, openLog } from "factlog";
import { fill, silent } from "../backlog.ts";
import { collect, inDirectory, type Measure, type Measurement, median, perSecond } from "../measure.ts";
import { makeOrders, OrderPlaced } from "../workload.ts";

const small = 10_000;
const batch = 1_000;

/** The same work on a log of 10 thousand events and on one of 10 million, in turn. */
export const growthMeasure: Measure = {
  name: "growth",
  run: (settings) =>
    inDirectory(async (path) => {
      const large = settings.size(10_000_000, 50_000);
      const each = settings.size(50_000, 5_000);
      const open = (name: string): Promise<Log> => openLog(`sqlite:${path(name)}`, { logger: silent });
      const [young, old] = [await open("young.db"), await open("old.db")];
      await fill(young, small);
      await fill(old, large);
      const rounds = settings.size(3, 1);
      const rates: number[][] = [[], [], [], []];
      for (let round = 0; round <= rounds; round++) {
        const figures = [
          await publishing(young, each),
          await publishing(old, each),
          await draining(young, each, round),
          await draining(old, each, round),
        ];
        if (round > 0) figures.forEach((figure, i) => rates[i]!.push(figure));
      }
      const looks = await looking(old);
      await Promise.all([young.close(), old.close()]);
      const [publishYoung, publishOld, drainYoung, drainOld] = rates as [number[], number[], number[], number[]];
      return [
        compared("growth-publish", "events/s", publishOld, publishYoung),
        compared("growth-drain", "deliveries/s", drainOld, drainYoung),
        ...looks,
      ];
    }),
};

async function publishing(log: Log, count: number): Promise<number> {
  const orders = makeOrders(count);
  return perSecond(count, async () => {
    for (let at = 0; at < count; at += batch)
      await log.publishAll(orders.slice(at, at + batch).map((order) => OrderPlaced(order)));
  });
}

/** A subscription that is new, and begins where the last `count` events do. */
async function draining(log: Log, count: number, round: number): Promise<number> {
  const name = `late-${round}`;
  let seen = 0;
  const [first] = await log.publishAll(
    makeOrders(count)
      .map((order) => OrderPlaced(order))
      .slice(0, batch),
  );
  for (let at = batch; at < count; at += batch)
    await log.publishAll(makeOrders(batch).map((order) => OrderPlaced(order)));
  const late = defineSubscription(name, { on: OrderPlaced, from: first!.position! }, async () => {
    seen++;
  });
  const rate = await perSecond(count, () => log.drain(defineApp({ name: "bench", subscriptions: [late] })));
  if (seen !== count - 1) throw new Error(`${seen} were delivered, it should be ${count - 1}`);
  return rate;
}

/** What an operator waits for with all of the log behind. */
async function looking(log: Log): Promise<readonly Measurement[]> {
  const failing = defineSubscription(
    "failing",
    { on: OrderPlaced, from: "beginning", order: "none", retry: { attemptsMax: 1 } },
    async () => {
      throw new NonRetryable("for the first page");
    },
  );
  await log.drain(defineApp({ name: "bench", subscriptions: [failing] }), { timeout: 1_000 });
  const line = { unit: "ms", raw: null, ratio: null, better: "lower" } as const;
  const status = await times(() => log.operator.status());
  const dead = await times(async () => {
    let page = 0;
    for await (const _letter of log.operator.deadLetters()) if (++page === 50) break;
    if (page !== 50) throw new Error(`${page} dead letters, there should be a page of them`);
  });
  return [
    { name: "growth-status", value: status, target: 50, ...line },
    { name: "growth-dead-page", value: dead, target: null, ...line },
  ];
}

async function times(look: () => Promise<unknown>): Promise<number> {
  const found: number[] = [];
  for (let round = 0; round < 11; round++) {
    collect();
    const start = performance.now();
    await look();
    found.push(performance.now() - start);
  }
  return median(found);
}

function compared(name: string, unit: string, old: readonly number[], young: readonly number[]): Measurement {
  const ratio = median(old.map((rate, i) => rate / young[i]!));
  return { name, value: median(old), unit, raw: median(young), ratio, target: 0.8, better: "higher" };
}
