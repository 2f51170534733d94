/** Works on five subscriptions and says now and then how large it is: `soak-process.ts FILE SAMPLE_MS`. */
import { readdirSync } from "node:fs";
import { defineApp, defineSubscription, run, sql } from "../../src/index.ts";
import { Derived, Fact } from "../facts.ts";
import { errorsOnly, say } from "../say.ts";

const [file = "", sampleMs = "1000"] = process.argv.slice(2);
const from = "beginning";
const rows = defineSubscription("rows", { on: Fact, from }, ({ id }, ctx) => {
  ctx.write(sql`INSERT INTO effect(id) VALUES (${id})`);
});
const derive = defineSubscription("derive", { on: Fact, emits: [Derived], from }, ({ id, data }, ctx) => {
  if (data.n % 10 === 0) ctx.emit(Derived({ key: data.key, of: id, sub: "derive", run: 0 }));
});
const derived = defineSubscription("derived", { on: Derived, from }, () => {});
const unordered = defineSubscription("unordered", { on: Fact, order: "none", from }, () => Promise.resolve());
const flaky = defineSubscription("flaky", { on: Fact, from, retry: { backoff: [50] } }, ({ data }, ctx) => {
  if (data.n % 100 === 0 && ctx.attempt === 1) throw new Error("not at the first attempt");
});

/** What is garbage is not memory in use: the collector is called first. */
const size = (): void => {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const descriptors = readdirSync("/proc/self/fd").length;
  say({ rssMiB: rss / 2 ** 20, heapMiB: heapUsed / 2 ** 20, descriptors, at: performance.now() });
};
const sampling = setInterval(size, Number(sampleMs));
const app = defineApp({ name: "soak", subscriptions: [rows, derive, derived, unordered, flaky] });
const working = run(app, { url: `sqlite:${file}`, logger: errorsOnly });
say({ up: process.pid });
await working;
clearInterval(sampling);
