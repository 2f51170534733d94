/**
 * Agents under fire: `npm run crash -- --agents --cycles 100`. Two publishers and three workers are killed one after the other;
 * a worker runs an agent for every fifth fact: model calls, a tool, steps side by side, a sleep, and a failure now and then.
 * Each step leaves a line outside when it begins, and one when whoever awaited it has its value: what is kept must not begin
 * again.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Random } from "../../sim/random.ts";
import { Random as Chance } from "../../sim/random.ts";
import { openLog } from "../../src/index.ts";
import { complaints } from "../judge.ts";
import { conclude } from "../options.ts";
import { inDirectory } from "../scratch.ts";
import { concerns, subscription } from "./agent-plan.ts";
import { Cast } from "./cast.ts";
import { type EngineName, type Place, postgresPlace, sqlitePlace } from "./place.ts";
import { settle, underFire } from "./round.ts";

export interface AgentOptions {
  readonly cycles: number;
  readonly terminate: number;
  readonly engine: EngineName;
  readonly seed: number;
  readonly json: boolean;
}

export interface Steps {
  /** Begun in all, and those of them that began more than once: a death had left them begun. */
  readonly begun: number;
  readonly stepsRepeatedInFlight: number;
  readonly kept: number;
  readonly recordedStepsRunAgain: number;
}

export async function agents({ cycles, terminate, engine, seed, json }: AgentOptions): Promise<void> {
  const startedMs = performance.now();
  const found = await round(cycles, terminate, engine, new Chance(seed));
  const { acked, done, lost, killSeconds, wrong, ...steps } = found;
  for (const each of wrong.slice(0, 20)) console.log(each);
  const isVoid = cycles === 0 || done < cycles || steps.stepsRepeatedInFlight === 0;
  if (isVoid) console.log(`void: ${done} runs, ${steps.stepsRepeatedInFlight} steps caught by a kill`);
  conclude(
    {
      ok: wrong.length === 0 && lost === 0 && steps.recordedStepsRunAgain === 0 && !isVoid,
      engine,
      cycles,
      ...(engine === "postgres" ? { terminated: terminate } : {}),
      acked,
      done,
      ...steps,
      lost,
      violations: wrong.length,
      cyclesPerSecond: Math.round((cycles / killSeconds) * 10) / 10,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    },
    json,
  );
}

interface Found extends Steps {
  /** Facts that were acknowledged, and that an agent is to run for. */
  readonly acked: number;
  readonly done: number;
  /** Of them, those without what their agent states in the end. */
  readonly lost: number;
  readonly killSeconds: number;
  readonly wrong: readonly string[];
}

function round(cycles: number, terminations: number, engine: EngineName, random: Random): Promise<Found> {
  return inDirectory(async (path) => {
    const witness = path("witness");
    writeFileSync(witness, "");
    const place = engine === "sqlite" ? sqlitePlace(path("log.db")) : await postgresPlace();
    const cast = new Cast(place.url, witness, random, false, "crash/agent-process.ts");
    try {
      const killSeconds = await underFire(place, cast, { cycles, terminations }, random);
      const owed = await settle(place, cast, (name) => name === subscription);
      const acked = ackedBy(cast);
      const { done, wrong } = await outcome(place);
      const lines = readFileSync(witness, "utf8").split("\n");
      return {
        ...stepsOf(lines),
        acked: acked.length,
        done: done.size,
        lost: acked.filter((id) => !done.has(id)).length,
        killSeconds,
        wrong: [...wrong, ...cast.complaints, ...(owed === "" ? [] : [owed])],
      };
    } finally {
      await cast.end();
      await place.remove();
    }
  });
}

function ackedBy(cast: Cast): string[] {
  return [...cast.publishes.values()]
    .flatMap(({ ops }) => ops.filter(({ outcome }) => outcome === "ok"))
    .flatMap(({ events }) => events.map(({ id }) => id))
    .filter(concerns);
}

/** Facts whose agent has stated that it is through, and what is not well with the log. */
async function outcome(
  place: Place,
): Promise<{ readonly done: ReadonlySet<string>; readonly wrong: readonly string[] }> {
  const log = await openLog(place.url);
  try {
    const done = new Set<string>();
    const wrong = [...(await complaints(log))];
    for await (const { type, data } of log.read({ types: ["Derived"] })) {
      const { of } = data as { readonly of: string };
      if (done.has(of)) wrong.push(`${type} of ${of} twice`);
      done.add(of);
    }
    return { done, wrong };
  } finally {
    await log.close();
  }
}

/** Lines as they came: `["begin" | "kept", fact, step]`. A process that was killed may leave half of one. */
export function stepsOf(lines: readonly string[]): Steps {
  const begun = new Map<string, number>();
  const kept = new Set<string>();
  let recordedStepsRunAgain = 0;
  for (const line of lines) {
    const said = /^\["(begin|kept)","([^"]+)","([^"]+)"\]$/u.exec(line);
    if (said === null) continue;
    const step = `${said[2]} ${said[3]}`;
    if (said[1] === "kept") kept.add(step);
    else {
      begun.set(step, (begun.get(step) ?? 0) + 1);
      if (kept.has(step)) recordedStepsRunAgain++;
    }
  }
  const all = [...begun.values()].reduce((sum, times) => sum + times, 0);
  return { begun: all, stepsRepeatedInFlight: all - begun.size, kept: kept.size, recordedStepsRunAgain };
}
