/** What is left of a run: the receiver's file, the shop's tables, and the log. */
import { readFile } from "node:fs/promises";
import type { Call } from "./calls.ts";
import { OrderPlaced } from "./events.ts";
import type { Stage } from "./stage.ts";
import type { Tables } from "./tables.ts";

export interface Evidence {
  /** As the receiver served them. */
  readonly calls: readonly Call[];
  readonly tables: Tables;
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
