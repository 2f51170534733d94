/** What `npm start` plays: the shop, and the research crew. `npm start -- --help`. */
import { openLog } from "factlog";
import { command } from "./command.ts";
import { type ChaosSummary, playChaos } from "./research/chaos/play.ts";
import { speeches } from "./research/documents.ts";
import { modelOf } from "./research/model.ts";
import { question, research } from "./research/research.ts";
import type { Summary as ResearchSummary } from "./research/summary.ts";
import type { DrillSummary } from "./shop/drill-summary.ts";
import { Narrator } from "./shop/narrator.ts";
import { type Flags as ShopFlags, flagsOf, play as playShop } from "./shop/play.ts";
import { textOf as textOfShop } from "./shop/report.ts";
import type { Stage } from "./shop/stage.ts";
import type { Summary as ShopSummary } from "./shop/summary.ts";

const help = `A shop that is fed with 69,659 real purchases, and a crew that reads 63 speeches, sums them up and checks the sums.

npm start                 plays both, then places a new order every second, until Ctrl-C
npm start -- --once       plays both and ends with a summary that checks itself
npm start -- --drill      the shop's 2 AM story: a warehouse that is down, killed processes, poison orders, a late reader
npm start -- --chaos      the crew alone: workers killed at random, a provider that fails and hangs, and counts what it is asked

  --sample                6,919 purchases instead of 69,659
  --input FILE            other purchases, in a form of examples/shop/data/README.md
  --engine postgres://... on that PostgreSQL database, in schemas of its own, instead of SQLite files
  --processes             a process for each part of the shop, instead of one for all
  --keep                  keep the logs, and what the processes wrote, after the end
  --json                  the summary as one JSON object on the last line; the rest goes to stderr

FACTLOG_MODEL, FACTLOG_MODEL_URL and FACTLOG_MODEL_KEY name a model behind an OpenAI-compatible server. With none set, a
stand-in copies sentences: extractive, not an LLM.`;

type Read = Omit<ResearchSummary, "ok" | "seconds">;
type Summary = ShopSummary | DrillSummary | (ShopSummary & Read) | ChaosSummary;
interface Flags extends ShopFlags {
  readonly chaos: boolean;
}

function flagsOfBoth(args: readonly string[]): Flags | undefined {
  const chaos = args.includes("--chaos");
  const flags = flagsOf(args.filter((each) => each !== "--chaos"));
  return flags && { ...flags, chaos };
}

async function play(flags: Flags): Promise<Summary | undefined> {
  if (flags.chaos) return chaos(flags);
  let read: ResearchSummary | undefined;
  const shop = await playShop(flags, async (stage, narrator) => {
    read = await readSpeeches(stage, narrator);
  });
  if (shop === undefined || read === undefined) return shop;
  const { ok, seconds: _, ...facts } = read;
  const faults = ok ? shop.faults : [...shop.faults, `the research crew: ${JSON.stringify(facts)}`];
  return { ...shop, ...facts, ok: shop.ok && ok, faults };
}

const kills = 8;
async function chaos({ engine, keep, json }: Flags): Promise<ChaosSummary | undefined> {
  const narrator = new Narrator(json ? process.stderr : process.stdout);
  const over = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => over.abort());
  try {
    return await playChaos({ engine, kills, keep, say: (line) => narrator.say(line), signal: over.signal });
  } catch (error) {
    if (over.signal.aborted) return undefined;
    throw error;
  }
}

async function readSpeeches({ database, signal }: Stage, narrator: Narrator): Promise<ResearchSummary> {
  const say = (line: string): void => narrator.say(line);
  const log = await openLog(database.logNamed("research"), { source: "research" });
  try {
    const model = modelOf(process.env);
    const { summary } = await research({ log, model, documents: speeches(), question, say, signal });
    signal.throwIfAborted();
    say(`${summary.summaries} of them are summed up, after ${summary.modelCalls} model calls`);
    return summary;
  } finally {
    await log.close();
  }
}

function textOf(summary: Summary): string {
  if ("inFlightAtKill" in summary) {
    const facts = Object.entries(summary).filter(([name]) => name !== "ok" && name !== "faults");
    const lines = facts.map(([name, value]) => `  ${name.padEnd(22)} ${value}`);
    return `\n${lines.join("\n")}\n\n  ${summary.ok ? "ok" : `NOT OK: ${summary.faults.join("; ")}`}`;
  }
  if (!("documents" in summary)) return textOfShop(summary);
  const { documents, summaries, factChecked, factCheckFailed, modelCalls, model } = summary;
  return `${textOfShop(summary)}

  documents        ${documents}, ${summaries} summed up by ${model} in ${modelCalls} calls
  factCheckFailed  ${factCheckFailed}, of ${factChecked + factCheckFailed} summaries whose quotes were looked up`;
}

await command({ help, flags: flagsOfBoth, play, text: textOf });
