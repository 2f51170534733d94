/** The research crew: `node --conditions=@factlog/source examples/research/main.ts --once`, or `--help`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Log, openLog } from "factlog";
import { type Document, InputError, speeches, textFile } from "./documents.ts";
import { modelOf } from "./model.ts";
import { narrate, question, research } from "./research.ts";

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
    question: { type: "string", default: question },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const limit = values.limit === undefined ? Number.POSITIVE_INFINITY : Number(values.limit);
  if (!(limit >= 1)) throw new InputError(`--limit ${values.limit}: give a number of 1 or more`);
  return { ...values, limit, files: positionals };
}
type Flags = ReturnType<typeof flagsOf>;

async function play(flags: Flags, documents: readonly Document[], log: Log, over: AbortController): Promise<boolean> {
  const say = (line: string): void => void (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
  const { signal } = over;
  const told = narrate(log, say, signal);
  const model = modelOf(process.env);
  const { app, summary } = await research({ log, model, documents, question: flags.question, say, signal });
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
    return await play(flags, documents, log, over);
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
