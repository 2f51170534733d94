/** Paused by an operator: a subscription, or one key of it; durable, over all processes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { anotherProcess, engines, eventually, fact, open, Order, unwell } from "./support.ts";

for (const { name, fresh } of engines) {
  test(`${name}: a paused subscription starts nothing, in any process, until another resumes it`, async () => {
    const engine = fresh();
    await using mine = await open(engine, { env: anotherProcess() });
    await using other = await open(engine, { env: anotherProcess() });
    const ran: number[] = [];
    const s = defineSubscription("s", { on: Order, from: "beginning" }, ({ data }) => void ran.push(data.n));
    const app = defineApp({ name: "t", events: [Order], subscriptions: [s] });
    await mine.publish(Order({ key: "k", n: 1 }));
    await mine.drain(app);
    await other.operator.pause("s");
    await other.operator.pause("s");
    await mine.publish(Order({ key: "k", n: 2 }));
    await mine.drain(app);
    assert.deepEqual(ran, [1]);
    assert.equal((await mine.operator.status(app))[0]?.state, "paused");
    const worker = await mine.work(app);
    await other.operator.resume("s");
    await eventually("the worker has heard of it", () => ran.length === 2);
    assert.equal((await mine.operator.status(app))[0]?.state, "active");
    await other.operator.pause("s");
    // Paused in this process' eyes too, once it has looked.
    await mine.operator.status(app);
    await mine.publish(Order({ key: "k", n: 3 }));
    await eventually("it is owed", async () => (await mine.operator.status(app))[0]?.depth === 1);
    await worker.stop();
    assert.deepEqual(ran, [1, 2]);
    const acts: string[] = [];
    for await (const { type } of mine.read()) if (type.startsWith("factlog.operator.")) acts.push(type.slice(17));
    assert.deepEqual(acts, ["paused", "resumed", "paused"]);
  });

  test(`${name}: events of a paused key are held in order, other keys go on, a restart changes nothing`, async () => {
    const engine = fresh();
    await using log = await open(engine);
    const ran: string[] = [];
    const s = defineSubscription("s", { on: Order, from: "beginning" }, ({ key, data }) => {
      ran.push(`${key}${data.n}`);
    });
    const app = defineApp({ name: "t", events: [Order], subscriptions: [s] });
    await log.publish(Order({ key: "a", n: 0 }));
    await log.drain(app);
    await log.operator.pause("s", { key: "a" });
    for (const n of [1, 2, 3]) for (const key of ["a", "b"]) await log.publish(Order({ key, n }));
    await log.drain(app);
    await log.drain(app);
    assert.deepEqual(ran, ["a0", "b1", "b2", "b3"]);
    const [status] = await log.operator.status(app);
    assert.deepEqual(
      { state: status?.state, pausedKeys: status?.pausedKeys, held: status?.held, depth: status?.depth },
      { state: "active", pausedKeys: 1, held: 2, depth: 3 },
    );
    assert.deepEqual(await unwell(log), []);
    const worker = await log.work(app);
    await log.publish(Order({ key: "a", n: 4 }));
    await eventually("it is held", async () => (await log.operator.status(app))[0]?.held === 3);
    await log.operator.resume("s", { key: "a" });
    await eventually("what was held has run", () => ran.length === 8);
    await worker.stop();
    assert.deepEqual(ran.slice(4), ["a1", "a2", "a3", "a4"]);
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: what runs when its key is paused ends; what fails then is not tried again until it is resumed`, async () => {
    await using log = await open(fresh());
    const ran: string[] = [];
    const started = fact();
    const go = fact();
    const retry = { backoff: ["1ms"] } as const;
    const s = defineSubscription("s", { on: Order, from: "beginning", retry }, async ({ data }, { attempt }) => {
      ran.push(`${data.n}.${attempt}`);
      if (ran.length > 1) return;
      started.tell();
      await go.holds;
      throw new Error("not yet");
    });
    const app = defineApp({ name: "t", events: [Order], subscriptions: [s] });
    const worker = await log.work(app);
    for (const n of [1, 2, 3]) await log.publish(Order({ key: "k", n }));
    await started.holds;
    await log.operator.pause("s", { key: "k" });
    go.tell();
    await eventually("the others are held", async () => (await log.operator.status(app))[0]?.held === 2);
    await worker.stop();
    await log.drain(app);
    assert.deepEqual(ran, ["1.1"]);
    await log.operator.resume("s", { key: "k" });
    const again = await log.work(app);
    await eventually("all have run", () => ran.length === 4);
    await again.stop();
    assert.deepEqual(ran, ["1.1", "1.2", "2.1", "3.1"]);
    assert.deepEqual(await unwell(log), []);
  });
}

test("what cannot be paused is refused, and says why", async () => {
  await using log = await open(engines[0]!.fresh());
  const none = defineSubscription("none", { on: Order, order: "none", from: "beginning" }, () => {});
  await log.drain(defineApp({ name: "t", events: [Order], subscriptions: [none] }));
  await assert.rejects(log.operator.pause("nobody"), { code: "NOT_FOUND" });
  await assert.rejects(log.operator.resume("nobody"), { code: "NOT_FOUND" });
  await assert.rejects(log.operator.pause("none", { key: "k" }), { code: "INVALID_OPTION", message: /order: "none"/ });
  await log.operator.pause("none");
  await log.operator.resume("none");
  await log.operator.resume("none");
});
