/** A worker of the crew: `crew-process.ts FILE LEASE`. Says what becomes of each task. */
import { defineApp, defineSubscription, type Logger, run, sql } from "../../src/index.ts";
import { errorsOnly, say } from "../say.ts";
import { pause } from "../scratch.ts";
import { attemptsMax, backoffMs, type Said, sharedNowMs, subscriptionName, Task } from "./task.ts";

const [file = "", lease = "1s"] = process.argv.slice(2);
const tell = (what: Said): void => say(what);
const late = new Error("it took too long");
const logger: Logger = {
  ...errorsOnly,
  warn: (message) => {
    if (message.includes("taken for dead")) tell({ replaced: true });
  },
};

const options = { on: Task, from: "beginning", timeout: "1s", retry: { attemptsMax, backoff: [backoffMs] } } as const;
const crew = defineSubscription(subscriptionName, options, async ({ data }, ctx) => {
  const { n, kind } = data;
  if (kind === "killer") process.exit(1);
  if (kind === "hang") {
    await new Promise((_, reject) => {
      ctx.signal.addEventListener("abort", () => reject(late));
    });
  }
  if (kind === "poison") throw new Error("never");
  if (kind === "flaky" && ctx.attempt === 1) {
    tell({ failed: n, at: sharedNowMs() });
    throw new Error("not at the first attempt");
  }
  if (ctx.attempt > 1) tell({ again: n, at: sharedNowMs() });
  ctx.signal.addEventListener("abort", () => {
    if ((ctx.signal.reason as { readonly code?: string }).code === "LEASE_LOST") tell({ lost: n });
  });
  if (data.waitMs > 0) await pause(data.waitMs);
  ctx.write(sql`INSERT INTO effect(id) VALUES (${n})`);
  tell({ done: n, at: sharedNowMs() });
});

const working = run(defineApp({ name: "faults", subscriptions: [crew] }), {
  url: `sqlite:${file}`,
  lease: lease as "1s",
  grace: "3s",
  logger,
});
tell({ up: process.pid });
await working;
process.exit(0);
