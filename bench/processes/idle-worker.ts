/** A worker with nothing to do: says how much of a core it used. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineApp, defineSubscription, openLog } from "factlog";
import { say } from "../child.ts";
import { OrderPlaced } from "../workload.ts";

const [path, forMs] = [process.argv[2]!, Number(process.argv[3]!)];
const subscription = defineSubscription("idle", { on: OrderPlaced, from: "beginning" }, async () => {});
const log = await openLog(`sqlite:${path}`);
await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
await sleep(1_500);
const startMs = performance.now();
const before = process.cpuUsage();
await sleep(forMs);
const { user, system } = process.cpuUsage(before);
say((user + system) / 10 / (performance.now() - startMs));
await log.close();
process.disconnect();
