import { setTimeout as sleep } from "node:timers/promises";
import { defineApp, defineSubscription, openLog } from "factlog";
import { Child } from "../child.ts";
import { inDirectory, type Measure, type Measurement, quantile, type Settings } from "../measure.ts";
import { makeOrders, OrderPlaced, sharedNowMs } from "../workload.ts";

const everyMs = 5;

/** One event each 5 ms, from the call of `publish` to the first line of the handler. */
export const latencyMeasures: readonly Measure[] = [
  { name: "latency-same", run: (settings) => inDirectory((path) => sameProcess(path("latency.db"), settings)) },
  { name: "latency-other", run: (settings) => inDirectory((path) => otherProcess(path("latency.db"), settings)) },
];

async function sameProcess(path: string, settings: Settings): Promise<readonly Measurement[]> {
  const found: number[] = [];
  const subscription = defineSubscription("latency", { on: OrderPlaced }, async (event) => {
    found.push(sharedNowMs() - event.data.t);
  });
  await using log = await openLog(`sqlite:${path}`);
  await using _worker = await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
  await publishSlowly(path, settings);
  await sleep(50);
  return lines("latency-same", found, [1, null]);
}

async function otherProcess(path: string, settings: Settings): Promise<readonly Measurement[]> {
  const worker = new Child("latency-worker.ts", [`sqlite:${path}`]);
  await worker.hear();
  await publishSlowly(path, settings);
  await sleep(100);
  worker.tell("enough");
  const found = await worker.hear<number[]>();
  await worker.ended();
  return lines("latency-other", found, [3, 10]);
}

async function publishSlowly(path: string, settings: Settings): Promise<void> {
  const count = settings.size(1_000, 300);
  await using log = await openLog(`sqlite:${path}`);
  await sleep(200);
  for (const order of makeOrders(count)) {
    await log.publish(OrderPlaced({ ...order, t: sharedNowMs() }));
    await sleep(everyMs);
  }
}

function lines(
  name: string,
  found: readonly number[],
  targets: readonly [number | null, number | null],
): Measurement[] {
  // The first few meet code that was never run.
  const warm = found.slice(20);
  const line = { unit: "ms", raw: null, ratio: null, better: "lower" } as const;
  return [
    { name: `${name}-p50`, value: quantile(warm, 0.5), target: targets[0], ...line },
    { name: `${name}-p99`, value: quantile(warm, 0.99), target: targets[1], ...line },
  ];
}
