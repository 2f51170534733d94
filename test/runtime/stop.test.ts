import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { type Env, realEnv } from "../../src/env.ts";
import { defineApp, defineSubscription, FactlogError } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { engines, open, Order } from "./support.ts";

/** An environment that knows its timers which have neither run nor been cancelled. */
function countingEnv(): { readonly env: Env; readonly timers: ReadonlyMap<object, number> } {
  const timers = new Map<object, number>();
  const env: Env = {
    ...realEnv,
    after(delayMs, task, options) {
      const token = {};
      timers.set(token, delayMs);
      const run = (): void => {
        timers.delete(token);
        task();
      };
      const timer = realEnv.after(delayMs, run, options);
      const cancel = (): void => {
        timers.delete(token);
        timer.cancel();
      };
      return { cancel };
    },
  };
  return { env, timers };
}

for (const { name, fresh } of engines) {
  test(`${name}: a closed log leaves no timer that would keep its process`, async () => {
    const { env, timers } = countingEnv();
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, () => {});
    const log = await open(fresh(), { env });
    await log.publish(Order({ key: "k", n: 1 }));
    await log.drain(defineApp({ name: "t", subscriptions: [reader] }), { timeout: "20s" });
    const worker = await log.work(defineApp({ name: "t", subscriptions: [reader] }));
    await worker.stop();
    await log.close();
    assert.deepEqual([...timers.values()], []);
  });

  test(`${name}: a store that fails while a worker begins is told by the one that began it, and leaves no timer`, async () => {
    const { env, timers } = countingEnv();
    const store = fresh();
    const failing: EngineHandle = {
      identity: store.identity,
      open: async (given) => {
        const engine = await store.open(given);
        engine.ledger.lease = () => Promise.reject(new FactlogError("STORE_FAILED", "the disk is broken."));
        return engine;
      },
    };
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, () => {});
    const log = await open(failing, { env });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    await assert.rejects(log.work(app), { code: "STORE_FAILED" });
    await log.close();
    assert.deepEqual([...timers.values()], []);
  });

  test(`${name}: a worker that stops beside another gives its slots back at once, and the other goes on`, async () => {
    await using log = await open(fresh());
    const apps = ["goes", "stays"].map((each) => {
      const reader = defineSubscription(each, { on: Order }, () => {});
      return defineApp({ name: "t", subscriptions: [reader] });
    });
    const [goes, stays] = await Promise.all(apps.map((app) => log.work(app)));
    const startedMs = realEnv.monotonic();
    await goes?.stop();
    assert.ok(realEnv.monotonic() - startedMs < limits.closeGraceMs / 2, "it waited for its bound");
    const workers = (await log.operator.status()).map((each) => [each.name, each.workers] as const);
    assert.deepEqual(
      new Map(workers),
      new Map([
        ["goes", 0],
        ["stays", 1],
      ]),
    );
    await stays?.stop();
  });
}
