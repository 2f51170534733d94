import { type Log, type Logger, openLog } from "factlog";
import { makeOrders, type Order, OrderPlaced, sumOf } from "./workload.ts";

/** Where failures are part of the measure. */
export const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A log with a backlog of orders. Distinct orders repeat after a while: what is stored differs by its id. */
export async function withBacklog<T>(
  path: string,
  count: number,
  use: (log: Log, sum: number) => Promise<T>,
): Promise<T> {
  const log = await openLog(`sqlite:${path}`, { logger: silent });
  try {
    return await use(log, await fill(log, count));
  } finally {
    await log.close();
  }
}

/** Publishes `count` orders in batches; gives the sum of their totals. */
export async function fill(log: Log, count: number): Promise<number> {
  const distinct = makeOrders(Math.min(count, 20_000));
  let sum = 0;
  for (let done = 0; done < count; done += 5_000) {
    const batch = Array.from(
      { length: Math.min(5_000, count - done) },
      (_, i): Order => distinct[(done + i) % distinct.length]!,
    );
    await log.publishAll(batch.map((order) => OrderPlaced(order)));
    sum += sumOf(batch);
  }
  return sum;
}
