import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { defineApp, defineSubscription, openLog } from "factlog";
import { silent } from "../backlog.ts";
import { inDirectory, type Measure, quantile, type Settings } from "../measure.ts";
import { makeOrders, OrderPlaced, sharedNowMs } from "../workload.ts";

const keys = 10_000;
const perTick = 5;
const tickMs = 5;
/** A hundred keys hang, each for a second and three times within the ten of the run: thirty places are taken by them. */
const concurrency = 64;

/** p99 of healthy keys, from `publish` to the handler, while 10% of the keys fail and 1% hang, against none. */
export const poisonMeasure: Measure = {
  name: "poison",
  run: (settings) =>
    inDirectory(async (path) => {
      const value = await healthyP99(path("storm.db"), true, settings);
      const raw = await healthyP99(path("calm.db"), false, settings);
      const line = { unit: "ms p99", target: 2, better: "lower" } as const;
      return [{ name: "poison", value, raw, ratio: value / raw, ...line }];
    }),
};

async function healthyP99(path: string, storm: boolean, settings: Settings): Promise<number> {
  const found: number[] = [];
  const timeout = 1_000;
  const retry = { attemptsMax: 3, backoff: [200] };
  const subscription = defineSubscription(
    "poison",
    { on: OrderPlaced, concurrency, timeout, retry },
    async (event, ctx) => {
      const key = Number(event.data.customer);
      const hangs = storm && key % 100 === 0;
      if (hangs) await once(ctx.signal, "abort");
      if (hangs || (storm && key % 10 === 1)) throw new Error("poison");
      found.push(sharedNowMs() - event.data.t);
    },
  );
  await using log = await openLog(`sqlite:${path}`, { logger: silent });
  await using _worker = await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
  const orders = makeOrders(settings.size(10_000, 1_000));
  for (let at = 0; at < orders.length; at += perTick) {
    const t = sharedNowMs();
    const customer = (i: number): string => `${((at + i) * 7_919) % keys}`;
    const batch = orders.slice(at, at + perTick).map((order, i) => OrderPlaced({ ...order, customer: customer(i), t }));
    await log.publishAll(batch);
    await sleep(tickMs);
  }
  await sleep(100);
  return quantile(found.slice(100), 0.99);
}
