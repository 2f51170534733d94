import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { defineApp, defineSubscription, type Log } from "factlog";
import { withBacklog } from "../backlog.ts";
import { inDirectory, interleaved, type Measure, perSecond } from "../measure.ts";
import { OrderPlaced } from "../workload.ts";

/** Deliveries a second while somebody listens to what each stage says, against nobody. */
export const listeningMeasure: Measure = {
  name: "listening",
  run: (settings) =>
    inDirectory((path) => {
      const count = settings.size(100_000, 10_000);
      return withBacklog(path("listening.db"), count, async (log) => {
        let heard = 0;
        const hear = (): void => void heard++;
        const listened = async (round: number): Promise<number> => {
          subscribe("factlog:delivery", hear);
          const rate = await draining(log, `heard-${round}`, count);
          unsubscribe("factlog:delivery", hear);
          return rate;
        };
        const rounds = settings.size(5, 3);
        const result = await interleaved(rounds, listened, (round) => draining(log, `alone-${round}`, count));
        if (heard !== count * (rounds + 1)) throw new Error(`${heard} were heard`);
        return [{ name: "listening", unit: "deliveries/s", target: 0.95, better: "higher", ...result }];
      });
    }),
};

function draining(log: Log, name: string, count: number): Promise<number> {
  const subscription = defineSubscription(name, { on: OrderPlaced, from: "beginning" }, async () => {});
  return perSecond(count, () => log.drain(defineApp({ name: "bench", subscriptions: [subscription] })));
}
