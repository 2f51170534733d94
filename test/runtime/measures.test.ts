/** What `status` says of a subscription: read from what is stored, moving while nobody works, never green by omission. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, NonRetryable, type SubscriptionStatus } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { engines, eventually, fastEnv, open } from "./support.ts";

const Fact = defineEvent("Fact", { schema: z.object({ n: z.number() }), key: ({ n }) => String(n) });
const Noise = defineEvent("Noise", { schema: z.object({}) });

for (const { name, fresh } of engines) {
  test(`${name}: lag moves on while the worker is stopped, and for a fact far behind what does not match`, async () => {
    const env = fastEnv(50);
    await using log = await open(fresh(), { env });
    const app = defineApp({ name: "test", subscriptions: [defineSubscription("slow", { on: Fact }, () => {})] });
    await log.drain(app);
    const many = 5_000;
    for (let batch = 0; batch < 4; batch++) await log.publishAll(Array.from({ length: many }, () => Noise({})));
    await log.publish(Fact({ n: 1 }));
    const lag = async (): Promise<SubscriptionStatus> => (await log.operator.status())[0]!;
    const first = await lag();
    assert.deepEqual([first.depth, first.pending, first.drainMs], [1, 1, undefined]);
    assert.ok(first.lagMs > 0, `lag ${first.lagMs}`);
    await eventually("the lag grows by itself", async () => (await lag()).lagMs > first.lagMs + 1_000);
    await log.drain(app);
    const done = await lag();
    assert.deepEqual([done.depth, done.lagMs, done.drainMs, done.closed], [0, 0, 0, 1]);
  });

  test(`${name}: rates come from what was recorded between two looks`, async () => {
    const env = fastEnv(20);
    await using log = await open(fresh(), { env });
    const work = defineSubscription("work", { on: Fact, retry: { attemptsMax: 3, backoff: [60_000] } }, ({ data }) => {
      if (data.n % 4 === 1) throw new Error("not now");
      if (data.n % 4 === 2) throw new NonRetryable("never");
    });
    // Alerts look by themselves, and every look is one of the two.
    const app = defineApp({ name: "test", subscriptions: [work], alerts: [] });
    await log.drain(app);
    const [before] = await log.operator.status();
    assert.deepEqual([before?.ratePerSecond, before?.errorRate, before?.drainMs], [undefined, undefined, 0]);
    await log.publishAll(Array.from({ length: 40 }, (_, n) => Fact({ n })));
    await log.drain(app);
    const [after] = await log.operator.status();
    assert.deepEqual([after?.closed, after?.retrying, after?.dead, after?.blockedKeys], [20, 10, 10, 10]);
    assert.equal(after?.errorRate, 0.5);
    assert.ok((after?.ratePerSecond ?? 0) > 0);
  });
}

test("a look goes a bounded way through what does not match; the next goes on, and the lag is never too small", async () => {
  const { fresh } = engines[0]!;
  await using log = await open(fresh());
  const app = defineApp({ name: "test", subscriptions: [defineSubscription("rare", { on: Fact }, () => {})] });
  await log.drain(app);
  const far = limits.lagPagesMax * limits.scanMax + 1;
  for (let at = 0; at < far; at += limits.batchEventsMax)
    await log.publishAll(Array.from({ length: limits.batchEventsMax }, () => Noise({})));
  await log.publish(Fact({ n: 1 }));
  const [first] = await log.operator.status();
  const [second] = await log.operator.status();
  assert.equal(first?.depth, 1);
  assert.ok(first.lagMs > 0, "not yet found, so the next event not looked at stands for it");
  assert.ok(second!.lagMs <= first.lagMs + 1_000);
});
