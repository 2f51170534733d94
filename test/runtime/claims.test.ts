import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { anotherProcess, engines, eventually, fact, fastEnv, open, Order } from "./support.ts";

for (const { name, fresh } of engines) {
  test(`${name}: claims run ahead of slow handlers by little, so that a crash leaves few suspects`, async () => {
    const store = fresh();
    const log = await open(store);
    await log.publishAll(Array.from({ length: 2_000 }, (_, n) => Order({ key: `k${n}`, n })));
    let ran = 0;
    const go = fact();
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, async () => {
      if (++ran > 300) await go.holds;
      else await new Promise((resolve) => setImmediate(resolve));
    });
    const worker = await log.work(defineApp({ name: "t", subscriptions: [reader] }));
    await eventually("300 have run", () => ran > 300);
    const engine = await store.open(anotherProcess());
    const [known] = await engine.ledger.tally();
    assert.ok(known !== undefined);
    const slots = await engine.ledger.load(known.slots.map(({ slot }) => ({ sub: known.sub, gen: known.gen, slot })));
    const ahead = Math.max(...slots.map((slot) => slot.claim)) - 300;
    assert.ok(ahead <= 16 * limits.claimAheadMin, `claims stand ${ahead} positions ahead of 300 that were started`);
    go.tell();
    await worker.stop();
    await Promise.all([engine.log.close(), engine.ledger.close()]);
    await log.close();
  });

  test(`${name}: a drain ends although a handler that was given up never returns`, async () => {
    const reader = defineSubscription(
      "reader",
      { on: Order, timeout: "1s", retry: { attemptsMax: 1 } },
      () => new Promise(() => {}),
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(fresh(), { env: fastEnv(100) });
    await log.drain(app);
    await log.publish(Order({ key: "a", n: 1 }));
    const summary = await log.drain(app);
    assert.deepEqual([summary.drained, summary.dead], [true, 1]);
    await log.close();
  });
}
