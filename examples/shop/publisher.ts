/** The web front end as a process: `publisher.ts INPUT`. Told a part of the input, it places these orders and says so. */
import { openLog } from "factlog";
import shop from "./app.ts";
import { type Purchase, readInput } from "./input.ts";
import { placeOrders } from "./web.ts";

export interface Part {
  /** Purchases from this one on, up to but without that one. */
  readonly from: number;
  readonly to: number;
}

process.on("disconnect", () => process.exit(1));
const { purchases } = readInput(process.argv[2] ?? "");
const log = await openLog(process.env["FACTLOG_URL"] ?? "", { source: shop.name });

process.on("message", ({ from, to }: Part) => void place(purchases.slice(from, to)));
async function place(part: readonly Purchase[]): Promise<void> {
  process.send?.(await placeOrders(log, part));
}
// Ctrl-C reaches the whole family: the parent says when to end.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => void log.close().then(() => process.exit()));
