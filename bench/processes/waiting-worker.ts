/** Drains a backlog, with handlers that do or do not fail, and says what it holds when nothing can be done any more. */
import { defineApp, defineSubscription, openLog } from "factlog";
import { silent } from "../backlog.ts";
import { say } from "../child.ts";
import { OrderPlaced } from "../workload.ts";

const [, , file = "", how = "fine"] = process.argv;
const retry = { attemptsMax: Infinity, backoff: ["1d"] as const };
const options = { on: OrderPlaced, from: "beginning", order: "none", retry } as const;
const subscription = defineSubscription(how, options, async () => {
  if (how === "fails") throw new Error("tomorrow");
});
const log = await openLog(`sqlite:${file}`, { logger: silent });
const app = defineApp({ name: "bench", subscriptions: [subscription] });
await log.drain(app);
// The worker that then waits for what is due.
const worker = await log.work(app);
globalThis.gc?.();
const status = (await log.operator.status()).find(({ name }) => name === how);
say({ waiting: status?.retrying, megabytes: process.memoryUsage.rss() / 2 ** 20 });
await worker.stop();
await log.close();
process.disconnect();
