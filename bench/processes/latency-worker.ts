/** A worker that notes how old each event is when it arrives. */
import { defineApp, defineSubscription, openLog } from "factlog";
import { say, told } from "../child.ts";
import { OrderPlaced, sharedNowMs } from "../workload.ts";

const found: number[] = [];
const subscription = defineSubscription("latency", { on: OrderPlaced }, async (event) => {
  found.push(sharedNowMs() - event.data.t);
});
const log = await openLog(process.argv[2]!);
await log.work(defineApp({ name: "bench", subscriptions: [subscription] }));
say("working");
await told();
say(found);
await log.close();
process.disconnect();
