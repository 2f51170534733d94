// A worker process for test/agent/crash.test.ts: node worker.ts URL MODEL-URL. Says when a tool begins, a line each.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, tool } from "ai";
import { z } from "zod";
import { durable } from "../../src/agent/index.ts";
import { run } from "../../src/index.ts";
import { appOf, reader } from "./support.ts";

const [url = "", baseURL = ""] = process.argv.slice(2);
const note = tool({
  inputSchema: z.object({ n: z.number() }),
  execute: ({ n }) => {
    process.stdout.write(`note ${n}\n`);
    return `noted ${n}`;
  },
});
const app = appOf(
  reader(async (event, ctx) => {
    const model = createOpenAICompatible({ name: "test", baseURL })("test-model");
    const parts = durable(ctx, { model, tools: { note }, policy: { note: "idempotent" } });
    const ask = (prompt: string) => generateText({ ...parts, prompt, stopWhen: isStepCount(8) });
    await Promise.all([ask(`${event.data.key} left`), ask(`${event.data.key} right`)]);
  }),
);
await run(app, { url, lease: "1s", grace: "100ms" });
