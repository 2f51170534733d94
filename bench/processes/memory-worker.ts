/** Drains a backlog and says how its memory went: samples of resident megabytes, and deliveries so far. */
import { defineApp, defineSubscription, openLog } from "factlog";
import { say } from "../child.ts";
import { OrderPlaced } from "../workload.ts";

const everyMs = 50;
let sum = 0;
let count = 0;
const subscription = defineSubscription(process.argv[3]!, { on: OrderPlaced, from: "beginning" }, async (event) => {
  sum += event.data.total;
  count++;
});
const samples: [deliveries: number, megabytes: number][] = [];
const timer = setInterval(() => samples.push([count, process.memoryUsage.rss() / 2 ** 20]), everyMs);
const log = await openLog(`sqlite:${process.argv[2]!}`);
await log.drain(defineApp({ name: "bench", subscriptions: [subscription] }));
clearInterval(timer);
say({ samples, sum, peak: process.resourceUsage().maxRSS / 1024 });
await log.close();
process.disconnect();
