import assert from "node:assert/strict";
import { test } from "node:test";
import { generateText, isStepCount, streamText, tool, ToolLoopAgent } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { z } from "zod";
import { durable } from "../../src/agent/index.ts";
import { currentStep, type HandlerContext } from "../../src/index.ts";
import { ModelServer } from "../support/model-server.ts";
import { engines, open } from "../runtime/support.ts";
import { appOf, running, lastOf, Order, reader, usedOnce } from "./support.ts";

const lookUp = (runs: unknown[]) =>
  tool({
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => {
      runs.push([city, currentStep().idempotencyKey.length]);
      return `sunny in ${city}`;
    },
  });
const noUsage = {
  inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 0, text: 0, reasoning: 0 },
};
/** Two cities at once, then an answer made of what was found. */
const weather = () =>
  ModelServer.start((messages) => {
    if (lastOf(messages).role === "tool") {
      const found = messages.filter(({ role }) => role === "tool").map(({ content }) => content);
      return { text: `It is ${found.join(" and ")}.` };
    }
    const cities = ["Rome", "Rome", "Oslo"];
    return { tools: cities.map((city) => ({ name: "lookUp", input: { city } })), tokens: [100, 20] };
  });

for (const { name, fresh } of engines) {
  for (const kind of ["generate", "stream", "loop"] as const) {
    test(`${name}: ${kind}: model and tool calls are made once over attempts, each tool under a key of its own`, async () => {
      await using server = await weather();
      const runs: unknown[] = [];
      const texts: string[] = [];
      const app = appOf(
        reader(
          async (_, ctx) => {
            const parts = durable(ctx, { model: server.model(), tools: { lookUp: lookUp(runs) } });
            const asked = { ...parts, prompt: "Weather?", stopWhen: isStepCount(5) };
            if (kind === "generate") texts.push((await generateText(asked)).text);
            if (kind === "stream") texts.push((await Array.fromAsync(streamText(asked).textStream)).join(""));
            if (kind === "loop") texts.push((await new ToolLoopAgent(parts).generate({ prompt: "Weather?" })).text);
            if (ctx.attempt < 3) throw new Error("once more");
          },
          { retry: { backoff: [1], attemptsMax: 4 } },
        ),
      );
      const log = await open(fresh());
      await log.publish(Order({ key: "k", n: 1 }));
      while ((await log.drain(app)).waiting > 0);
      const text = "It is sunny in Rome and sunny in Rome and sunny in Oslo.";
      assert.deepEqual(texts, [text, text, text]);
      assert.deepEqual(runs, [
        ["Rome", 32],
        ["Rome", 32],
        ["Oslo", 32],
      ]);
      assert.equal(server.calls.length, 2);
      await log.close();
    });
  }
}

test("a call carries the key of its step, the same in every run of it: a provider that honours it is paid once", async () => {
  const keys: unknown[] = [];
  await using server = await ModelServer.start((_, nth, { headers }) => {
    keys.push(headers["idempotency-key"]);
    return nth === 1 ? { status: 500 } : { text: "x" };
  });
  await using log = await running(
    reader(async (_, ctx) => {
      const { model } = durable(ctx, { model: server.model() });
      for (const prompt of ["a", "b"]) await generateText({ model, prompt });
      await generateText({ model, prompt: "c", headers: { "Idempotency-Key": "mine" } });
    }),
  );
  await log.publish("k");
  await log.closed(1);
  const [a, again, b, ...rest] = keys;
  assert.equal(String(a).length, 32);
  assert.equal(again, a);
  assert.notEqual(b, a);
  assert.deepEqual(rest, [b, "mine", "mine"]);
});

test("two loops at one time find their own answers again, in whatever order they run", async () => {
  await using server = await ModelServer.start((messages) => {
    const said = lastOf(messages);
    return said.role === "tool"
      ? { text: `done ${said.content}` }
      : { tools: [{ name: "echo", input: { say: said.content } }] };
  });
  const seen: string[][] = [];
  const runs: string[] = [];
  const handler = async (ctx: HandlerContext): Promise<void> => {
    const slow = ctx.attempt === 1 ? "a" : "b";
    const held = Promise.withResolvers<void>();
    const echo = tool({
      inputSchema: z.object({ say: z.string() }),
      execute: async ({ say }) => {
        runs.push(say);
        if (say === slow) await held.promise;
        return say;
      },
    });
    const parts = durable(ctx, { model: server.model(), tools: { echo }, policy: { echo: "pure" } });
    const ask = async (prompt: string): Promise<string> => {
      const { text } = await generateText({ ...parts, prompt, stopWhen: isStepCount(4) });
      if (prompt !== slow) held.resolve();
      return text;
    };
    seen.push(await Promise.all(["a", "b"].map(ask)));
    if (ctx.attempt < 3) throw new Error("once more");
  };
  await using log = await running(reader((_, ctx) => handler(ctx)));
  await log.publish("k");
  await log.closed(1);
  assert.deepEqual(
    seen,
    Array.from({ length: 3 }, () => ["done a", "done b"]),
  );
  assert.deepEqual(runs, ["a", "b"]);
  usedOnce(server, 4);
});

test("a stream shows its text before it has ended, and is replayed whole", async () => {
  const rest = Promise.withResolvers<void>();
  await using server = await ModelServer.start(() => ({ text: "one two three four", rest: rest.promise }));
  const seen: string[][] = [];
  // Callbacks of the reader must not seem to be part of the step: `ctx.emit` would be refused in them.
  const chunks: string[] = [];
  const whereIs = (): string => {
    try {
      return `inside ${currentStep().attempt}`;
    } catch {
      return "outside";
    }
  };
  await using log = await running(
    reader(async (_, ctx) => {
      const pieces: string[] = [];
      const { model } = durable(ctx, { model: server.model() });
      for await (const piece of streamText({ model, prompt: "Count.", onChunk: () => void chunks.push(whereIs()) })
        .textStream) {
        pieces.push(piece);
        rest.resolve();
      }
      seen.push(pieces);
      if (ctx.attempt < 2) throw new Error("once more");
    }),
  );
  await log.publish("k");
  await log.closed(1);
  assert.deepEqual(seen, [["one ", "two ", "three ", "four"], ["one two three four"]]);
  assert.deepEqual(new Set(chunks), new Set(["outside"]));
  usedOnce(server, 1);
});

test("a stream runs no tool of an answer that is not remembered", async () => {
  let streams = 0;
  const model = new MockLanguageModelV4({
    doStream: async ({ prompt }) => ({ stream: ReadableStream.from(parts(prompt.at(-1)?.role === "tool", ++streams)) }),
  });
  type Part = Awaited<ReturnType<typeof model.doStream>>["stream"] extends ReadableStream<infer P> ? P : never;
  const finish = (reason: "stop" | "tool-calls"): Part => ({
    type: "finish",
    finishReason: { unified: reason, raw: undefined },
    usage: noUsage,
  });
  async function* parts(isEnd: boolean, nth: number): AsyncGenerator<Part> {
    if (isEnd) return yield finish("stop");
    const input = JSON.stringify({ city: `Rome ${nth}` });
    yield { type: "tool-call", toolCallId: "call-1", toolName: "lookUp", input };
    yield finish("tool-calls");
    // The whole answer is there, and the SDK would run the tool by now; then the connection breaks.
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (nth === 1) throw new Error("cut off");
  }
  const runs: unknown[] = [];
  await using log = await running(
    reader(async (_, ctx) => {
      const durableParts = durable(ctx, { model, tools: { lookUp: lookUp(runs) } });
      await streamText({ ...durableParts, prompt: "?", stopWhen: isStepCount(3), onError: () => {} }).text;
    }),
  );
  await log.publish("k");
  await log.closed(1);
  assert.deepEqual([runs, streams], [[["Rome 2", 32]], 3]);
});

test("a stream that is cut off, a server that fails or hangs: nothing is remembered, and the next attempt asks again", async () => {
  const hang = new Promise<void>(() => {});
  await using server = await ModelServer.start(([message], nth) => {
    if (nth > 1) return { text: "there it is" };
    if (message?.content === "hang") return { when: hang };
    return message?.content === "cut" ? { text: "here it", cut: true } : { status: 500 };
  });
  const seen: string[] = [];
  await using log = await running(
    reader(async ({ data }, ctx) => {
      const { model } = durable(ctx, { model: server.model(), call: { timeout: "200ms" } });
      const isStream = data.key === "cut";
      const { text } = isStream
        ? streamText({ model, prompt: data.key, onError: () => {} })
        : await generateText({ model, prompt: data.key });
      seen.push(`${data.key} ${ctx.attempt}: ${await text}`);
    }),
  );
  await log.publish("cut", "fail", "hang");
  await log.closed(3);
  assert.deepEqual(seen.toSorted(), ["cut 2: there it is", "fail 2: there it is", "hang 2: there it is"]);
  // The SDK's own retries are off: one call an attempt.
  assert.deepEqual([...server.asked.values()], [2, 2, 2]);
});

test("what is no part of it is refused", async () => {
  const codes: unknown[] = [];
  await using server = await ModelServer.start(() => ({ text: "x" }));
  await using log = await running(
    reader((_, ctx) => {
      const model = server.model();
      const bad: (() => unknown)[] = [
        () => durable(ctx, { model: "gpt" }),
        () => durable({} as HandlerContext, { model }),
        () => durable(ctx, { model, name: "a/b" }),
        () => durable(ctx, { model, policy: { gone: "pure" } as object }),
        () =>
          durable(ctx, { model, tools: { t: tool({ inputSchema: z.object({}) }) }, policy: { t: "odd" as "pure" } }),
        () => durable(ctx, { model, budget: { usd: 1 } }),
        () => durable(ctx, { model, budget: { tokens: -1 } }),
        () => durable(ctx, { model, budget: { per: "week" as "day" } }),
        () => durable(ctx, { model, prices: { "test-model": { inputPerMillion: -1, outputPerMillion: 1 } } }),
      ];
      for (const each of bad) {
        try {
          codes.push(each());
        } catch (error) {
          codes.push((error as { code?: string }).code);
        }
      }
    }),
  );
  await log.publish("k");
  await log.closed(1);
  assert.deepEqual(
    codes,
    Array.from({ length: 9 }, () => "INVALID_OPTION"),
  );
});
