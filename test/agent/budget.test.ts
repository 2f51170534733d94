import assert from "node:assert/strict";
import { test } from "node:test";
import { generateText } from "ai";
import { type Budget, durable, type Prices, type Usage, usageOf } from "../../src/agent/index.ts";
import type { OpenApproval } from "../../src/index.ts";
import { type Answer, ModelServer } from "../support/model-server.ts";
import { testLog } from "../../src/testing/index.ts";
import { engines, eventually, unwell } from "../runtime/support.ts";
import { appOf, Order, reader, running } from "./support.ts";

const prices: Prices = { "test-model": { inputPerMillion: 1, outputPerMillion: 10 } };
const server = (answer: Answer = {}) => ModelServer.start(() => ({ text: "x", tokens: [100, 50], ...answer }));

/** Asks `calls` times, one after the other, and tells what was used. */
function asking(
  model: ModelServer,
  calls: number,
  options: { budget?: Budget; prices?: Prices },
  usages: Usage[] = [],
) {
  return reader(
    async (_, ctx) => {
      const parts = durable(ctx, { model: model.model(), ...options });
      for (let n = 1; n <= calls; n++) await generateText({ ...parts, prompt: `${n}`, maxRetries: 0 });
      usages.push(await usageOf(ctx));
      if (ctx.attempt < 2) throw new Error("once more");
    },
    { retry: { attemptsMax: 2, backoff: [1] } },
  );
}

const limits: readonly { readonly name: string; readonly budget: Budget; readonly over: string }[] = [
  { name: "tokens", budget: { tokens: 300 }, over: "tokens" },
  { name: "dollars", budget: { usd: 0.0012 }, over: "usd" },
  { name: "steps", budget: { steps: 2 }, over: "steps" },
];
for (const { name, budget, over } of limits) {
  test(`a budget of ${name} asks before the call that finds it used up; approved, it goes on with the same again`, async () => {
    await using model = await server();
    await using log = await running(asking(model, 5, { budget, prices }));
    await log.publish("k");
    const first = await log.asked(/^agent\.budget$/);
    assert.equal(model.calls.length, 2);
    const { used, over: named } = first.details as { readonly used: Usage; readonly over: readonly string[] };
    assert.deepEqual(named, [over]);
    assert.deepEqual({ ...used, wallMs: 0 }, { calls: 2, inputTokens: 200, outputTokens: 100, usd: 0.0012, wallMs: 0 });
    assert.match(first.summary, /2 model calls, 200 tokens in, 100 out, \$0\.0012/);
    await log.answer(first, true);
    const second = await log.asked(/^agent\.budget#2$/);
    assert.equal(model.calls.length, 4);
    await log.answer(second, true);
    await log.closed(1);
    assert.deepEqual([...model.asked.values()], [1, 1, 1, 1, 1]);
  });
}

test("a budget of nothing: no call before a person says so, and one call for each yes; a no ends the delivery", async () => {
  await using model = await server();
  await using log = await running(asking(model, 3, { budget: { tokens: 0 } }));
  await log.publish("k");
  let asked: OpenApproval | undefined;
  for (const calls of [0, 1]) {
    asked = await log.asked(/budget/, asked);
    assert.equal(model.calls.length, calls);
    await log.answer(asked, true);
  }
  asked = await log.asked(/budget/, asked);
  await log.answer(asked, false);
  assert.match(await log.died(), /going on beyond its budget was rejected by ada/);
  assert.equal(model.calls.length, 2);
});

test("calls at one time: as many as the budget has are made, and one question is asked", async () => {
  await using model = await server();
  await using log = await running(
    reader(async (_, ctx) => {
      const parts = durable(ctx, { model: model.model(), budget: { steps: 3 } });
      await Promise.all(["a", "b", "c", "d", "e"].map((prompt) => generateText({ ...parts, prompt })));
    }),
  );
  await log.publish("k");
  const asked = await log.asked(/budget/);
  assert.equal((await Array.fromAsync(log.log.operator.approvals())).length, 1);
  await eventually("three calls", () => model.calls.length === 3);
  await log.answer(asked, true);
  await log.closed(1);
  assert.deepEqual([...model.asked.values()], [1, 1, 1, 1, 1]);
});

test("time in calls is limited, and what failed counts", async () => {
  const failing = Promise.withResolvers<void>();
  await using model = await ModelServer.start((_, nth) =>
    nth === 1 ? { status: 500, when: failing.promise } : { text: "x" },
  );
  await using log = await running(asking(model, 1, { budget: { wall: 1 } }));
  await log.publish("k");
  setTimeout(failing.resolve, 5);
  const { used } = (await log.asked(/budget/)).details as { readonly used: Usage };
  assert.ok(used.wallMs >= 1, `${used.wallMs} ms`);
  assert.deepEqual([used.calls, used.inputTokens, model.calls.length], [1, 0, 1]);
});

test("what is not known is said to be unknown, and never 0", async () => {
  const usages: Usage[] = [];
  await using model = await server();
  await using log = await running(asking(model, 1, { prices: { other: prices["test-model"]! } }, usages));
  await log.publish("k");
  await log.closed(1);
  const usage = { calls: 1, inputTokens: 100, outputTokens: 50, usd: "unknown", wallMs: 0 };
  assert.deepEqual(
    usages.map((each) => ({ ...each, wallMs: 0 })),
    [usage, usage],
  );
});

test("an answer that does not tell its tokens asks, once, where they are limited", async () => {
  await using model = await server({ tokens: null });
  await using log = await running(asking(model, 2, { budget: { usd: 1 }, prices }));
  await log.publish("k");
  const asked = await log.asked(/budget/);
  assert.deepEqual((asked.details as { readonly over: unknown }).over, ["dollars that nobody knows"]);
  assert.match(asked.summary, /an unknown amount of dollars/);
  assert.equal(model.calls.length, 1);
  await log.answer(asked, true);
  await log.closed(1);
});

const perDay: Budget = { steps: 3, per: "day" };
/** One call for each event. */
const daily = (model: ModelServer, budget = perDay) =>
  reader(
    async (event, ctx) => {
      const { model: wrapped } = durable(ctx, { model: model.model(), budget, prices });
      await generateText({ model: wrapped, prompt: event.data.key });
    },
    { order: "none", onWait: "release-key" },
  );

for (const { name, fresh } of engines) {
  test(`${name}: a day's budget is of the subscription, over all processes; a yes gives all of them the same again`, async () => {
    await using model = await server();
    const store = fresh();
    await using first = await running(daily(model), store);
    await using _second = await running(daily(model), store);
    await first.publish("a", "b", "c", "d", "e", "f", "g", "h");
    const asked = async (): Promise<readonly OpenApproval[]> => Array.fromAsync(first.log.operator.approvals());
    await eventually("five ask", async () => (await asked()).length === 5);
    await first.closed(3);
    assert.equal(model.calls.length, 3);
    const [one, two] = await asked();
    assert.match(one!.step, /^agent\.budget\.\d{4}-\d\d-\d\d$/);
    assert.match(one!.summary, /^reader has used up its budget of \d{4}-\d\d-\d\d \(steps\): 3 model calls, /);
    assert.equal(one!.expiresAt?.toISOString().slice(10, 19), "T00:00:00");
    await first.answer(one!, true);
    await first.closed(4);
    // What waits was asked itself; what is new finds room for two.
    await first.publish("i", "j");
    await first.closed(6);
    await first.answer(two!, false);
    await eventually("it is dead", async () => (await Array.fromAsync(first.log.operator.deadLetters())).length === 1);
    assert.deepEqual([model.calls.length, (await asked()).length], [6, 3]);
    assert.deepEqual(await unwell(first.log), []);
  });
}

test("who waits for more goes on with the next day's budget; tokens are reserved by what calls took before", async () => {
  await using model = await server();
  await using log = await testLog(appOf(daily(model, { tokens: 400, per: "day" })));
  await log.publish(Order({ key: "a", n: 1 }));
  await log.settled();
  await log.publishAll(["b", "c", "d", "e"].map((key) => Order({ key, n: 1 })));
  await log.settled();
  // 150 tokens a call: the third goes beyond.
  assert.equal(model.calls.length, 3);
  await log.advance("1h");
  assert.equal(model.calls.length, 3);
  await log.advance("1d");
  await log.settled();
  assert.equal(model.calls.length, 5);
  assert.deepEqual(await Array.fromAsync(log.operator.approvals()), []);
});

test("calls at one time do not go beyond a day's budget: each has its place before it is made", async () => {
  const all = Promise.withResolvers<void>();
  await using model = await server({ when: all.promise });
  await using log = await running(daily(model));
  await log.publish(...Array.from({ length: 12 }, (_, n) => `k${n}`));
  await eventually("nine ask", async () => (await Array.fromAsync(log.log.operator.approvals())).length === 9);
  await eventually("three calls", () => model.calls.length === 3);
  all.resolve();
  await log.closed(3);
  assert.equal(model.calls.length, 3);
});
