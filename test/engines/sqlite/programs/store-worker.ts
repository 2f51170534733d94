// A worker for store-processes.test.ts: node store-worker.ts FILE [DIES_AFTER]. Says "ran" for each handler, and dies by
// SIGKILL when that many handlers have run, in the middle of their shared transaction; or in the commit after that, where
// DIES_AFTER ends in "c": when the transaction stands, and nobody has been told.
import { sqlite, sqliteStore } from "../../../../src/engines/sqlite/index.ts";
import { defineApp, defineSubscription, openLog } from "../../../../src/index.ts";
import { Done, Order } from "../../../runtime/facts.ts";
import { dyingAfterCommit } from "../../../support/dying.ts";

const [file = "", dies = "0"] = process.argv.slice(2);
const afterCommit = dies.endsWith("c");
let left = Number.parseInt(dies, 10);

const one = defineSubscription(
  "one",
  { on: Order, emits: [Done], from: "beginning", store: sqliteStore(), retry: { backoff: [1], crashesMax: 1000 } },
  ({ data }, ctx) => {
    ctx.tx.run("INSERT INTO effect VALUES (?)", data.n);
    if (!afterCommit && --left === 0) process.kill(process.pid, "SIGKILL");
    if (data.n % 17 === 3 && ctx.attempt === 1) throw new Error("now and then");
    if (data.n % 2 === 0) ctx.emit(Done(data));
  },
);
const handle = sqlite(file);
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const log = await openLog(afterCommit ? dyingAfterCommit(handle, left) : handle, { logger: quiet });
await log.work(defineApp({ name: "t", subscriptions: [one] }));
