/**
 * A worker process: `worker.ts URL WITNESS LIFE VERSION`. Each run of a handler leaves lines in the witness file, which outlives
 * the process: begun, effect on the outside, returned or thrown. LIFE numbers the processes: runs are numbered within it.
 * VERSION 1 is the app as it was before: `books` did not read what is derived, and `mail` waited longer between attempts.
 */
import { openSync, writeSync } from "node:fs";
import { defineApp, defineSubscription, type HandlerContext, type RecordedEvent, run, sql } from "../../src/index.ts";
import { Derived, Fact } from "../facts.ts";
import { errorsOnly, say } from "../say.ts";
import { pause } from "../scratch.ts";
import { retry, runsPerLife } from "./plan.ts";

const [url = "", witness = "", life = "0", version = "2"] = process.argv.slice(2);
const isOld = version === "1";
/** Opened for appending: lines of several processes come one after the other. */
const file = openSync(witness, "a");
const leave = (what: readonly unknown[]): void => void writeSync(file, `${JSON.stringify(what)}\n`);
let runs = Number(life) * runsPerLife;

function begin(sub: string, event: RecordedEvent, ctx: HandlerContext): number {
  const number = runs++;
  leave(["run", number, sub, event.id, event.type, event.key, String(event.position).split(".").at(-1), ctx.attempt]);
  return number;
}
const effect = (number: number, ctx: HandlerContext): void => leave(["effect", number, ctx.idempotencyKey("mail")]);

/** Writes rows and keeps state, both through the settle. */
const books = defineSubscription(
  "books",
  {
    on: isOld ? [Fact] : [Fact, Derived],
    from: "beginning",
    retry,
    state: {
      schema: { "~standard": { version: 1, vendor: "prove", validate: (value) => ({ value: value as number[] }) } },
      initial: [],
    },
  },
  (event, ctx) => {
    const number = begin("books", event, ctx);
    effect(number, ctx);
    ctx.write(sql`INSERT INTO effect(sub, id, run) VALUES (${"books"}, ${event.id}, ${number})`);
    ctx.state.set([...ctx.state.get(), Number(String(event.position).split(".").at(-1))]);
    leave(["ok", number]);
  },
);

/** Calls the outside, takes its time, and fails now and then at the first attempt. */
const mailRetry = { ...retry, backoff: [isOld ? 60 : 20] };
const mail = defineSubscription("mail", { on: Fact, from: "beginning", retry: mailRetry }, async (event, ctx) => {
  const number = begin("mail", event, ctx);
  await pause(Math.random() * 4);
  if (event.data.n % 50 === 0 && ctx.attempt === 1) {
    leave(["fail", number]);
    throw new Error("not at the first attempt");
  }
  effect(number, ctx);
  await pause(Math.random() * 2);
  leave(["ok", number]);
});

/** Emits a fact for each fact. */
const derive = defineSubscription("derive", { on: Fact, emits: [Derived], from: "beginning", retry }, (event, ctx) => {
  const number = begin("derive", event, ctx);
  effect(number, ctx);
  ctx.emit(Derived({ key: event.data.key, of: event.id, sub: "derive", run: number }));
  leave(["ok", number]);
});

const app = defineApp({ name: "crash", subscriptions: [books, mail, derive] });
const working = run(app, { url, grace: "5s", logger: errorsOnly });
say({ up: process.pid });
await working;
process.exit(0);
