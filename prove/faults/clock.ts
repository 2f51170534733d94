import { writeFileSync } from "node:fs";
import type { Random } from "../../sim/random.ts";
import { inDirectory, pause } from "../scratch.ts";
import { Crew } from "./crew.ts";
import type { Fault, FaultReport } from "./fault.ts";
import { backoffMs } from "./task.ts";

const minuteMs = 60_000;
const furthestMs = 60 * minuteMs;
const offsetsMs = [0, 5 * minuteMs, -5 * minuteMs, furthestMs, -24 * 60 * minuteMs] as const;
const settleMs = 500;

/**
 * The wall clocks of workers jump, each on its own, while deliveries fail and are tried again: nothing is lost, done
 * twice or out of order. Retries are due by the wall clock: how many came early is told, and how many would have waited
 * for a clock that was ahead, were the clocks not ahead in the end.
 */
export const clock: Fault = {
  name: "clock",
  ci: 6,
  release: 200,
  run: (times, random) =>
    inDirectory(async (path) => {
      const files = [path("clock-1"), path("clock-2")];
      for (const file of files) writeFileSync(file, "0");
      const preload = new URL("clock-preload.ts", import.meta.url).href;
      const options = files.map((file) => ({ node: [`--import=${preload}`], env: { CLOCK_FILE: file } }));
      const crew = await Crew.of(path("log.db"), "1s", options);
      try {
        return await jump(crew, files, times, random);
      } finally {
        await crew.end();
      }
    }),
};

async function jump(crew: Crew, files: readonly string[], times: number, random: Random): Promise<FaultReport> {
  const set = (index: number, offsetMs: number): void => {
    writeFileSync(files[index]!, `${offsetMs}`);
    crew.hands[index]!.child.kill("SIGUSR2");
  };
  for (let n = 0; n < times; n++) {
    set(n % files.length, random.pick(offsetsMs));
    for (let batch = 0; batch < 5; batch++) {
      const kind = (): "flaky" | "plain" => (random.chance(0.3) ? "flaky" : "plain");
      await crew.give(Array.from({ length: 4 }, () => ({ key: `k${random.int(0, 199)}`, kind: kind(), waitMs: 0 })));
      await pause(settleMs / 5);
    }
  }
  const wrong: string[] = [];
  for (const index of files.keys()) set(index, 0);
  await crew.isThrough(5_000);
  const stuck = (await crew.log.operator.status())[0]?.depth ?? 0;
  for (const index of files.keys()) set(index, furthestMs);
  if (!(await crew.isThrough(60_000))) wrong.push("not all was done in the end");
  wrong.push(...(await crew.faults(() => true)));
  return { figures: { jumps: times, tasks: crew.tasks.length, ...retries(crew), waitedForTheClock: stuck }, wrong };
}

/** By a clock that did not jump. */
function retries(crew: Crew): { readonly retries: number; readonly early: number } {
  const failedAt = new Map<number, number>();
  for (const said of crew.said) if ("failed" in said) failedAt.set(said.failed, said.at);
  const waits = crew.said.flatMap((said) => ("again" in said ? [said.at - (failedAt.get(said.again) ?? 0)] : []));
  return { retries: waits.length, early: waits.filter((waitMs) => waitMs < backoffMs * 0.9).length };
}
