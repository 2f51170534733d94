import { defineApp, defineSubscription, type Log } from "factlog";
import { withBacklog } from "../backlog.ts";
import { inDirectory, interleaved, type Measure, perSecond } from "../measure.ts";
import { OrderPlaced } from "../workload.ts";

/** Deliveries a second with 10 and 100 subscriptions in one process, against one. */
export const manyMeasures: readonly Measure[] = [10, 100].map((subscriptions) => ({
  name: `subscriptions-${subscriptions}`,
  run: (settings) =>
    inDirectory((path) => {
      const count = settings.size(20_000, 1_000);
      return withBacklog(path("many.db"), count, async (log) => {
        const result = await interleaved(
          settings.size(3, 1),
          (round) => draining(log, `many-${round}`, subscriptions, count),
          (round) => draining(log, `one-${round}`, 1, count),
        );
        const line = { unit: "deliveries/s", target: null, better: "higher" } as const;
        return [{ name: `subscriptions-${subscriptions}`, ...line, ...result }];
      });
    }),
}));

async function draining(log: Log, name: string, subscriptions: number, count: number): Promise<number> {
  let seen = 0;
  const all = Array.from({ length: subscriptions }, (_, i) =>
    defineSubscription(`${name}-${i}`, { on: OrderPlaced, from: "beginning" }, async (event) => {
      seen += event.data.currency === "EUR" ? 1 : 0;
    }),
  );
  const rate = await perSecond(count * subscriptions, () =>
    log.drain(defineApp({ name: "bench", subscriptions: all })),
  );
  if (seen !== count * subscriptions) throw new Error(`${seen} deliveries, it should be ${count * subscriptions}`);
  return rate;
}
