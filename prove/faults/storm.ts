import { inDirectory, pause } from "../scratch.ts";
import { Crew } from "./crew.ts";
import type { Fault } from "./fault.ts";
import { sharedNowMs, type TaskData } from "./task.ts";

const keys = 200;
const perTick = 10;
const tickMs = 25;
/** They come last: what it takes to notice a death and to go through suspects is not what is measured here. */
const killers = 2;
const killersFrom = 0.9;
/** The crash limit, and those who die beside. */
const deathsMax = killers * 10;
/** Goal, reported: figures of shared machines drift. */
const ratioMax = 2;

interface Calm {
  readonly p99Ms: number;
  readonly deaths: number;
  readonly dead: number;
  readonly wrong: readonly string[];
}

/** A tenth of the events always throws, one in a hundred hangs, some end the process: the others go on as before. */
export const storm: Fault = {
  name: "storm",
  ci: 1_000,
  release: 50_000,
  async run(times) {
    const calm = await measure(times, () => "plain");
    const stormy = await measure(times, kindOf);
    const ratio = Math.round((stormy.p99Ms / calm.p99Ms) * 100) / 100;
    const figures = {
      events: times,
      dead: stormy.dead,
      deaths: stormy.deaths,
      calmP99Ms: Math.round(calm.p99Ms),
      stormP99Ms: Math.round(stormy.p99Ms),
      ratio,
      goal: ratio <= ratioMax ? "met" : "missed",
    };
    const wrong = [...calm.wrong, ...stormy.wrong];
    if (stormy.dead === 0 || stormy.deaths === 0) wrong.push("void: nothing died");
    return { figures, wrong };
  },
};

function kindOf(n: number, times: number): TaskData["kind"] {
  const last = n - Math.floor(times * killersFrom);
  if (last >= 0 && last < killers) return "killer";
  if (n % 100 === 50) return "hang";
  return n % 10 === 3 ? "poison" : "plain";
}

function measure(times: number, kind: (n: number, times: number) => TaskData["kind"]): Promise<Calm> {
  return inDirectory(async (path) => {
    const crew = await Crew.of(path("log.db"), "1s", [{}, {}]);
    try {
      await pause(1_500);
      const startedMs = sharedNowMs();
      while (crew.tasks.length < times) {
        const first = crew.tasks.length;
        await crew.give(Array.from({ length: perTick }, (_, i) => taskOf(first + i, kind(first + i, times))));
        await pause(Math.max(1, startedMs + (crew.tasks.length / perTick) * tickMs - sharedNowMs()));
      }
      const wrong = (await crew.isThrough(120_000)) ? [] : ["not all was done in the end"];
      const [status] = await crew.log.operator.status();
      wrong.push(...(await crew.faults((task) => task.kind === "plain")), ...(await onlyTheSick(crew)));
      if (crew.deaths.length > deathsMax) wrong.push(`${crew.deaths.length} workers died: ${crew.deaths.at(-1)}`);
      return { p99Ms: p99(latencies(crew, times)), deaths: crew.deaths.length, dead: status?.dead ?? 0, wrong };
    } finally {
      await crew.end();
    }
  });
}
/** What is sick has keys of its own: it holds up nobody else. */
const taskOf = (n: number, kind: TaskData["kind"]): Omit<TaskData, "n" | "t"> => {
  const sick = kind === "killer" ? n : Math.floor(n / 10) % (keys / 10);
  return { key: kind === "plain" ? `k${n % keys}` : `${kind}-${sick}`, kind, waitMs: 2 };
};

async function onlyTheSick(crew: Crew): Promise<readonly string[]> {
  const wrong: string[] = [];
  for await (const { eventId } of crew.log.operator.deadLetters()) {
    const task = crew.tasks[Number(eventId.slice("task-".length))];
    if (task === undefined || task.kind === "plain") wrong.push(`${eventId} is dead and was healthy`);
  }
  return wrong;
}

function latencies(crew: Crew, times: number): readonly number[] {
  const firstDone = new Map<number, number>();
  for (const said of crew.said) {
    if ("done" in said) firstDone.set(said.done, Math.min(said.at, firstDone.get(said.done) ?? said.at));
  }
  const before = [...firstDone].filter(([n]) => n < times * (killersFrom - 0.1));
  return before.map(([n, at]) => at - crew.tasks[n]!.t);
}
function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
}
