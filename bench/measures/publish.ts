import { openLog } from "factlog";
import { inDirectory, interleaved, type Measure, perSecond, pipelined, type Settings } from "../measure.ts";
import { RawLog } from "../raw/log.ts";
import { makeOrders, OrderPlaced } from "../workload.ts";

interface Shape {
  readonly name: string;
  readonly inFlight: number;
  readonly batch: number;
  readonly full: number;
  readonly quick: number;
  readonly target: number | null;
}

const shapes: readonly Shape[] = [
  { name: "publish-1", inFlight: 1, batch: 1, full: 5_000, quick: 1_500, target: null },
  { name: "publish-100", inFlight: 100, batch: 1, full: 60_000, quick: 15_000, target: 0.8 },
  { name: "publish-1000", inFlight: 1_000, batch: 1, full: 60_000, quick: 15_000, target: null },
  { name: "batch-100", inFlight: 1, batch: 100, full: 60_000, quick: 15_000, target: null },
  { name: "batch-1000", inFlight: 1, batch: 1_000, full: 100_000, quick: 20_000, target: 0.8 },
];

/** Events a second, durable before they are acknowledged. */
export const publishMeasures: readonly Measure[] = shapes.map((shape) => ({
  name: shape.name,
  async run(settings) {
    const { value, raw, ratio } = await measure(shape, settings);
    return [{ name: shape.name, value, unit: "events/s", raw, ratio, target: shape.target, better: "higher" }];
  },
}));

function measure({ inFlight, batch, full, quick }: Shape, settings: Settings): ReturnType<typeof interleaved> {
  const count = settings.size(full, quick);
  const orders = makeOrders(count);
  const batches = Array.from({ length: count / batch }, (_, i) => orders.slice(i * batch, (i + 1) * batch));
  return inDirectory((path) =>
    interleaved(
      settings.size(5, 3),
      async (round) => {
        const log = await openLog(`sqlite:${path(`ours-${round}.db`)}`);
        const one = (index: number): Promise<unknown> =>
          batch === 1
            ? log.publish(OrderPlaced(orders[index]!))
            : log.publishAll(batches[index]!.map((order) => OrderPlaced(order)));
        const rate = await perSecond(count, () => pipelined(batches.length, inFlight, one));
        await log.close();
        return rate;
      },
      async (round) => {
        const log = new RawLog(path(`raw-${round}.db`));
        const rate = await perSecond(count, () => pipelined(batches.length, inFlight, (i) => log.append(batches[i]!)));
        log.close();
        return rate;
      },
    ),
  );
}
