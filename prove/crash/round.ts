import { writeFileSync } from "node:fs";
import { check } from "../../sim/checker/check.ts";
import type { History, Op, Publish, Violation } from "../../sim/checker/history.ts";
import type { Random } from "../../sim/random.ts";
import { defineApp, defineSubscription, type Log, openLog } from "../../src/index.ts";
import { fixtures, linesOf, unpack } from "../../test/upgrades/contents.ts";
import { Fact } from "../facts.ts";
import { eventually, inDirectory, pause } from "../scratch.ts";
import { Cast } from "./cast.ts";
import { finalOf } from "./final.ts";
import { type EngineName, type Place, postgresPlace, sqlitePlace } from "./place.ts";
import { isOurs, plan, retry } from "./plan.ts";
import { runsOf } from "./record.ts";

export interface Round {
  readonly acked: number;
  readonly unknown: number;
  readonly effects: number;
  readonly repeatedCalls: number;
  readonly dead: number;
  readonly killSeconds: number;
  /** Connections that were ended from outside. */
  readonly terminated: number;
  readonly violations: readonly Violation[];
}

export interface RoundOptions {
  readonly cycles: number;
  /** PostgreSQL: connections of ours to end, beside the kills. */
  readonly terminations?: number;
  readonly engine?: EngineName;
  readonly upgrade?: boolean;
}

/** Mean wait between two kills; restarts take longer than that when the machine is busy. */
const meanWaitMs = 90;
const upWithinMs = 60_000;
const drainWithinMs = 600_000;
/** What is owed and stays the same for so long is not worked off any more. */
const standstillMs = 30_000;

/**
 * Kills `cycles` times on one file, lets everything drain, and looks at what is left. `upgrade`: the file was written by
 * the first version of its format, and two versions of the app work on it side by side.
 */
export function round(
  { cycles, terminations = 0, engine = "sqlite", upgrade = false }: RoundOptions,
  random: Random,
): Promise<Round> {
  return inDirectory(async (path) => {
    const [file, witness] = [path("log.db"), path("witness")];
    writeFileSync(witness, "");
    if (upgrade) unpack(fixtures[0]!, file);
    const place = engine === "sqlite" ? sqlitePlace(file) : await postgresPlace();
    await prepare(place, upgrade);
    const cast = new Cast(place.url, witness, random, upgrade);
    try {
      const killSeconds = await underFire(place, cast, { cycles, terminations }, random);
      const drainDetail = await settle(place, cast, isOurs);
      const judged = await judge(place, witness, cast, { drainDetail, killSeconds, upgrade });
      return { ...judged, terminated: terminations };
    } finally {
      await cast.end();
      await place.remove();
    }
  });
}

/** Kills one after the other, and ends connections. How many seconds that took. */
export async function underFire(
  place: Place,
  cast: Cast,
  { cycles, terminations }: { readonly cycles: number; readonly terminations: number },
  random: Random,
): Promise<number> {
  if (!(await eventually(() => cast.areUp, upWithinMs))) throw new Error("the processes did not start");
  const startedMs = performance.now();
  let terminated = 0;
  while (cast.killed.size < cycles || terminated < terminations) {
    await pause(random.waitMs(meanWaitMs));
    const left = cycles - cast.killed.size;
    if (random.chance(left / (left + terminations - terminated))) await cast.killOne();
    else if (await place.terminateOne()) terminated++;
    if (cast.complaints.length > 0) throw new Error(cast.complaints.join("\n"));
  }
  return (performance.now() - startedMs) / 1_000;
}

/**
 * The log, and the table that handlers write: without any key, so that it would take a row twice. `upgrade`: the older
 * version of the app has been there first.
 */
async function prepare(place: Place, upgrade: boolean): Promise<void> {
  const log = await openLog(place.url);
  const books = defineSubscription("books", { on: Fact, from: "beginning", retry }, () => {});
  if (upgrade) await log.drain(defineApp({ name: "crash", subscriptions: [books] }));
  await log.close();
  await place.makeEffectTable();
}

/** No more kills: publishers finish, workers drain and go. What is still owed, in words; "" when nothing is. */
export async function settle(place: Place, cast: Cast, counts: (subscription: string) => boolean): Promise<string> {
  if (!(await eventually(() => cast.areUp || cast.complaints.length > 0, upWithinMs)))
    return "processes did not start again";
  await cast.stopPublishers();
  const log = await openLog(place.url);
  try {
    let left = "";
    let movedMs = performance.now();
    const isOver = async (): Promise<boolean> => {
      const before = left;
      left = await owed(log, counts);
      if (left !== before) movedMs = performance.now();
      return left === "" || cast.complaints.length > 0 || performance.now() - movedMs > standstillMs;
    };
    await eventually(isOver, drainWithinMs);
    return left;
  } finally {
    await log.close();
    await cast.stopWorkers();
  }
}
async function owed(log: Log, counts: (subscription: string) => boolean): Promise<string> {
  const subscriptions = await log.operator.status();
  return subscriptions
    .filter(({ name, depth, dead, held }) => counts(name) && depth + dead + held > 0)
    .map(({ name, depth, dead, held }) => `${name}: ${depth} open, ${dead} dead, ${held} held`)
    .join("; ");
}

interface Ending {
  readonly drainDetail: string;
  readonly killSeconds: number;
  readonly upgrade: boolean;
}
async function judge(
  place: Place,
  witness: string,
  cast: Cast,
  { drainDetail, killSeconds, upgrade }: Ending,
): Promise<Omit<Round, "terminated">> {
  const publishes = [...cast.publishes.values()].flatMap(({ ops }) => ops);
  const runs = runsOf(witness, cast.killed);
  const before = upgrade ? linesOf(fixtures[0]!).filter((line) => "event" in line).length : 0;
  const final = await finalOf(place, before, drainDetail === "", drainDetail);
  const history: History = {
    dedupes: true,
    totalOrder: true,
    redefined: upgrade,
    zombies: false,
    refunds: false,
    plan,
    ops: [...publishes, ...runs],
    final,
    hopeless: new Set(),
    killers: new Set(),
  };
  const complaints = cast.complaints.map((detail) => ({ invariant: "I13", anomaly: "process-failed", detail }));
  return {
    acked: eventsWith(publishes, "ok"),
    unknown: eventsWith(publishes, "unknown"),
    effects: final.effects?.length ?? 0,
    repeatedCalls: repeatsOf(runs),
    dead: final.rows.filter(({ state }) => state === "dead").length,
    killSeconds,
    violations: [...check(history), ...complaints],
  };
}

function eventsWith(publishes: readonly Publish[], outcome: Publish["outcome"]): number {
  return publishes.reduce((sum, op) => sum + (op.outcome === outcome ? op.events.length : 0), 0);
}
/** Calls of the outside beyond the first for each delivery: what at-least-once means in figures. */
function repeatsOf(runs: readonly Op[]): number {
  const calls = runs.flatMap((op) => (op.op === "effect" ? [op.key] : []));
  return calls.length - new Set(calls).size;
}
