/** What a dead process held is part of what a drain works off, also where its death is known by its beat alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Env, realEnv } from "../../src/env.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { eventually, open, Order } from "./support.ts";

test("memory: a drain that finds a worker dead works off all that it held before it says that it is through", async () => {
  const store = memory();
  let isDead = false;
  const mortal: Env = {
    ...realEnv,
    after: (delayMs, task, options) => realEnv.after(delayMs, () => void (isDead || task()), options),
  };
  const count = 200;
  const begun = new Set<number>();
  const stuck = defineSubscription("reader", { on: Order, from: "beginning", concurrency: count }, ({ data }) => {
    begun.add(data.n);
    return new Promise<never>(() => undefined);
  });
  const dying = await open(store, { env: mortal, lease: "1s" });
  await dying.work(defineApp({ name: "t", subscriptions: [stuck] }));
  for (let n = 0; n < count; n++) await dying.publish(Order({ key: `k${n}`, n }));
  await eventually("it has begun with all", () => begun.size === count);
  isDead = true;

  const seen = new Set<number>();
  const reader = defineSubscription("reader", { on: Order, from: "beginning", concurrency: count }, ({ data }) => {
    seen.add(data.n);
  });
  await using log = await open(store, { lease: "1s" });
  const { drained } = await log.drain(defineApp({ name: "t", subscriptions: [reader] }));
  assert.deepEqual([drained, seen.size], [true, count]);
});
