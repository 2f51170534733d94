/** What a trace tells of agents: in code, and on the command line. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { generateText, isStepCount, tool } from "ai";
import { z } from "zod";
import { durable } from "../../src/agent/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import type { TraceStep } from "../../src/index.ts";
import { factlog, shopFolder } from "../support/cli.ts";
import { ModelServer } from "../support/model-server.ts";
import { eventually } from "../runtime/support.ts";
import { lastOf, Order, reader, running } from "./support.ts";

test("a trace shows steps with their runs, tokens, cost and waits; an unknown price is unknown", async (t) => {
  const cwd = shopFolder(t);
  await using server = await ModelServer.start((messages, nth) => {
    if (nth === 1 && lastOf(messages).role !== "tool") return { status: 500 };
    return lastOf(messages).role === "tool"
      ? { text: "done", tokens: [200, 10] }
      : { tools: [{ name: "remove", input: { id: "\u001b[2J" } }], tokens: [100, 50] };
  });
  await using log = await running(
    reader(async (event, ctx) => {
      const prices = event.data.n === 1 ? { "test-model": { inputPerMillion: 1, outputPerMillion: 10 } } : {};
      const remove = tool({ inputSchema: z.object({ id: z.string() }), execute: () => "removed" });
      const policy = { remove: { policy: "destructive", approve: "always" } } as const;
      const parts = durable(ctx, { model: server.model(), tools: { remove }, policy, prices });
      await generateText({ ...parts, prompt: event.data.key, stopWhen: isStepCount(4) });
      await ctx.sleep("rest", "1h");
    }),
    sqlite(`sqlite:${join(cwd, "factlog.db")}`),
  );
  const receipts = await log.log.publishAll([Order({ key: "priced", n: 1 }), Order({ key: "unpriced", n: 2 })]);
  const stepsOf = async (correlationId: string): Promise<readonly TraceStep[]> =>
    (await log.log.operator.trace(correlationId)).roots[0]!.deliveries[0]!.steps;
  for (const asked of [await log.asked(/remove/)]) {
    await log.answer(asked, true);
    await log.answer(await log.asked(/remove/, asked), true);
  }
  const [priced = "", unpriced = ""] = receipts.map(({ correlationId }) => correlationId);
  let steps: readonly TraceStep[] = [];
  const isAsleep = async (): Promise<boolean> =>
    (steps = await stepsOf(priced)).some(({ name }) => name === "rest") &&
    (await stepsOf(unpriced)).some(({ name }) => name === "rest");
  await eventually("both are asleep", isAsleep);
  const kinds = steps.map(({ name, state, runs }) => [name.replace(/\.[0-9a-f]{12}$/u, ""), state, runs]);
  assert.deepEqual(kinds, [
    ["agent.model", "done", 2],
    ["agent.approve.remove", "done", 0],
    ["agent.tool.remove", "done", 1],
    ["agent.model", "done", 1],
    ["rest", "waiting", 0],
  ]);
  assert.deepEqual(
    steps.map(({ used }) => used && { ...used, ms: 0 }),
    [
      { inputTokens: 100, outputTokens: 50, usd: 0.0006, ms: 0 },
      undefined,
      { inputTokens: 0, outputTokens: 0, usd: 0, ms: 0 },
      { inputTokens: 200, outputTokens: 10, usd: 0.0003, ms: 0 },
      undefined,
    ],
  );
  assert.equal(steps.at(-1)?.waitsFor?.kind, "sleep");
  const { stdout } = await factlog(t, ["trace", priced], { cwd });
  for (const part of [
    /-> reader waiting/,
    /agent\.model\.[0-9a-f]+ done {2}2 runs {2}100 tokens in, 50 out, \$0\.0006/,
    /rest waiting {2}sleeps until 20/,
    /used: 300 tokens in, 60 out, \$0\.0009/,
  ])
    assert.match(stdout, part);
  assert.match((await factlog(t, ["trace", unpriced], { cwd })).stdout, /used: 300 tokens in, 60 out, cost unknown/);
});
