/** The example shop: `npm start`, or `npm start -- --help`. */
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Drill, requireEnough } from "./drill.ts";
import { type DrillSummary, repeatedCallsMax, withStory } from "./drill-summary.ts";
import { gather } from "./evidence.ts";
import { type Input, InputError, readInput } from "./input.ts";
import { n, Narrator } from "./narrator.ts";
import { expectedTotals } from "./oracle.ts";
import { textOf } from "./report.ts";
import { keepSelling, runShop } from "./run-shop.ts";
import { Stage } from "./stage.ts";
import { type Run, summarise, type Summary } from "./summary.ts";

const help = `The shop of the README, fed with 69,659 real purchases.

npm start                 places all orders, then a new one every second, until Ctrl-C
npm start -- --once       places all orders and ends with a summary that checks itself
npm start -- --drill      the 2 AM story: a warehouse that is down, killed processes, poison orders, a late reader

  --sample                6,919 purchases instead of 69,659
  --input FILE            other purchases, in a form of examples/shop/data/README.md
  --engine postgres://... on that PostgreSQL database, in schemas of its own, instead of an SQLite file
  --processes             a process for each part of the shop, instead of one for all
  --keep                  keep the log, and what the processes wrote, after the end
  --json                  the summary as one JSON object on the last line; the rest goes to stderr`;

class Interrupted extends Error {}

interface Flags {
  readonly once: boolean;
  readonly drill: boolean;
  readonly processes: boolean;
  readonly keep: boolean;
  readonly json: boolean;
  readonly path: string;
  /** Address of a PostgreSQL database; undefined: an SQLite file. */
  readonly engine: string | undefined;
}

/** Undefined: interrupted. */
async function play(flags: Flags): Promise<Summary | undefined> {
  const input = readInput(flags.path);
  if (flags.drill) requireEnough(input);
  const narrator = new Narrator(flags.json ? process.stderr : process.stdout);
  const over = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => over.abort(new Interrupted()));
  const stage = await Stage.open(over, flags.engine);
  // What went wrong is worth a look.
  let keep = true;
  try {
    narrator.say(`${n(input.purchases.length)} purchases of ${relative(process.cwd(), input.path)}`);
    narrator.say(`the log is ${stage.log.description}`);
    const url = stage.database.url.replace(`${process.cwd()}/`, "");
    narrator.say(`look into it from another terminal: npx factlog status --url ${url} (once: npm run build)`);
    const summary = await (flags.drill ? playDrill(stage, input, narrator) : sell(stage, input, narrator, flags));
    keep = flags.keep || !summary.ok;
    return summary;
  } catch (error) {
    if (!over.signal.aborted) throw error;
    if (!(over.signal.reason instanceof Interrupted)) throw over.signal.reason;
    keep = flags.keep;
    narrator.say("interrupted: everything that was placed is in the log");
    return undefined;
  } finally {
    await stage.close(keep);
    narrator.say(keep ? `what is left is in ${stage.folder}` : "nothing is left of this run (--keep keeps it)");
  }
}

async function sell(stage: Stage, input: Input, narrator: Narrator, flags: Flags): Promise<Summary> {
  await runShop(stage, input, narrator, flags.processes);
  if (!flags.once) await keepSelling(stage, narrator);
  return summarise({ ...(await endOf(stage, input, narrator)), repeatedCallsMax: 0 });
}

async function playDrill(stage: Stage, input: Input, narrator: Narrator): Promise<DrillSummary> {
  const story = await new Drill(stage, input, narrator).play();
  const run = await endOf(stage, input, narrator);
  return withStory(summarise({ ...run, repeatedCallsMax: repeatedCallsMax(story) }), story, run.evidence);
}

async function endOf(stage: Stage, input: Input, narrator: Narrator): Promise<Omit<Run, "repeatedCallsMax">> {
  const { seconds } = narrator;
  await stage.endProcesses();
  narrator.say("now to what the receiver wrote down, and what the input says should be there:");
  return {
    evidence: await gather(stage),
    purchases: input.purchases,
    expected: await expectedTotals(input.path),
    seconds,
  };
}

function flagsOf(args: readonly string[]): Flags | undefined {
  const flag = { type: "boolean", default: false } as const;
  const options = {
    once: flag,
    drill: flag,
    sample: flag,
    processes: flag,
    keep: flag,
    json: flag,
    help: flag,
    input: { type: "string" },
    engine: { type: "string" },
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) return undefined;
  const file = values.sample ? "cdnow-sample.txt" : "cdnow-master.txt";
  if (values.engine !== undefined && !/^postgres(ql)?:\/\//.test(values.engine)) {
    throw new InputError("--engine takes the address of a PostgreSQL database: postgres://user@host/database");
  }
  return { ...values, engine: values.engine, path: values.input ?? join(import.meta.dirname, "data", file) };
}

try {
  const flags = flagsOf(process.argv.slice(2));
  if (flags === undefined) console.log(help);
  else {
    const summary = await play(flags);
    if (summary !== undefined) console.log(flags.json ? JSON.stringify(summary) : textOf(summary));
    process.exitCode = summary === undefined ? (flags.once || flags.drill ? 130 : 0) : summary.ok ? 0 : 1;
  }
} catch (error) {
  const isUsage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!(error instanceof InputError || isUsage)) throw error;
  console.error(isUsage ? `${error.message}\n\n${help}` : error.message);
  process.exitCode = 2;
}
