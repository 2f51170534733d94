/**
 * Crash loop: two publishers and three workers as processes on one file, SIGKILL for one after the other at random
 * moments; every other file as an upgrade, see round.ts. `npm run crash -- --cycles 300 [--round N] [--seed S]
 * [--engine postgres [--terminate N]] [--json]`; on PostgreSQL the server is one of the tests. `--agents`: workers run agents
 * and their steps, see agents.ts.
 */
import type { Violation } from "../../sim/checker/history.ts";
import { Random } from "../../sim/random.ts";
import { conclude, optionsOf } from "../options.ts";
import { agents } from "./agents.ts";
import { type Round, round } from "./round.ts";

/** A file takes so many cycles, then another is begun: the check holds all of a file's history in memory. */
const options = optionsOf({ cycles: 50, round: 300, terminate: 0 }, ["agents"]);
const { engine } = options;
/** Below it the run proved nothing. */
const ackedPerCycleMin = 5;

async function kernel(): Promise<void> {
  const startedMs = performance.now();
  const random = new Random(options.seed);
  const rounds: Round[] = [];
  /** Every other file was written by the first version and is worked on by two versions of the app. */
  const size = Math.min(options.round, Math.ceil(options.cycles / 2));
  for (let left = options.cycles; left > 0; left -= size) {
    const cycles = Math.min(left, size);
    const upgrade = engine === "sqlite" && rounds.length % 2 === 1;
    const terminations = Math.round((options.terminate * cycles) / options.cycles);
    rounds.push(await round({ cycles, engine, upgrade, terminations }, random.fork()));
    if (!options.json) console.log(JSON.stringify({ ...rounds.at(-1), violations: rounds.at(-1)?.violations.length }));
  }

  const violations = rounds.flatMap((each) => each.violations);
  const sum = (pick: (one: Round) => number): number => rounds.reduce((total, one) => total + pick(one), 0);
  const count = (...anomalies: readonly string[]): number =>
    violations.filter(({ anomaly }: Violation) => anomalies.includes(anomaly)).length;
  const acked = sum((one) => one.acked);
  const isVoid = acked < options.cycles * ackedPerCycleMin || options.cycles === 0;

  for (const { invariant, anomaly, detail } of violations.slice(0, 20))
    console.log(`${invariant} ${anomaly}: ${detail}`);
  if (violations.length > 0) console.log(`seed=${options.seed} (kills are at real moments: no run is the same)`);
  if (isVoid) console.log(`void: ${acked} acknowledged in ${options.cycles} cycles`);
  conclude(
    {
      ok: violations.length === 0 && !isVoid,
      engine,
      cycles: options.cycles,
      ...(engine === "postgres" ? { terminated: sum((one) => one.terminated) } : {}),
      acked,
      unknown: sum((one) => one.unknown),
      effects: sum((one) => one.effects),
      repeatedCalls: sum((one) => one.repeatedCalls),
      lost: count("lost-write", "unseen"),
      duplicateEffects: count("duplicate"),
      orderViolations: count("nonmonotonic-poll"),
      dead: sum((one) => one.dead),
      violations: violations.length,
      cyclesPerSecond: Math.round((options.cycles / sum((one) => one.killSeconds)) * 10) / 10,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    },
    options.json,
  );
}

if (options.agents) await agents(options);
else await kernel();
