/** A run of the shop: from its flags to its summary. */
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Drill, requireEnough } from "./drill.ts";
import { type DrillSummary, repeatedCallsMax, withStory } from "./drill-summary.ts";
import { gather } from "./evidence.ts";
import { type Input, InputError, readInput } from "./input.ts";
import { n, Narrator } from "./narrator.ts";
import { expectedOf } from "./oracle.ts";
import { keepSelling, runShop } from "./run-shop.ts";
import { Stage } from "./stage.ts";
import { type Run, summarise, type Summary } from "./summary.ts";

class Interrupted extends Error {}

export interface Flags {
  readonly once: boolean;
  readonly drill: boolean;
  readonly processes: boolean;
  readonly keep: boolean;
  readonly json: boolean;
  readonly path: string;
  /** Address of a PostgreSQL database; undefined: an SQLite file. */
  readonly engine: string | undefined;
}

/** What else is played on the stage of a shop that is open, when the orders of the input are through. */
export type Interlude = (stage: Stage, narrator: Narrator) => Promise<void>;

/** Undefined: interrupted. */
export async function play(flags: Flags, interlude?: Interlude): Promise<Summary | undefined> {
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
    const summary = await (flags.drill
      ? playDrill(stage, input, narrator)
      : sell(stage, input, narrator, flags, interlude));
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

async function sell(
  stage: Stage,
  input: Input,
  narrator: Narrator,
  flags: Flags,
  interlude: Interlude | undefined,
): Promise<Summary> {
  await runShop(stage, input, narrator, flags.processes);
  await interlude?.(stage, narrator);
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
  const { totals, days } = await expectedOf(input.path);
  narrator.say("now to what the receiver wrote down, and what the input says should be there:");
  return {
    evidence: await gather(stage),
    purchases: input.purchases,
    expected: totals,
    days,
    seconds,
  };
}

/** Undefined: help is wanted. */
export function flagsOf(args: readonly string[]): Flags | undefined {
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
