/** Agents, as in docs/guides/agents.md. The model is the stand-in of the tests of the AI SDK: it says what it is told to. */
import { currentStep, defineApp, defineEvent, defineSubscription } from "factlog";
import { defineAgent, durable, usageOf } from "factlog/agent";
import { testLog } from "factlog/testing";
import { generateText, isStepCount, tool } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { z } from "zod";

const TicketOpened = defineEvent("TicketOpened", { schema: z.object({ orderId: z.string(), text: z.string() }) });
const TicketAnswered = defineEvent("TicketAnswered", {
  schema: z.object({ orderId: z.string(), text: z.string(), usd: z.number().nullable() }),
});

// #region tools
const tools = {
  findOrder: tool({
    description: "looks an order up",
    inputSchema: z.object({ orderId: z.string() }),
    execute: ({ orderId }) => shop.find(orderId),
  }),
  refund: tool({
    description: "pays an order back",
    inputSchema: z.object({ orderId: z.string(), cents: z.int() }),
    execute: ({ orderId, cents }) => shop.refund(orderId, cents, currentStep().idempotencyKey),
  }),
};
// #endregion

// #region durable
const support = defineSubscription(
  "support",
  { on: TicketOpened, emits: [TicketAnswered], order: "none", timeout: "1h" },
  async (event, ctx) => {
    const { orderId, text: prompt } = event.data;
    const parts = durable(ctx, {
      model,
      tools,
      policy: { findOrder: "pure", refund: { policy: "idempotent", approve: ({ cents }) => cents > 1_000 } },
      budget: { tokens: 50_000, usd: 0.5 },
      prices: { "some-model": { inputPerMillion: 3, outputPerMillion: 15 } },
    });
    const { text } = await generateText({ ...parts, prompt, stopWhen: isStepCount(8), abortSignal: ctx.signal });
    const { usd } = await usageOf(ctx);
    ctx.emit(TicketAnswered({ orderId, text, usd: usd === "unknown" ? null : usd }));
  },
);
// #endregion

// #region agent
const greeter = defineAgent(
  "greeter",
  {
    on: TicketOpened,
    emits: [TicketAnswered],
    model: () => model,
    tools,
    policy: { findOrder: "pure" },
    budget: { steps: 10 },
    instructions: "You answer tickets of a shop, in one sentence.",
  },
  async (event, agent) => {
    const { text } = await agent.generate({ prompt: event.data.text, maxSteps: 5 });
    agent.emit(TicketAnswered({ orderId: event.data.orderId, text, usd: null }));
    console.log("greeter:", text, `(${agent.usage().calls} calls)`);
  },
);
// #endregion

const shop = {
  find: (orderId: string) => ({ orderId, cents: 2_500, state: "damaged" }),
  refund: (orderId: string, cents: number, key: string) => {
    console.log("refund", orderId, cents, "under a key of", key.length, "characters");
    return "refunded";
  },
};

const usage = {
  inputTokens: { total: 1_000, noCache: 1_000, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 100, text: 100, reasoning: 0 },
};
const model = new MockLanguageModelV4({
  modelId: "some-model",
  doGenerate: async ({ prompt }) => {
    const results = prompt.filter(({ role }) => role === "tool").length;
    const isShort = JSON.stringify(prompt).includes("in one sentence");
    const finish = { usage, warnings: [] };
    const call = (toolName: string, input: object) => ({
      content: [{ type: "tool-call" as const, toolCallId: `call-${results}`, toolName, input: JSON.stringify(input) }],
      finishReason: { unified: "tool-calls" as const, raw: undefined },
      ...finish,
    });
    if (!isShort && results === 0) return call("findOrder", { orderId: "o-1" });
    if (!isShort && results === 1) return call("refund", { orderId: "o-1", cents: 2_500 });
    const text = isShort ? "We are looking into it." : "You get your money back.";
    return { content: [{ type: "text", text }], finishReason: { unified: "stop", raw: undefined }, ...finish };
  },
});

async function answers(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", subscriptions: [support] }));
  await log.publish(TicketOpened({ orderId: "o-1", text: "My order o-1 came in pieces." }));
  await log.settled();
  for await (const { id, summary, details } of log.operator.approvals()) {
    console.log(summary, JSON.stringify(details));
    await log.operator.answer(id, { approved: true, by: "ada" });
  }
  await log.settled();
  for (const { data } of await log.eventsOf(TicketAnswered)) console.log(data.text, data.usd);
  console.log("model calls", model.doGenerateCalls.length);
}
async function greets(): Promise<void> {
  await using log = await testLog(defineApp({ name: "shop", subscriptions: [greeter] }));
  await log.publish(TicketOpened({ orderId: "o-1", text: "Where is my order?" }));
  await log.settled();
}
await answers();
await greets();

// Output:
// agent wants to call refund {"tool":"refund","input":{"orderId":"o-1","cents":2500}}
// refund o-1 2500 under a key of 32 characters
// You get your money back. 0.0135
// model calls 3
// greeter: We are looking into it. (1 calls)
