/** A worker process that runs agents: `agent-process.ts URL WITNESS LIFE VERSION`. See agents.ts. */
import { openSync, writeSync } from "node:fs";
import { type LanguageModel, tool } from "ai";
import { z } from "zod";
import { defineAgent } from "../../src/agent/index.ts";
import { defineApp, run } from "../../src/index.ts";
import { Derived, Fact } from "../facts.ts";
import { errorsOnly, say } from "../say.ts";
import { pause } from "../scratch.ts";
import { concerns, subscription } from "./agent-plan.ts";

type Model = Extract<Exclude<LanguageModel, string>, { readonly specificationVersion: "v4" }>;
type Result = Awaited<ReturnType<Model["doGenerate"]>>;
type Prompt = Parameters<Model["doGenerate"]>[0]["prompt"];

const [url = "", witness = ""] = process.argv.slice(2);
/** Opened for appending: lines of several processes come one after the other. */
const file = openSync(witness, "a");
const leave = (what: "begin" | "kept", id: string, step: string): void =>
  void writeSync(file, `${JSON.stringify([what, id, step])}\n`);
/** A while in which a process may die: long enough that of the few kills of a small run some find a step under way. */
const work = (): Promise<void> => pause(Math.random() * 40);

const tokens = { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 };
const usage = { inputTokens: tokens, outputTokens: { total: 10, text: 10, reasoning: 0 } };
const idIn = (prompt: Prompt): string => {
  const asked = prompt.find(({ role }) => role === "user")?.content;
  const [part] = typeof asked === "string" || asked === undefined ? [] : asked;
  return part?.type === "text" ? part.text : "";
};

/** Has a note taken, then says that it was. */
const model: Model = {
  specificationVersion: "v4",
  provider: "prove",
  modelId: "notes-1",
  supportedUrls: {},
  async doGenerate({ prompt }): Promise<Result> {
    const id = idIn(prompt);
    const isEnd = prompt.at(-1)?.role === "tool";
    // Whoever asks on has what came before.
    if (isEnd) for (const step of ["first call", "note"]) leave("kept", id, step);
    leave("begin", id, isEnd ? "second call" : "first call");
    await work();
    const note = { type: "tool-call", toolCallId: "call-0", toolName: "note", input: JSON.stringify({ id }) } as const;
    return {
      content: isEnd ? [{ type: "text", text: `noted ${id}` }] : [note],
      finishReason: { unified: isEnd ? "stop" : "tool-calls", raw: undefined },
      usage,
      warnings: [],
    };
  },
  doStream: () => Promise.reject(new Error("nobody streams here")),
};
const note = tool({
  inputSchema: z.object({ id: z.string() }),
  execute: async ({ id }) => {
    leave("begin", id, "note");
    await work();
    return "noted";
  },
});

const agent = defineAgent(
  subscription,
  {
    on: Fact,
    from: "beginning",
    filter: ({ id }) => concerns(id),
    emits: [Derived],
    model,
    tools: { note },
    policy: { note: "idempotent" },
    // Every death is a crash of all that was under way: here nothing is to die of it.
    retry: { crashesMax: 1_000, attemptsMax: 8, backoff: [20] },
  },
  async (event, agent) => {
    const { id } = event;
    const step = async (name: string): Promise<void> => {
      await agent.step(name, async () => {
        leave("begin", id, name);
        await work();
      });
      leave("kept", id, name);
    };
    await step("load");
    await agent.generate({ prompt: id });
    leave("kept", id, "second call");
    if (event.data.n % 3 === 0) await agent.sleep("nap", 30);
    await Promise.all([step("left"), step("right")]);
    if (event.data.n % 4 === 0 && agent.attempt === 1) throw new Error("not at the first attempt");
    agent.emit(Derived({ key: event.data.key, of: id, sub: subscription, run: 0 }));
  },
);

const app = defineApp({ name: "crash", subscriptions: [agent] });
const working = run(app, { url, grace: "5s", logger: errorsOnly });
say({ up: process.pid });
await working;
process.exit(0);
