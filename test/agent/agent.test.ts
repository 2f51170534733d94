import assert from "node:assert/strict";
import { test } from "node:test";
import { streamText, tool } from "ai";
import { z } from "zod";
import { defineAgent, type Usage } from "../../src/agent/index.ts";
import { specOf } from "../../src/app/subscription.ts";
import { currentStep } from "../../src/index.ts";
import { crashTest, fakeEffect } from "../../src/testing/index.ts";
import { ModelServer } from "../support/model-server.ts";
import { appOf, Done, lastOf, Order, running } from "./support.ts";

const count = tool({ inputSchema: z.object({ word: z.string() }), execute: ({ word }) => word.length });
const counting = () =>
  ModelServer.start((messages) => {
    const { role, content } = lastOf(messages);
    return role === "tool" ? { text: `${content} letters` } : { tools: [{ name: "count", input: { word: content } }] };
  });

test("an agent: a loop with instructions, what it used, and all that a handler can", async () => {
  await using server = await counting();
  const usages: Usage[] = [];
  const agent = defineAgent(
    "counter",
    {
      on: Order,
      emits: [Done],
      from: "beginning",
      retry: { backoff: [1], attemptsMax: 2 },
      model: () => server.model(),
      tools: { count },
      policy: { count: "pure" },
      prices: { "test-model": { inputPerMillion: 100, outputPerMillion: 1_000 } },
      instructions: "You count.",
    },
    async (event, agent) => {
      usages.push(agent.usage());
      const { text } = await agent.generate({ prompt: event.data.key });
      usages.push(agent.usage());
      const n = await agent.step("parse", () => Number(text.split(" ")[0]));
      if (agent.attempt < 2) throw new Error("once more");
      agent.emit(Done({ key: event.data.key, n }));
    },
  );
  const { order, onWait, onExhausted } = specOf(agent);
  assert.deepEqual([order, onWait, onExhausted], ["none", "release-key", "skip-event"]);
  await using log = await running(agent);
  await log.publish("seven77");
  await log.closed(1);
  assert.deepEqual((await log.events()).find(({ type }) => type === "Done")?.data, { key: "seven77", n: 7 });
  const none = { calls: 0, inputTokens: 0, outputTokens: 0, usd: 0, wallMs: 0 };
  const all = { calls: 2, inputTokens: 20, outputTokens: 10, usd: 0.012, wallMs: 0 };
  assert.deepEqual(
    usages.map((usage) => ({ ...usage, wallMs: 0 })),
    [none, all, all, all],
  );
  assert.deepEqual(server.calls[0]?.[0], { role: "system", content: "You count." });
  assert.equal(server.calls.length, 2);
});

test("a loop of an agent has an end", async () => {
  await using server = await ModelServer.start(() => ({ tools: [{ name: "count", input: { word: "again" } }] }));
  const options = { on: Order, from: "beginning", model: server.model(), tools: { count } } as const;
  await using log = await running(
    defineAgent("counter", options, (_, agent) =>
      agent.generate({ messages: [{ role: "user", content: "?" }], maxSteps: 3 }),
    ),
  );
  await log.publish("k");
  await log.closed(1);
  assert.equal(server.calls.length, 3);
});

test("at every point at which a process may die, each tool of an agent takes effect once under its key", async () => {
  await using server = await ModelServer.start((messages) =>
    lastOf(messages).role === "tool" ? { text: "sent" } : { tools: [{ name: "send", input: { to: "ada" } }] },
  );
  const report = await crashTest(() => {
    const send = fakeEffect("send", async (_to: string, key: string) => key, { idempotencyKey: (_, key) => key });
    const tools = {
      send: tool({
        inputSchema: z.object({ to: z.string() }),
        execute: ({ to }) => send(to, currentStep().idempotencyKey),
      }),
    };
    const options = {
      on: Order,
      from: "beginning",
      model: server.model(),
      tools,
      policy: { send: "idempotent" },
    } as const;
    const agent = defineAgent("sender", options, (_, agent) => agent.generate({ prompt: "Write to Ada." }));
    return { app: appOf(agent), effects: [send] };
  }, [Order({ key: "k", n: 1 })]);
  assert.deepEqual([report.ok, report.problems], [true, []]);
  assert.ok(report.points >= 6, `${report.points} points`);
});

test("whoever follows sees a model's text, of a stream before its end, and nothing of what is remembered", async () => {
  const rest = Promise.withResolvers<void>();
  await using server = await ModelServer.start((messages) =>
    lastOf(messages).content === "count" ? { text: "one two three four", rest: rest.promise } : { text: "whole" },
  );
  const agent = defineAgent(
    "teller",
    { on: Order, from: "beginning", retry: { attemptsMax: 2, backoff: [1] }, model: server.model() },
    async (_, agent) => {
      await streamText({ model: agent.model, prompt: "count" }).text;
      await agent.generate({ prompt: "say" });
      if (agent.attempt < 2) throw new Error("once more");
    },
  );
  await using log = await running(agent);
  const { correlationId } = await log.log.publish(Order({ key: "k", n: 1 }));
  let text = "";
  for await (const frame of log.log.follow({ correlationId })) {
    if (frame.kind !== "delta") continue;
    text += frame.text;
    rest.resolve();
  }
  assert.equal(text, "one two three fourwhole");
});
