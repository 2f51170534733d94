/** The web front end: publishes each order as it comes in, and is done. Nothing here knows who reacts. */
import type { Log } from "factlog";
import { OrderPlaced } from "./events.ts";
import type { Purchase } from "./input.ts";

export interface Placed {
  readonly stored: number;
  /** Were in the log already. */
  readonly repeated: number;
}

/** So many customers press the button at the same time. Their orders share a commit. */
const atOnce = 250;

/** Resolves when all are durable. */
export async function placeOrders(log: Log, purchases: readonly Purchase[], signal?: AbortSignal): Promise<Placed> {
  let repeated = 0;
  for (let i = 0; i < purchases.length; i += atOnce) {
    signal?.throwIfAborted();
    const batch = purchases.slice(i, i + atOnce);
    const receipts = await Promise.all(batch.map((purchase) => log.publish(OrderPlaced(purchase))));
    repeated += receipts.filter((receipt) => receipt.duplicate).length;
  }
  return { stored: purchases.length - repeated, repeated };
}
