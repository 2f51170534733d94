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
import { ModelServer } from "../support/model-server.ts";

const main = join(import.meta.dirname, "../../examples/research/main.ts");
const folder = mkdtempSync(join(tmpdir(), "factlog-research-test-"));
after(() => rmSync(folder, { recursive: true }));

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ["--conditions=@factlog/source", main, "--once", "--json", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}
async function summaryOf(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Summary> {
  const { code, stdout, stderr } = await run(args, env);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Summary;
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
  const lie = "The moon was annexed in a quiet ceremony, and nobody objected.";
  let summaries = 0;
  let lies = 0;
  await using server = await ModelServer.start((messages) => {
    const prompt = String(messages.at(-1)?.content);
    const honest = answerTo(prompt);
    if (!prompt.includes("at most 5 sentences")) return { text: honest };
    if (++summaries % 10 !== 0) return { text: honest };
    lies++;
    return { text: `${honest}\n> ${lie}` };
  });
  const env = { FACTLOG_MODEL: "liar-1", FACTLOG_MODEL_URL: server.url, FACTLOG_MODEL_KEY: "none" };
  const args = ["--limit", "20", "--url", `sqlite:${join(folder, "kept.db")}`];
  const { seconds: _, ...first } = await summaryOf(args, env);
  assert.equal(lies, 2);
  assert.deepEqual(
    [first.documents, first.summaries, first.factChecked, first.factCheckFailed, first.model, first.ok],
    [20, 20, 18, lies, "liar-1", true],
  );
  assert.equal(first.modelCalls, server.calls.length);
  const { seconds: __, ...again } = await summaryOf(args, env);
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
