// A worker process for test/runtime/processes.test.ts: node child.ts URL LEASE. Says what happens, a JSON line each.
import { defineApp, defineSubscription, run } from "../../src/index.ts";
import { Done, Order } from "./facts.ts";

const [url = "", lease = "1s"] = process.argv.slice(2);
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

const reader = defineSubscription(
  "reader",
  { on: Order, emits: [Done], from: "beginning", retry: { backoff: [1] } },
  async ({ data }, ctx) => {
    say({ ran: data.key, n: data.n, attempt: ctx.attempt });
    if (data.key === "killer") process.exit(1);
    if (data.key === "stuck") {
      // Until the test says go on; or, as in a shutdown, until nobody wants the result any more.
      await new Promise((resolve) => {
        process.stdin.once("data", resolve);
        ctx.signal.addEventListener("abort", () => {
          say({ aborted: (ctx.signal.reason as { code: string }).code });
          resolve(undefined);
        });
      });
    }
    ctx.emit(Done(data));
  },
);
const worker = run(defineApp({ name: "t", subscriptions: [reader] }), { url, lease: lease as "1s", grace: "100ms" });
say({ started: process.pid });
await worker;
say({ ended: true });
process.stdin.destroy();
