import assert from "node:assert/strict";
import { test } from "node:test";
import { generateText, isStepCount, tool } from "ai";
import { z } from "zod";
import { durable, type ToolRule } from "../../src/agent/index.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import type { HandlerContext } from "../../src/index.ts";
import { anotherProcess, eventually, freshFile, open } from "../runtime/support.ts";
import { type Answer, type Message, ModelServer } from "../support/model-server.ts";
import { appOf, Done, lastOf, Order, reader, running } from "./support.ts";

const told = (messages: readonly Message[]): string[] =>
  messages.flatMap(({ role, content }) => (role === "tool" ? [content ?? ""] : []));
/** One round of tools, then the end. */
const once = (tools: Answer["tools"]) =>
  ModelServer.start((messages) => (lastOf(messages).role === "tool" ? { text: "end" } : { tools: tools! }));
const loose = z.object({ id: z.string() });

test("an approval inside try, catch and finally, a second tool beside it, and a restart while it waits: two requests, one run of each tool", async () => {
  await using server = await once([
    { name: "remove", input: { id: "a" } },
    { name: "count", input: { id: "a" } },
  ]);
  const seen: string[] = [];
  const subscription = (life: number) =>
    reader(async (_, ctx) => {
      const tools = {
        remove: tool({ inputSchema: loose, execute: ({ id }) => (seen.push(`remove ${id} ${life}`), "removed") }),
        count: tool({ inputSchema: loose, execute: ({ id }) => (seen.push(`count ${id} ${life}`), 7) }),
      };
      const policy = { remove: { policy: "destructive", approve: "always" } } as const;
      const parts = durable(ctx, { model: server.model(), tools, policy });
      try {
        const { text } = await generateText({ ...parts, prompt: "Clean up.", stopWhen: isStepCount(4) });
        seen.push(text);
      } catch {
        seen.push("caught");
      } finally {
        seen.push("finally");
      }
    });
  const url = `sqlite:${freshFile()}`;
  const first = await running(subscription(1), sqlite(url));
  await first.publish("k");
  const asked = await first.asked(/^agent\.approve\.remove\./);
  assert.deepEqual(asked.details, { tool: "remove", input: { id: "a" } });
  await first[Symbol.asyncDispose]();
  assert.deepEqual(seen, ["count a 1"]);
  await using second = await running(subscription(2), sqlite(url));
  await second.answer(asked, true);
  await second.closed(1);
  assert.deepEqual(seen, ["count a 1", "remove a 2", "end", "finally"]);
  assert.equal(server.calls.length, 2);
  assert.deepEqual(told(server.calls[1]!), ["removed", "7"]);
});

test("a rejected call is told to the model, the tool does not run; `approve` may look at the input", async () => {
  await using server = await once([
    { name: "remove", input: { id: "a" } },
    { name: "remove", input: { id: "b" } },
    { name: "shown", input: { id: "c" } },
  ]);
  const runs: string[] = [];
  const execute = ({ id }: { id: string }) => (runs.push(id), id);
  const rule: ToolRule = { policy: "idempotent", approve: ({ id }: { id: string }) => id !== "b" };
  await using log = await running(
    reader(async (_, ctx) => {
      const tools = {
        remove: tool({ inputSchema: loose, execute }),
        shown: tool({
          inputSchema: loose,
          execute,
          toModelOutput: ({ output }) => ({ type: "text", value: `<${output}>` }),
        }),
      };
      const parts = durable(ctx, { model: server.model(), tools, policy: { remove: rule, shown: rule } });
      await generateText({ ...parts, prompt: "?", stopWhen: isStepCount(4) });
    }),
  );
  await log.publish("k");
  const first = await log.asked(/remove/);
  await log.answer(first, false, "not on Sundays");
  const second = await log.asked(/shown/);
  await log.answer(second, false);
  await log.closed(1);
  assert.deepEqual(runs, ["b"]);
  assert.deepEqual(told(server.calls[1]!), [
    '{"rejected":true,"message":"This call was rejected by ada: not on Sundays. It was not carried out."}',
    "b",
    "This call was rejected by ada. It was not carried out.",
  ]);
});

test("a tool that throws or takes too long, an unknown tool, input that is no JSON: the model is told, once", async () => {
  await using server = await once([
    { name: "broken", input: { id: "a" } },
    { name: "endless", input: { id: "a" } },
    { name: "unheard", input: { id: "a" } },
    { name: "broken", input: '{"id": ' },
  ]);
  let runs = 0;
  await using log = await running(
    reader(async (_, ctx) => {
      const tools = {
        broken: tool({
          inputSchema: loose,
          execute: (): string => {
            runs++;
            throw new Error("the lamp is out");
          },
        }),
        endless: tool({ inputSchema: loose, execute: () => (runs++, new Promise<string>(() => {})) }),
      };
      const policy = { endless: { policy: "pure", timeout: "50ms" } } as const;
      const parts = durable(ctx, { model: server.model(), tools, policy });
      await generateText({ ...parts, prompt: "?", stopWhen: isStepCount(4) });
      if (ctx.attempt < 3) throw new Error("once more");
    }),
  );
  await log.publish("k");
  await log.closed(1);
  assert.deepEqual([runs, server.calls.length], [2, 2]);
  const texts = told(server.calls[1]!).join("\n");
  for (const part of [
    /the lamp is out/,
    /past its timeout of 50 ms/,
    /unavailable tool 'unheard'/,
    /Invalid input for tool broken/,
  ]) {
    assert.match(texts, part);
  }
});

test("a mistake of the handler's own is not told to the model: emit inside a tool ends the attempt", async () => {
  await using server = await once([{ name: "emits", input: { id: "a" } }]);
  await using log = await running(
    reader(
      async (_, ctx) => {
        const tools = {
          emits: tool({ inputSchema: loose, execute: () => ctx.emit(Done({ key: "k", n: 1 })) }),
        };
        const parts = durable(ctx, { model: server.model(), tools, policy: { emits: "pure" } });
        await generateText({ ...parts, prompt: "?", stopWhen: isStepCount(4) });
      },
      { retry: { attemptsMax: 1 } },
    ),
  );
  await log.publish("k");
  assert.match(await log.died(), /ctx.emit belongs to the whole delivery, not to a step/);
  assert.equal(server.calls.length, 1);
  assert.equal((await log.events()).filter(({ type }) => type === "Done").length, 0);
});

for (const answer of [true, false]) {
  test(`a destructive tool that a death left begun is asked about; ${answer ? "approved: it runs again" : "rejected: the model is told"}`, async () => {
    await using server = await once([{ name: "refund", input: { id: "a" } }]);
    const runs: number[] = [];
    const handler = (life: number) => async (_: unknown, ctx: HandlerContext) => {
      const execute = (): string | Promise<string> => {
        runs.push(life);
        return life === 1 ? new Promise<string>(() => {}) : "refunded";
      };
      const parts = durable(ctx, { model: server.model(), tools: { refund: tool({ inputSchema: loose, execute }) } });
      await generateText({ ...parts, prompt: "?", stopWhen: isStepCount(4) });
    };
    const store = sqlite(`sqlite:${freshFile()}`);
    const dying = await open(store, { env: anotherProcess(), lease: "1s" });
    const worker = await dying.work(appOf(reader(handler(1))));
    await dying.publish(Order({ key: "k", n: 1 }));
    await eventually("the tool has begun", () => runs.length === 1);
    await worker.stop({ grace: 0 });
    await using log = await running(reader(handler(2)), store);
    const asked = await log.asked(/refund/);
    assert.match(asked.summary, /may have taken effect. Run it again/);
    await log.answer(asked, answer);
    await log.closed(1);
    assert.deepEqual(runs, answer ? [1, 2] : [1]);
    assert.match(told(server.calls[1]!).join(), answer ? /^refunded$/ : /running it again was rejected/);
    assert.equal(server.calls.length, 2);
    await dying.close();
  });
}
