/** Each stage speaks once on its channel, and makes no message where nobody listens. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { type App, defineApp, defineEvent, defineSubscription, Defer, NonRetryable, openLog } from "../../src/index.ts";
import { deliveryStage, publishStage, workerStage } from "../../src/observe/channels.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const Order = defineEvent("Order", { schema: z.object({ id: z.string() }), key: ({ id }) => id, id: ({ id }) => id });

/** What is said on a channel until the test ends; `until` waits for so many messages. */
class Heard {
  readonly messages: Record<string, unknown>[] = [];
  #more = Promise.withResolvers<void>();

  constructor(t: TestContext, name: string) {
    const listener = (message: unknown): void => {
      this.messages.push(message as Record<string, unknown>);
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    };
    subscribe(name, listener);
    t.after(() => unsubscribe(name, listener));
  }
  async until(count: number): Promise<void> {
    while (this.messages.length < count) await this.#more.promise;
  }
  picked(...names: readonly string[]): unknown[][] {
    return this.messages.map((message) => names.map((name) => message[name]));
  }
}

/** The first attempt of an order fails as its id says. */
function failing(): App {
  const failures = new Map<string, Error>([
    ["retry", new Error("once, with password=hunter2")],
    ["dead", new NonRetryable("never")],
    ["defer", new Defer("10ms")],
  ]);
  const options = { on: Order, retry: { attemptsMax: 3, backoff: [5] } } as const;
  const work = defineSubscription("work", { ...options, filter: ({ data }) => data.id !== "filtered" }, ({ data }) => {
    const failure = failures.get(data.id);
    failures.delete(data.id);
    if (failure !== undefined) throw failure;
  });
  return defineApp({ name: "test", subscriptions: [work] });
}

test("publish speaks of each event, also of one that was there", async (t) => {
  const published = new Heard(t, "factlog:publish");
  await using log = await openLog("memory:", { logger: silent });
  await log.publishAll(["a", "b"].map((id) => Order({ id })));
  await log.publish(Order({ id: "a" }));
  assert.deepEqual(published.picked("type", "id", "key", "duplicate"), [
    ["Order", "a", "a", false],
    ["Order", "b", "b", false],
    ["Order", "a", "a", true],
  ]);
  for (const { durationMs, position } of published.messages) {
    assert.ok(Number(durationMs) >= 0 && typeof position === "string");
  }
});

test("delivery speaks once an attempt, with its outcome, its wait, and an error without secrets", async (t) => {
  const delivered = new Heard(t, "factlog:delivery");
  await using log = await openLog("memory:", { logger: silent });
  const worker = await log.work(failing());
  for (const id of ["done", "filtered", "retry", "dead", "defer"]) await log.publish(Order({ id }));
  await delivered.until(7);
  await worker.stop();
  const of = (id: string): unknown[][] =>
    delivered.picked("id", "outcome", "attempt", "attemptsMax", "again").filter(([each]) => each === id);
  assert.deepEqual(of("done"), [["done", "done", 1, 3, false]]);
  assert.deepEqual(of("filtered"), [["filtered", "skipped", 1, 3, false]]);
  assert.deepEqual(of("retry"), [
    ["retry", "retry", 1, 3, false],
    ["retry", "done", 2, 3, false],
  ]);
  assert.deepEqual(of("dead"), [["dead", "dead", 1, 3, false]]);
  assert.deepEqual(of("defer"), [
    ["defer", "deferred", 1, 3, false],
    ["defer", "done", 1, 3, false],
  ]);
  const retry = delivered.messages.find(({ outcome }) => outcome === "retry");
  assert.equal(retry?.["dueInMs"], 5);
  assert.match(String(retry?.["error"]), /^Error: once, with password=\*\*\*\n/);
});

test("worker speaks of coming and going", async (t) => {
  const workers = new Heard(t, "factlog:worker");
  await using log = await openLog("memory:", { logger: silent });
  const worker = await log.work(failing());
  await worker.stop();
  assert.deepEqual(workers.picked("kind", "others"), [
    ["joined", 0],
    ["left", undefined],
  ]);
});

test("nobody listens now, so nothing is made", () => {
  assert.deepEqual(
    [publishStage, deliveryStage, workerStage].map((stage) => stage.hasSubscribers),
    [false, false, false],
  );
});
