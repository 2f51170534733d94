import { execFileSync } from "node:child_process";
import { defineApp, defineSubscription, openLog } from "factlog";
import { fill, silent } from "../backlog.ts";
import { interleaved, type Measurement, perSecond, pipelined, type Settings } from "../measure.ts";
import { makeOrders, type Order, OrderPlaced, sumOf } from "../workload.ts";
import type { Peer, Session } from "../peers/peer.ts";

const inFlight = 100;

/** Factlog's side: an address for each log, on the storage that the peer is compared with. */
export interface Ours {
  readonly address: (log: string) => string;
  readonly publish: number;
  readonly drain: number;
}

/** The same workload on Factlog and on the peer in turn. `raw` of the figures is the peer. */
export async function contest(
  peer: Peer,
  open: (queue: string) => Promise<Session>,
  ours: Ours,
  settings: Settings,
): Promise<readonly Measurement[]> {
  const rounds = settings.size(3, 1);
  const size = (count: number): number => settings.size(count, Math.ceil(count / 10));
  const published = await interleaved(
    rounds,
    (round) => publishOurs(ours.address(`publish_${round}`), makeOrders(size(ours.publish))),
    async (round) => {
      await using session = disposable(await open(`publish_${round}`));
      const orders = makeOrders(size(peer.publish));
      writeOut();
      return await perSecond(orders.length, () =>
        pipelined(orders.length, inFlight, (i) => session.publish(orders[i]!)),
      );
    },
  );
  const drained = await drainBoth(rounds, open, ours.address("drain"), size(ours.drain), size(peer.drain));
  return [
    {
      name: `peers/${peer.name}/publish`,
      unit: "events/s",
      target: peer.targets.publish,
      better: "higher",
      ...published,
    },
    {
      name: `peers/${peer.name}/drain`,
      unit: "deliveries/s",
      target: peer.targets.drain,
      better: "higher",
      ...drained,
    },
  ];
}

async function publishOurs(address: string, orders: readonly Order[]): Promise<number> {
  const log = await openLog(address, { logger: silent });
  try {
    const one = (index: number): Promise<unknown> => log.publish(OrderPlaced(orders[index]!));
    writeOut();
    return await perSecond(orders.length, () => pipelined(orders.length, inFlight, one));
  } finally {
    await log.close();
  }
}

/** Factlog keeps its events: one backlog serves a fresh subscription in each round. The peers' are filled anew. */
async function drainBoth(
  rounds: number,
  open: (queue: string) => Promise<Session>,
  address: string,
  count: number,
  peerCount: number,
): ReturnType<typeof interleaved> {
  const log = await openLog(address, { logger: silent });
  try {
    const expected = await fill(log, count);
    return await interleaved(
      rounds,
      (round) =>
        summing(count, expected, async (handler) => {
          const subscription = defineSubscription(`sum-${round}`, { on: OrderPlaced, from: "beginning" }, (event) =>
            handler(event.data),
          );
          await log.drain(defineApp({ name: "bench", subscriptions: [subscription] }));
        }),
      async (round) => {
        await using session = disposable(await open(`drain_${round}`));
        const orders = makeOrders(peerCount);
        await session.fill(orders);
        return await summing(peerCount, sumOf(orders), (handler) => session.drain(peerCount, handler));
      },
    );
  } finally {
    await log.close();
  }
}

/** What one contestant left to be written is not to be waited for by the next: their files share a disk. */
function writeOut(): void {
  if (process.platform !== "win32") execFileSync("sync");
}

/** The handler is asynchronous and sums a field; who hands it less or more than everything has not drained. */
async function summing(
  count: number,
  expected: number,
  drain: (handler: (order: Order) => Promise<void>) => Promise<unknown>,
): Promise<number> {
  let sum = 0;
  writeOut();
  const rate = await perSecond(count, () =>
    drain(async (order) => {
      sum += order.total;
    }),
  );
  if (sum !== expected) throw new Error(`the handler summed ${sum}, it should be ${expected}`);
  return rate;
}

function disposable(session: Session): Session & AsyncDisposable {
  return Object.assign(session, { [Symbol.asyncDispose]: () => session.close() });
}
