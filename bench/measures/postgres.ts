import { setTimeout as sleep } from "node:timers/promises";
import { defineApp, defineSubscription, openLog } from "factlog";
import pg from "pg";
import { crc32 } from "node:zlib";
import { packagedRelease, releases } from "../../test/support/postgres/binaries.ts";
import { serverUrl } from "../../test/support/postgres.ts";
import { Child } from "../child.ts";
import {
  interleaved,
  type Measure,
  type Measurement,
  perSecond,
  pipelined,
  quantile,
  type Settings,
} from "../measure.ts";
import { RawPostgresLog } from "../raw/postgres.ts";
import { makeOrders, type Order, OrderPlaced, sharedNowMs, sumOf } from "../workload.ts";

const hasServer = releases.some(({ name }) => name === packagedRelease);
let schemas = 0;
/** A log of its own on the server of the tests. */
async function freshUrl(): Promise<string> {
  return `${await serverUrl(packagedRelease)}?schema=bench_${process.pid}_${++schemas}`;
}
const server = async (): Promise<string> => serverUrl(packagedRelease);

/** On PostgreSQL, against one connection that does the same job and nothing else. Left out where there is no server. */
export const postgresMeasures: readonly Measure[] = hasServer
  ? [
      { name: "postgres/publish-100", run: publish },
      { name: "postgres/drain", run: drain },
      { name: "postgres/latency", run: latency },
      { name: "postgres/horizon", run: horizon },
    ]
  : [];

async function publish(settings: Settings): Promise<readonly Measurement[]> {
  const count = settings.size(30_000, 6_000);
  const orders = makeOrders(count);
  const result = await interleaved(
    settings.size(5, 3),
    async () => {
      const log = await openLog(await freshUrl());
      const rate = await perSecond(count, () => pipelined(count, 100, (i) => log.publish(OrderPlaced(orders[i]!))));
      await log.close();
      return rate;
    },
    async () => {
      const raw = await RawPostgresLog.open(await server());
      const rate = await perSecond(count, () => pipelined(count, 100, (i) => raw.append([orders[i]!])));
      await raw.close();
      return rate;
    },
  );
  return [{ name: "postgres/publish-100", unit: "events/s", target: 0.8, better: "higher", ...result }];
}

async function drain(settings: Settings): Promise<readonly Measurement[]> {
  const count = settings.size(40_000, 10_000);
  const orders = makeOrders(count);
  const url = await freshUrl();
  const log = await openLog(url);
  for (let at = 0; at < count; at += 1_000) {
    await log.publishAll(orders.slice(at, at + 1_000).map((order) => OrderPlaced(order)));
  }
  const wanted = sumOf(orders);
  const schema = new URL(url).searchParams.get("schema")!;
  const result = await interleaved(
    settings.size(5, 3),
    async (round) =>
      perSecond(count, async () => {
        let sum = 0;
        const subscription = defineSubscription(
          `sum-${round}`,
          { on: OrderPlaced, from: "beginning" },
          async (event) => {
            sum += event.data.total;
          },
        );
        await log.drain(defineApp({ name: "bench", subscriptions: [subscription] }));
        if (sum !== wanted) throw new Error(`the handler summed ${sum}, it should be ${wanted}`);
      }),
    async () =>
      perSecond(count, async () => {
        const sum = await rawDrain(await server(), schema);
        if (sum !== wanted) throw new Error(`raw summed ${sum}, it should be ${wanted}`);
      }),
  );
  await log.close();
  return [{ name: "postgres/drain", unit: "deliveries/s", target: 0.6, better: "higher", ...result }];
}

/** The same columns, a checksum over the same text, parsed. */
async function rawDrain(url: string, schema: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let after = "0";
  let sum = 0;
  for (;;) {
    const { rows } = await client.query<unknown[]>({
      name: "page",
      text: `SELECT position, source, encode(id, 'hex'), schema, slot, key, grp, time_ms, recorded_ms, attributes, data, crc
             FROM ${schema}.event WHERE position > $1 ORDER BY position LIMIT 1000`,
      values: [after],
      rowMode: "array",
    });
    if (rows.length === 0) break;
    for (const [, , id, , , key, , timeMs, , attributes, data] of rows as string[][]) {
      crc32(`bench\0${id}\0order.placed\0=${key}\0\0${timeMs}\x001\0${attributes}\0${data}`);
      sum += (JSON.parse(data!) as Order).total;
    }
    after = String(rows.at(-1)![0]);
  }
  await client.end();
  return sum;
}

/** One event each 5 ms, from the call of `publish` to the first line of a handler in another process. */
async function latency(settings: Settings): Promise<readonly Measurement[]> {
  const url = await freshUrl();
  const log = await openLog(url);
  const worker = new Child("latency-worker.ts", [url]);
  await worker.hear();
  for (const order of makeOrders(settings.size(600, 200))) {
    await log.publish(OrderPlaced({ ...order, t: sharedNowMs() }));
    await sleep(5);
  }
  await sleep(200);
  worker.tell("enough");
  const warm = (await worker.hear<number[]>()).slice(20);
  await worker.ended();
  await log.close();
  const line = { unit: "ms", raw: null, ratio: null, better: "lower" } as const;
  return [
    { name: "postgres/latency-p50", value: quantile(warm, 0.5), target: 3, ...line },
    { name: "postgres/latency-p99", value: quantile(warm, 0.99), target: null, ...line },
  ];
}

/** Published and handled while vacuum can clean nothing, since a writer and a snapshot are held open; against none. */
async function horizon(settings: Settings): Promise<readonly Measurement[]> {
  const count = settings.size(6_000, 1_500);
  const orders = makeOrders(count);
  const work = async (): Promise<number> => {
    const log = await openLog(await freshUrl());
    const all = Promise.withResolvers<void>();
    let handled = 0;
    const subscription = defineSubscription("handled", { on: OrderPlaced, from: "beginning" }, async () => {
      if (++handled === count) all.resolve();
    });
    const worker = await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
    const rate = await perSecond(count, async () => {
      await pipelined(count, 20, (i) => log.publish(OrderPlaced(orders[i]!)));
      await all.promise;
    });
    await worker.stop();
    await log.close();
    return rate;
  };
  const held = async (): Promise<number> => {
    const holder = new pg.Client({ connectionString: await server() });
    await holder.connect();
    await holder.query(
      "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id(); SELECT 1 FROM pg_class LIMIT 1",
    );
    const rate = await work();
    await holder.end();
    return rate;
  };
  const result = await interleaved(settings.size(5, 3), held, work);
  return [{ name: "postgres/horizon", unit: "events/s", target: 0.9, better: "higher", ...result }];
}
