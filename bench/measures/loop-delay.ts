import { monitorEventLoopDelay } from "node:perf_hooks";
import { openLog } from "factlog";
import { inDirectory, type Measure, pipelined } from "../measure.ts";
import { makeOrders, OrderPlaced } from "../workload.ts";

/** How long the event loop stands still while 1,000 publishes are always in flight. */
export const loopDelayMeasure: Measure = {
  name: "loop-delay",
  run: (settings) =>
    inDirectory(async (path) => {
      const orders = makeOrders(settings.size(150_000, 40_000));
      await using log = await openLog(`sqlite:${path("delay.db")}`);
      await pipelined(5_000, 1_000, (index) => log.publish(OrderPlaced(orders[index]!)));
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await pipelined(orders.length, 1_000, (index) => log.publish(OrderPlaced(orders[index]!)));
      delay.disable();
      const value = delay.percentile(99) / 1e6;
      return [{ name: "loop-delay", value, unit: "ms p99", raw: null, ratio: null, target: 30, better: "lower" }];
    }),
};
