// A worker process for store-processes.test.ts: node store-child.ts URL SCHEMA MODE [N]. Says what happens, a JSON line each.
import { pgStore, postgres } from "../../../src/engines/postgres/index.ts";
import { defineApp, defineSubscription, openLog } from "../../../src/index.ts";
import { Done, Order } from "../../runtime/facts.ts";
import { dyingAfterCommit } from "../../support/dying.ts";

const [url = "", schema = "", mode = "plain", count = "1"] = process.argv.slice(2);
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

const nothing = (): void => undefined;

const one = defineSubscription(
  "one",
  { on: Order, emits: [Done], from: "beginning", store: pgStore(), retry: { attemptsMax: 3, backoff: [1] } },
  async ({ data }, ctx) => {
    say({ ran: data.n, attempt: ctx.attempt });
    await ctx.tx.query("INSERT INTO effect(n) VALUES ($1)", [data.n]);
    if (mode === "retried" && ctx.attempt === 1) throw new Error("not yet");
    if (mode === "stuck") {
      say({ wrote: data.n });
      // Until the test says go on; the signal is not heeded.
      await new Promise((resolve) => void process.stdin.once("data", resolve));
      ctx.signal.addEventListener("abort", () => {});
      say({ aborted: ctx.signal.aborted });
    }
    if (mode === "plain" && data.n % 17 === 3 && ctx.attempt === 1) throw new Error("now and then");
    ctx.emit(Done(data));
  },
);
const handle = postgres({ url, schema });
const log = await openLog(mode === "dies" || mode === "retried" ? dyingAfterCommit(handle, Number(count)) : handle, {
  lease: "1s",
  logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
});
const worker = await log.work(defineApp({ name: "t", subscriptions: [one] }));
process.once("SIGTERM", () => {
  void worker
    .stop()
    .then(() => log.close())
    .then(() => {
      say({ ended: true });
      process.stdin.destroy();
    });
});
say({ started: process.pid });
