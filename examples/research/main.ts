/** The research crew: `node --conditions=@factlog/source examples/research/main.ts --once`, or `--help`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout } from "node:timers/promises";
import { type App, type Log, openLog } from "factlog";
import { researchApp } from "./app.ts";
import { type Document, InputError, speeches, textFile } from "./documents.ts";
import { AnalysisRequested, FactCheckFailed, SectionRead, SummaryGenerated } from "./events.ts";
import { modelOf } from "./model.ts";
import { summarise } from "./summary.ts";

const help = `A crew that reads documents, sums them up, and checks what the summary quotes.

node --conditions=@factlog/source examples/research/main.ts [FILE...]    text files; none: 63 speeches

  --once            ends when all is done; otherwise it goes on until Ctrl-C
  --limit N         the first N documents
  --question TEXT   what is asked of each document
  --url URL         a log that stays, such as sqlite:research.db: run it again, and nothing is done twice
  --json            the summary as one JSON object on the last line; the rest goes to stderr

FACTLOG_MODEL, FACTLOG_MODEL_URL and FACTLOG_MODEL_KEY name a model behind an OpenAI-compatible server. With none set, a
stand-in copies sentences: extractive, not an LLM.`;

function flagsOf(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  const options = {
    once: flag,
    json: flag,
    help: flag,
    limit: { type: "string" },
    url: { type: "string" },
    question: { type: "string", default: "What does the document say is most important?" },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const limit = values.limit === undefined ? Number.POSITIVE_INFINITY : Number(values.limit);
  if (!(limit >= 1)) throw new InputError(`--limit ${values.limit}: give a number of 1 or more`);
  return { ...values, limit, files: positionals };
}
type Flags = ReturnType<typeof flagsOf>;

/** Shows what is stated, while it is. */
async function narrate(log: Log, say: (line: string) => void, over: AbortSignal): Promise<void> {
  const on = [SectionRead, SummaryGenerated, FactCheckFailed];
  for await (const frame of log.follow({ on, from: "now", signal: over })) {
    if (frame.kind !== "event") continue;
    const { type, data } = frame.event;
    if (type === "SectionRead") say(`${data.documentId}: section ${data.section} of ${data.of}`);
    if (type === "SummaryGenerated") say(`${data.documentId}, by ${data.model}:\n${data.text}`);
    if (type === "FactCheckFailed") say(`${data.documentId}: NOT in the document: ${data.missing.join(" | ")}`);
  }
}

/** Until nothing is owed; what failed is tried again when it is due. */
async function finish(log: Log, app: App, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { dueNext } = await log.drain(app, { signal });
    if (signal.aborted || dueNext === undefined) return;
    await setTimeout(Math.max(0, dueNext.getTime() - Date.now()), undefined, { signal }).catch(() => {});
  }
}

async function research(
  flags: Flags,
  documents: readonly Document[],
  log: Log,
  over: AbortController,
): Promise<boolean> {
  const say = (line: string): void => void (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
  const { signal } = over;
  const model = modelOf(process.env);
  const texts = new Map(documents.map(({ id, text }) => [id, text]));
  const beganMs = performance.now();
  say(`${documents.length} documents for ${model.modelId}`);
  const app = researchApp(model, (documentId) => texts.get(documentId));
  const told = narrate(log, say, signal);
  await log.publishAll(documents.map(({ id }) => AnalysisRequested({ documentId: id, question: flags.question })));
  await finish(log, app, signal);
  const seconds = Math.round(performance.now() - beganMs) / 1_000;
  const summary = await summarise(log, documents.length, model.modelId, seconds);
  console.log(flags.json ? JSON.stringify(summary) : summary);
  if (!flags.once && !signal.aborted) {
    say("waiting for more; Ctrl-C ends");
    const worker = await log.work(app, { signal });
    await worker.stopped;
  }
  over.abort();
  await told;
  return summary.ok;
}

async function main(flags: Flags): Promise<boolean> {
  const documents = (flags.files.length > 0 ? flags.files.map(textFile) : speeches()).slice(0, flags.limit);
  const over = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => over.abort());
  const folder = mkdtempSync(join(tmpdir(), "factlog-research-"));
  const log = await openLog(flags.url ?? `sqlite:${join(folder, "research.db")}`, { source: "research" });
  try {
    return await research(flags, documents, log, over);
  } finally {
    over.abort();
    await log.close();
    rmSync(folder, { recursive: true });
  }
}

try {
  const flags = flagsOf(process.argv.slice(2));
  if (flags.help) console.log(help);
  else process.exitCode = (await main(flags)) ? 0 : 1;
} catch (error) {
  const isUsage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!(error instanceof InputError || isUsage)) throw error;
  console.error(isUsage ? `${error.message}\n\n${help}` : error.message);
  process.exitCode = 2;
}
