import { defineApp, defineSubscription, type Log } from "factlog";
import { withBacklog } from "../backlog.ts";
import { inDirectory, interleaved, type Measure, perSecond } from "../measure.ts";
import { OrderPlaced } from "../workload.ts";

/** Healthy deliveries a second while every event of some keys fails, against none failing. */
export const failingMeasures: readonly Measure[] = [1, 10].map((percent) => ({
  name: `failing-${percent}`,
  run: (settings) =>
    inDirectory((path) =>
      withBacklog(path("failing.db"), settings.size(100_000, 10_000), async (log) => {
        const result = await interleaved(
          settings.size(5, 2),
          (round) => healthy(log, `failing-${round}`, percent),
          (round) => healthy(log, `fine-${round}`, 0),
        );
        return [{ name: `failing-${percent}`, unit: "deliveries/s", target: null, better: "higher", ...result }];
      }),
    ),
}));

/** Until only failing keys have something open: their first event waits for an hour, the others behind it. */
async function healthy(log: Log, name: string, percent: number): Promise<number> {
  let done = 0;
  const subscription = defineSubscription(
    name,
    { on: OrderPlaced, from: "beginning", retry: { attemptsMax: Infinity, backoff: ["1h"] } },
    async (event) => {
      if (Number(event.data.customer.slice("customer-".length)) % 100 < percent) throw new Error("this key fails");
      done++;
    },
  );
  const rate = await perSecond(1, () => log.drain(defineApp({ name: "bench", subscriptions: [subscription] })));
  return rate * done;
}
