import type { Command } from "commander";
import type { HorizonState } from "../../engine/engine.ts";
import type { OutboxState } from "../../engine/event-log.ts";
import { pause, realEnv } from "../../env.ts";
import { FactlogError } from "../../errors.ts";
import type { SubscriptionStatus } from "../../runtime/measures.ts";
import { type AppFile, appIfAny } from "../app-file.ts";
import { act, type Call, type Finish, withCommonOptions } from "../command.ts";
import { age, count, plural } from "../format.ts";
import { type OpenedLog, withLog } from "../open.ts";
import type { Output } from "../output.ts";
import { headOf } from "../recent.ts";
import { untilStopped } from "../signals.ts";

interface StatusOptions {
  readonly app?: string;
  readonly watch?: boolean;
}
/** Between the two looks that make a rate. */
const rateMs = 500;
const watchMs = 1_000;

export function addStatus(program: Command, finish: Finish): void {
  const command = program
    .command("status")
    .description("show every subscription: what it owes, how fast it goes, and what stands in its way")
    .option("--app <file>", "the app to compare with (default: app.ts here, if there is one)")
    .option(
      "--watch",
      "look again every second until Ctrl-C: a table that stays in place; with --json an object a line",
    );
  act<StatusOptions>(withCommonOptions(command), finish, status);
}

async function status(call: Call<StatusOptions>): Promise<void> {
  const { out, options } = call;
  if (options.watch === true && !out.json && !process.stdout.isTTY)
    throw new FactlogError("INVALID_OPTION", "--watch draws on a terminal, and stdout is none: add --json.");
  const app = await appIfAny(options.app, out);
  await withLog(call, "refuse", async (opened) => {
    if (options.watch === true) return watch(opened, app, out);
    let seen = await look(opened, app);
    if (seen.subscriptions.some((each) => each.workers > 0)) {
      await pause(realEnv, rateMs);
      seen = await look(opened, app);
    }
    out.object(seen);
    for (const [line, style] of screenOf(seen, out)) out.say(line, style);
  });
}

async function watch(opened: OpenedLog, app: AppFile | undefined, out: Output): Promise<void> {
  await untilStopped(async (signal) => {
    while (!signal.aborted) {
      const seen = await look(opened, app);
      out.object(seen);
      out.redraw([...screenOf(seen, out), [`${seen.sampledAt}  Ctrl-C ends`, "faint"]]);
      await out.ready();
      await pause(realEnv, watchMs, signal);
    }
  });
}

interface Seen {
  readonly log: string;
  readonly sampledAt: string;
  readonly head: number;
  readonly subscriptions: readonly SubscriptionStatus[];
  /** Of the app, but never seen on this log. */
  readonly notStarted: readonly string[];
  /** Events of the user's own transactions; undefined on a log that takes none. */
  readonly outbox: OutboxState | undefined;
  /** What keeps old versions of rows from being cleaned away; undefined on a log where nothing does. */
  readonly horizon: HorizonState | undefined;
}

async function look(opened: OpenedLog, app: AppFile | undefined): Promise<Seen> {
  const head = await headOf(opened);
  const subscriptions = (await opened.log.operator.status()).map((each) => ({ ...each, state: stateOf(each, app) }));
  const names = app?.spec.subscriptions.map((each) => each.name) ?? [];
  return {
    log: opened.name,
    sampledAt: new Date(realEnv.now()).toISOString(),
    head: head.place,
    subscriptions,
    notStarted: names.filter((name) => !subscriptions.some((each) => each.name === name)),
    outbox: await opened.log.operator.outbox(),
    horizon: await opened.log.operator.horizon(),
  };
}

function stateOf(subscription: SubscriptionStatus, app: AppFile | undefined): SubscriptionStatus["state"] {
  if (subscription.state !== "active" || app === undefined) return subscription.state;
  return app.spec.subscriptions.some((each) => each.name === subscription.name) ? "active" : "unknown-to-this-app";
}

type Line = readonly [text: string, style?: "bad" | "faint"];

function screenOf({ log, head, subscriptions, notStarted, outbox, horizon }: Seen, out: Output): readonly Line[] {
  return [
    [`${log}  head at ${head}`],
    ...(subscriptions.length === 0
      ? [["no subscription has run on this log: `factlog dev app.ts` starts those of an app"] as const]
      : out.tableLines(headings, subscriptions.map(rowOf)).map((line): Line => [line])),
    ...notStarted.map((name): Line => [`${name}  has never run on this log`]),
    ...(outbox === undefined ? [] : outboxLines(outbox)),
    ...(horizon === undefined ? [] : horizonLines(horizon)),
    ...advice(subscriptions),
  ];
}

function outboxLines({ depth, oldestMs, refused }: OutboxState): readonly Line[] {
  const lines: Line[] = [];
  if (depth > 0) lines.push([`outbox: ${plural(depth, "event")} waiting, the oldest for ${age(oldestMs)}`]);
  if (refused > 0) lines.push([`outbox: ${plural(refused, "event")} refused: factlog doctor names them`, "bad"]);
  return lines;
}

/** Nothing where it is as usual. */
export function horizonLines({ behind, openMs, by, ok }: HorizonState): readonly Line[] {
  if (ok) return [];
  const since = openMs > 0 ? `for ${age(openMs)}, ` : "";
  const who = by ?? "an open transaction";
  return [[`vacuum cleans nothing: held back ${since}${plural(behind, "transaction")} ago, by ${who}: end it`, "bad"]];
}

const headings =
  "subscription,state,depth,lag,in flight,retrying,waiting,held,deferred,dead,blocked keys,workers,rate,errors,drained in".split(
    ",",
  );

function rowOf(each: SubscriptionStatus): readonly (string | number)[] {
  return [
    each.name,
    stateShown(each),
    each.depth,
    each.depth === 0 ? "-" : age(each.lagMs),
    each.inFlight,
    each.retrying,
    each.waiting,
    each.held,
    each.deferred,
    each.dead,
    each.blockedKeys,
    each.workers,
    each.ratePerSecond === undefined ? "-" : `${count(Math.round(each.ratePerSecond))}/s`,
    each.errorRate === undefined ? "-" : `${Math.round(each.errorRate * 1000) / 10} %`,
    each.depth === 0 || each.drainMs === undefined ? "-" : age(each.drainMs),
  ];
}

function stateShown({ state, pausedKeys, pausedGroups }: SubscriptionStatus): string {
  const paused = [
    ...(pausedKeys === 0 ? [] : [plural(pausedKeys, "key")]),
    ...(pausedGroups === 0 ? [] : [plural(pausedGroups, "group")]),
  ];
  return paused.length === 0 ? state : `${state}, ${paused.join(" and ")} paused`;
}

/** Outages have a line of their own. */
function waitLines({ name, waitsFor, sampledAt }: SubscriptionStatus): readonly Line[] {
  const waits = waitsFor.filter((each) => each.for !== "outage");
  return waits.map((each): Line => {
    const whose =
      each.group === undefined ? (each.key === undefined ? "" : ` key ${each.key}`) : ` group ${each.group}`;
    const until = each.until === undefined ? "" : `, next in ${age(each.until.getTime() - sampledAt.getTime())}`;
    const what = { resume: "an operator's resume", concurrency: "its limit of concurrency", rate: "its limit of rate" };
    return [`${name}${whose} waits for ${what[each.for as keyof typeof what]}${until}`];
  });
}

function advice(subscriptions: readonly SubscriptionStatus[]): readonly Line[] {
  const lines: Line[] = [];
  const dead = subscriptions.reduce((sum, each) => sum + each.dead, 0);
  if (dead > 0) lines.push([`${plural(dead, "dead letter")}: factlog dead list`, "bad"]);
  for (const { name, state, outage, sampledAt } of subscriptions) {
    if (outage !== undefined) {
      const since = age(sampledAt.getTime() - outage.since.getTime());
      const next = age(Math.max(0, outage.nextProbe.getTime() - sampledAt.getTime()));
      lines.push([
        `${name} is degraded for ${since}: ${outage.error}; probed ${outage.probes} times, next in ${next}`,
        "bad",
      ]);
    }
    if (state === "stopped") lines.push([`${name} has stopped: redrive or discard its dead letters`, "bad"]);
    if (state === "unknown-to-this-app")
      lines.push([`${name} is not in this app: factlog subscription rename|retire ${name}`]);
  }
  for (const each of subscriptions) lines.push(...waitLines(each));
  const idle = subscriptions.filter((each) => each.workers === 0 && each.depth > 0).map((each) => each.name);
  if (idle.length > 0) lines.push([`no worker runs for ${idle.join(", ")}: factlog start app.ts`]);
  return lines;
}
