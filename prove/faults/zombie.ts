import { eventually, inDirectory, pause } from "../scratch.ts";
import { Crew, type Hand } from "./crew.ts";
import type { Fault, FaultReport } from "./fault.ts";

const leaseMs = 1_000;
const probeMs = 300;
const noticesWithinMs = 10_000;

/** A worker stands still for two leases and goes on: what it brings then is refused, and it joins anew. */
export const zombie: Fault = {
  name: "zombie",
  ci: 3,
  release: 100,
  run: (times) =>
    inDirectory(async (path) => {
      const crew = await Crew.of(path("log.db"), `${leaseMs}ms`, [{}, {}, {}]);
      const feeding = feed(crew);
      try {
        return await stopAndGo(crew, times, feeding);
      } finally {
        await feeding.stop();
        await crew.end();
      }
    }),
};

interface Feeding {
  stop(): Promise<void>;
}
/** Tasks long enough that some run whenever a worker is stopped. */
function feed(crew: Crew): Feeding {
  let over = false;
  const fed = (async () => {
    for (let n = 0; !over; n++) {
      await crew.give([0, 1, 2].map((i) => ({ key: `k${(n * 3 + i) % 40}`, kind: "plain", waitMs: 60 })));
      await pause(40);
    }
  })();
  return {
    stop: () => {
      over = true;
      return fed;
    },
  };
}

async function stopAndGo(crew: Crew, times: number, feeding: Feeding): Promise<FaultReport> {
  const wrong: string[] = [];
  for (let n = 0; n < times; n++) {
    const hand = crew.hands[n % crew.hands.length]!;
    const before = replacementsOf(hand);
    if (!(await working(crew, crew.hands.length))) wrong.push(`stop ${n}: not all workers had their share`);
    await stopOutsideTransactions(crew, hand);
    await pause(2 * leaseMs);
    if (!(await working(crew, crew.hands.length - 1))) wrong.push(`stop ${n}: nobody took over`);
    hand.child.kill("SIGCONT");
    const noticed = await eventually(() => replacementsOf(hand) > before, noticesWithinMs);
    if (!noticed) wrong.push(`stop ${n}: the worker was not told that it had been replaced`);
  }
  await feeding.stop();
  if (!(await crew.isThrough(60_000))) wrong.push("not all was done in the end");
  wrong.push(...(await crew.faults(() => true)));
  const stale = crew.said.filter((said) => "lost" in said).length;
  const done = crew.said.filter((said) => "done" in said).length;
  if (stale === 0) wrong.push("void: nothing ran while a worker was stopped");
  const figures = { stops: times, tasks: crew.tasks.length, staleRuns: stale, repeatedRuns: done - crew.tasks.length };
  return { figures, wrong };
}
/** Resolves when so many workers hold slots: on a busy machine, later than the leases say. */
function working(crew: Crew, count: number): Promise<boolean> {
  return eventually(async () => (await crew.log.operator.status())[0]?.workers === count, noticesWithinMs);
}
const replacementsOf = ({ said }: Hand): number => said.filter((each) => "replaced" in each).length;

/** Stopped in the middle of a transaction it would hold the file's lock: nobody could write, and nothing would be tested. */
async function stopOutsideTransactions(crew: Crew, { child }: Hand): Promise<void> {
  for (;;) {
    child.kill("SIGSTOP");
    const written = crew.give([{ key: "probe", kind: "plain", waitMs: 0 }]);
    if (await Promise.race([written.then(() => true), pause(probeMs).then(() => false)])) return;
    child.kill("SIGCONT");
    await written;
  }
}
