import type { Command } from "commander";
import { FactlogError } from "../../errors.ts";
import { toCloudEvent } from "../../event/cloudevents.ts";
import type { StepUsage, TraceStep } from "../../runtime/trace-steps.ts";
import type { Trace, TraceDelivery, TraceNode } from "../../runtime/trace.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { duration, placeOf, plural } from "../format.ts";
import { fromHelp, fromOf } from "../from.ts";
import { withLog } from "../open.ts";
import type { Output } from "../output.ts";

interface TraceOptions {
  readonly from?: string;
}

export function addTrace(program: Command, finish: Finish): void {
  const command = program
    .command("trace")
    .description("show what became of a correlation: its events as a tree of causes, and each one's deliveries")
    .argument("<correlation>", "correlation id: the id of the event that began it, if no other was given")
    .option("--from <place>", `where to begin to look; ${fromHelp} (default: beginning)`);
  act<TraceOptions>(withCommonOptions(command), finish, showTrace);
}

async function showTrace(call: Call<TraceOptions>, correlationId = ""): Promise<void> {
  const { out, options } = call;
  await withLog(call, "refuse", async (opened) => {
    const from = options.from === undefined ? {} : { from: fromOf(options.from, opened) };
    const trace = await opened.log.operator.trace(correlationId, from);
    if (trace.events === 0) {
      const message = `no event has the correlation ${correlationId}: take a correlationid from \`factlog tail --json\`.`;
      throw new FactlogError("NOT_FOUND", message, { details: { correlationId } });
    }
    const { roots, ...facts } = trace;
    out.object({ log: opened.name, ...facts, tree: [...placesOf(roots)].map(factsOf) });
    for (const place of placesOf(roots)) show(out, place);
    out.say(summaryOf(trace));
  });
}

function summaryOf({ events, open, dead, durationMs, truncated }: Trace): string {
  const parts = [
    `${plural(events, "event")} in ${duration(durationMs)}`,
    `${plural(open, "delivery", "deliveries")} open`,
  ];
  if (dead > 0) parts.push(`${plural(dead, "dead letter")}: factlog dead show ID`);
  if (truncated) parts.push("there are more events, newer than these");
  return parts.join(", ");
}

/** Where a node stands in the tree. */
interface Place {
  readonly node: TraceNode;
  readonly depth: number;
  /** Before its own line, and before the lines of what hangs from it. */
  readonly lead: string;
  readonly under: string;
}
/** A chain of a thousand causes is no tree that fits on a screen: deeper ones stand below each other. */
const indentMax = 24;

/** All nodes, each before what it has caused; without recursion, however long the chain. */
function* placesOf(roots: readonly TraceNode[]): Generator<Place> {
  const waiting: Place[] = roots.map((node) => ({ node, depth: 0, lead: "", under: "" })).toReversed();
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    yield place;
    const { caused } = place.node;
    for (let i = caused.length - 1; i >= 0; i--) waiting.push(below(place, caused[i]!, i === caused.length - 1));
  }
}
function below({ depth, under, lead }: Place, node: TraceNode, last: boolean): Place {
  if (depth >= indentMax) return { node, depth: depth + 1, lead, under };
  return { node, depth: depth + 1, lead: `${under}${last ? "└─ " : "├─ "}`, under: `${under}${last ? "   " : "│  "}` };
}

function show(out: Output, { node, lead, under }: Place): void {
  const { event, afterMs, deliveries, caused } = node;
  const when = afterMs === undefined ? event.recordedTime.toISOString() : `+${duration(afterMs)}`;
  out.say(`${lead}${event.type}  ${event.id}  ${when}  at ${placeOf(event.position)}`);
  for (const [i, each] of deliveries.entries()) {
    const last = caused.length === 0 && i === deliveries.length - 1;
    out.say(`${under}${last ? "└─ " : "├─ "}${deliveryText(each)}`, each.state === "dead" ? "bad" : "plain");
    const lead = `${under}${last ? "   " : "│  "}`;
    for (const step of each.steps) out.say(`${lead}${stepText(step)}`, step.state === "waiting" ? "plain" : "faint");
    if (each.steps.some(({ used }) => used !== undefined)) out.say(`${lead}used: ${usageText(sumOf(each.steps))}`);
  }
}

function deliveryText({
  subscription,
  state: stored,
  waits,
  failures,
  crashes,
  dueAt,
  failure,
  deadLetter,
}: TraceDelivery): string {
  const state = waits ? "waiting" : stored;
  const facts = [
    ...(failures > 0 ? [plural(failures, "failure")] : []),
    ...(crashes > 0 ? [plural(crashes, "crash", "crashes")] : []),
    ...(dueAt === undefined || waits ? [] : [`due ${dueAt.toISOString()}`]),
    ...(deadLetter === undefined ? [] : [deadLetter]),
    ...(failure === undefined ? [] : [failure.error.split("\n")[0] ?? ""]),
  ];
  return [`-> ${subscription} ${state}`, ...facts].join("  ");
}

function stepText({ name, state, runs, used, waitsFor }: TraceStep): string {
  const facts = [
    ...(runs > 1 ? [plural(runs, "run")] : []),
    ...(used === undefined ? [] : [usageText(used)]),
    ...(waitsFor === undefined ? [] : [waitText(waitsFor)]),
  ];
  return [`${name} ${state}`, ...facts].join("  ");
}
function waitText({ kind, what, until }: NonNullable<TraceStep["waitsFor"]>): string {
  const end = until === undefined ? "" : ` until ${until.toISOString()}`;
  return kind === "sleep" ? `sleeps${end}` : `${kind}: ${what}${end}`;
}
const usageText = ({ inputTokens, outputTokens, usd, ms }: StepUsage): string =>
  `${inputTokens} tokens in, ${outputTokens} out, ${usd === "unknown" ? "cost unknown" : `$${usd.toFixed(4)}`}, ${duration(ms)}`;

function sumOf(steps: readonly TraceStep[]): StepUsage {
  const none: StepUsage = { inputTokens: 0, outputTokens: 0, usd: 0, ms: 0 };
  return steps.reduce(
    (sum, { used = none }) => ({
      inputTokens: sum.inputTokens + used.inputTokens,
      outputTokens: sum.outputTokens + used.outputTokens,
      usd: sum.usd === "unknown" || used.usd === "unknown" ? "unknown" : sum.usd + used.usd,
      ms: sum.ms + used.ms,
    }),
    none,
  );
}

/** The event as a CloudEvent, so that it looks as everywhere. */
function factsOf({ node, depth }: Place): object {
  const { event, afterMs, deliveries } = node;
  return { depth, event: toCloudEvent(event), afterMs, deliveries };
}
