import { DatabaseSync } from "node:sqlite";
import { type App, defineApp, defineBatchSubscription, defineSubscription, type Log, type Subscription } from "factlog";
import { sqliteStore } from "factlog/sqlite";
import { withBacklog } from "../backlog.ts";
import { inDirectory, interleaved, type Measure, type Measurement, perSecond } from "../measure.ts";
import { rawEffects } from "../raw/effects.ts";
import { OrderPlaced } from "../workload.ts";

const appOf = (one: Subscription): App => defineApp({ name: "bench", subscriptions: [one] });
type Make = (name: string, table: string) => App;

/** One row for each event, in the commit that settles it. */
const oneByOne =
  (concurrency: number): Make =>
  (name, table) => {
    const text = `INSERT INTO ${table}(id, total) VALUES (?, ?)`;
    const options = { on: OrderPlaced, emits: [], from: "beginning", store: sqliteStore(), concurrency } as const;
    return appOf(
      defineSubscription(name, options, ({ data }, ctx) => {
        ctx.tx.run(text, data.orderId, data.total);
      }),
    );
  };
const inBatches: Make = (name, table) => {
  const text = `INSERT INTO ${table}(id, total) VALUES (?, ?)`;
  const options = { on: OrderPlaced, from: "beginning", store: sqliteStore(), batch: { max: 500 } } as const;
  return appOf(
    defineBatchSubscription(name, options, (events, ctx) => {
      for (const { data } of events) ctx.tx.run(text, data.orderId, data.total);
    }),
  );
};

const contests: readonly { readonly name: string; readonly make: Make }[] = [
  { name: "store", make: oneByOne(500) },
  { name: "store-16", make: oneByOne(16) },
  { name: "store-batch", make: inBatches },
];

/** Rows without any constraint: each event's once, or the run is void. */
function check(path: string, table: string, count: number): void {
  const db = new DatabaseSync(path, { readOnly: true, returnArrays: true });
  const [rows] = db.prepare(`SELECT count(*) FROM ${table}`).get() as unknown as [number];
  db.close();
  if (rows !== count) throw new Error(`${table} has ${rows} rows, it should have ${count}`);
}
function withTable(path: string, table: string): void {
  const db = new DatabaseSync(path, { timeout: 5_000 });
  db.exec(`CREATE TABLE ${table}(id TEXT, total INTEGER)`);
  db.close();
}

async function drain(log: Log, path: string, app: App, table: string, count: number): Promise<number> {
  withTable(path, table);
  const rate = await perSecond(count, () => log.drain(app));
  check(path, table, count);
  return rate;
}

/** Effects a second of handlers on `sqliteStore`, one insert each; a backlog of keyed events. */
export const storeMeasure: Measure = {
  name: "store",
  run: (how) =>
    inDirectory((path) => {
      const count = how.size(40_000, 10_000);
      const file = path("backlog.db");
      return withBacklog(file, count, async (log) => {
        const found: Measurement[] = [];
        for (const { name, make } of contests) {
          let tables = 0;
          const table = (who: string): string => `${who}_${name.replace("-", "_")}_${tables++}`;
          const { value, raw, ratio } = await interleaved(
            how.size(5, 3),
            (round) => {
              const into = table("ours");
              return drain(log, file, make(`${name}-${round}`, into), into, count);
            },
            () => {
              const into = table("raw");
              withTable(file, into);
              return perSecond(count, async () => {
                if (rawEffects(file, into) !== count) throw new Error("raw did not read all");
              });
            },
          );
          const unit = "effects/s";
          found.push({ name, value, unit, raw: null, ratio: null, target: 40_000, better: "higher" });
          found.push({ name: `${name}-ratio`, value, unit, raw, ratio, target: null, better: "higher" });
        }
        return found;
      });
    }),
};
