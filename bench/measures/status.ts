import { defineApp, defineSubscription } from "factlog";
import { withBacklog } from "../backlog.ts";
import { inDirectory, type Measure, median } from "../measure.ts";
import { OrderPlaced } from "../workload.ts";

const idle = defineSubscription("behind", { on: OrderPlaced, from: "beginning" }, async () => {});

/** What an operator waits for: one look at all subscriptions, with all of the log pending. */
export const statusMeasure: Measure = {
  name: "status",
  run: (settings) =>
    inDirectory((path) =>
      withBacklog(path("status.db"), settings.size(500_000, 50_000), async (log) => {
        await log.drain(defineApp({ name: "bench", subscriptions: [idle] }), { timeout: 1 });
        const times: number[] = [];
        for (let round = 0; round < 21; round++) {
          const start = performance.now();
          await log.operator.status();
          times.push(performance.now() - start);
        }
        const line = { unit: "ms", raw: null, ratio: null, better: "lower" } as const;
        return [{ name: "status", value: median(times), target: 50, ...line }];
      }),
    ),
};
