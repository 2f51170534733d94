/** The research crew, run as a newcomer runs it: with the stand-in, and with a server that lies. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { answerTo } from "../../examples/research/extractive.ts";
import type { Summary } from "../../examples/research/summary.ts";
import type { Summary as ShopSummary } from "../../examples/shop/summary.ts";
import { ModelServer } from "../support/model-server.ts";

const examples = join(import.meta.dirname, "../../examples");
const main = join(examples, "research/main.ts");
const folder = mkdtempSync(join(tmpdir(), "factlog-research-test-"));
after(() => rmSync(folder, { recursive: true }));

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}, program = main) {
  const child = spawn(process.execPath, ["--conditions=@factlog/source", program, "--once", "--json", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}
function lastLine<S>({ code, stdout, stderr }: Awaited<ReturnType<typeof run>>): S {
  const line = stdout.trimEnd().split("\n").at(-1) ?? "";
  assert.equal(code, 0, `${stderr}\n${line}`);
  return JSON.parse(line) as S;
}
const summaryOf = async (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Summary> =>
  lastLine(await run(args, env));

/** Answers as the stand-in does, and lies in one summary of ten. */
async function liar() {
  const lie = "The moon was annexed in a quiet ceremony, and nobody objected.";
  let summaries = 0;
  let lies = 0;
  const server = await ModelServer.start((messages) => {
    const prompt = String(messages.at(-1)?.content);
    const honest = answerTo(prompt);
    if (!prompt.includes("at most 5 sentences")) return { text: honest };
    if (++summaries % 10 !== 0) return { text: honest };
    lies++;
    return { text: `${honest}\n> ${lie}` };
  });
  const env = { FACTLOG_MODEL: "liar-1", FACTLOG_MODEL_URL: server.url, FACTLOG_MODEL_KEY: "none" };
  return { server, env, lies: () => lies };
}

test("five speeches with the stand-in: all summed up, nothing misquoted", async () => {
  const { seconds, ...summary } = await summaryOf(["--limit", "5"]);
  assert.ok(seconds > 0);
  assert.deepEqual(summary, {
    documents: 5,
    rejected: 0,
    summaries: 5,
    factChecked: 5,
    factCheckFailed: 0,
    // Twelve sections and five summaries.
    modelCalls: 17,
    model: "extractive, not an LLM",
    ok: true,
  });
});

test("a server that lies in one summary of ten is found out each time; on a log that stays nothing is asked twice", async () => {
  const { server, env, lies } = await liar();
  await using _server = server;
  const args = ["--limit", "20", "--url", `sqlite:${join(folder, "kept.db")}`];
  const { seconds: _first, ...first } = await summaryOf(args, env);
  assert.equal(lies(), 2);
  assert.deepEqual(
    [first.documents, first.summaries, first.factChecked, first.factCheckFailed, first.model, first.ok],
    [20, 20, 18, lies(), "liar-1", true],
  );
  assert.equal(first.modelCalls, server.calls.length);
  const { seconds: _again, ...again } = await summaryOf(args, env);
  assert.deepEqual(again, first);
  assert.equal(again.modelCalls, server.calls.length);
});

test("a file of one's own; one without text is rejected; one that is missing is said to be", async () => {
  const [own, blank] = [join(folder, "own.txt"), join(folder, "blank.txt")];
  writeFileSync(
    own,
    "The harbour was rebuilt in a single summer. Ships came to the harbour from every coast of the country.\n",
  );
  writeFileSync(blank, " \n");
  const { documents, rejected, factChecked, modelCalls, ok } = await summaryOf([own, blank]);
  assert.deepEqual([documents, rejected, factChecked, modelCalls, ok], [2, 1, 1, 2, true]);
  const missing = await run([join(folder, "gone.txt")]);
  assert.deepEqual([missing.code, /there is no such file/.test(missing.stderr)], [2, true]);
  const half = await run([], { FACTLOG_MODEL: "alone" });
  assert.deepEqual([half.code, /belong together/.test(half.stderr)], [2, true]);
});

test("npm start runs the shop and the crew: one summary of both, and every lie about 63 speeches is found out", async () => {
  const { server, env, lies } = await liar();
  await using _server = server;
  const lines = Array.from({ length: 40 }, (_, i) => ` ${String(i + 1).padStart(5, "0")} 19970101  1   11.77\r\n`);
  const input = join(folder, "purchases.txt");
  writeFileSync(input, lines.join(""));
  const both = lastLine<Summary & ShopSummary>(await run(["--input", input], env, join(examples, "main.ts")));
  assert.deepEqual([both.documents, both.summaries, both.model], [63, 63, "liar-1"]);
  assert.equal(lies(), 6);
  assert.deepEqual([both.factCheckFailed, both.factChecked], [lies(), 63 - lies()]);
  assert.equal(both.modelCalls, server.calls.length);
  assert.deepEqual([both.purchases, both.dollars, both.lost, both.ok, both.faults], [40, 470.8, 0, true, []]);
});
