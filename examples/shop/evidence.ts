/** What is left of a run: the receiver's file, the shop's tables, and the log. */
import { readFile } from "node:fs/promises";
import type { Call } from "./calls.ts";
import { OrderPlaced } from "./events.ts";
import { sql } from "factlog";
import type { Stage } from "./stage.ts";
import type { Tables } from "./tables.ts";

/** The tables of the sales projection. */
export interface Sales {
  readonly days: readonly {
    readonly day: string;
    readonly purchases: number;
    readonly cds: number;
    readonly cents: number;
  }[];
  readonly orders: readonly { readonly orderId: string }[];
  /** How often the tables were made. */
  readonly generation: number;
}

export interface Evidence {
  /** As the receiver served them. */
  readonly calls: readonly Call[];
  readonly tables: Tables;
  readonly sales: Sales;
  /** The ids of all OrderPlaced, in the order of the log. */
  readonly orders: readonly string[];
  /** Facts in the log; what operators did is not counted. */
  readonly events: number;
  /** Closed by all subscriptions together. */
  readonly deliveries: number;
  readonly dead: number;
  /** What the store's own checks found wrong. */
  readonly complaints: readonly string[];
}

export async function gather(stage: Stage): Promise<Evidence> {
  const status = await stage.log.operator.status();
  const findings = await stage.log.inspect();
  return {
    calls: await readCalls(stage.receiver.path),
    tables: await stage.database.read(),
    sales: await readSales(stage),
    ...(await readLog(stage)),
    deliveries: status.reduce((sum, each) => sum + each.closed, 0),
    dead: status.reduce((sum, each) => sum + each.dead, 0),
    complaints: findings.filter((finding) => !finding.ok).map((finding) => `${finding.check}: ${finding.message}`),
  };
}

async function readCalls(path: string): Promise<readonly Call[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Call);
}

async function readSales({ log }: Stage): Promise<Sales> {
  const [projection] = await log.operator.projections();
  return {
    days: await log.query(sql`select day, purchases, cds, cents from daily_sales order by day`),
    orders: await log.query(sql`select order_id as "orderId" from sold_orders`),
    generation: projection?.generation ?? 0,
  };
}

async function readLog(stage: Stage): Promise<Pick<Evidence, "orders" | "events">> {
  const orders: string[] = [];
  let events = 0;
  for await (const event of stage.log.read()) {
    if (event.type.startsWith("factlog.")) continue;
    events++;
    if (OrderPlaced.is(event)) orders.push(event.data.orderId);
  }
  return { orders, events };
}
