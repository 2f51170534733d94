import { withBacklog } from "../backlog.ts";
import { Child } from "../child.ts";
import { inDirectory, type Measure } from "../measure.ts";

interface Told {
  readonly waiting: number;
  readonly megabytes: number;
}

/** Resident memory of a worker for which retries wait, beyond that of one for which all went well. */
export const waitingMeasure: Measure = {
  name: "waiting",
  run: (settings) =>
    inDirectory(async (path) => {
      const count = settings.size(100_000, 10_000);
      await withBacklog(path("waiting.db"), count, async () => {});
      const fine = await work(path("waiting.db"), "fine", 0);
      const waiting = await work(path("waiting.db"), "fails", count);
      const value = waiting.megabytes - fine.megabytes;
      return [{ name: "waiting", value, unit: "MB more", raw: null, ratio: null, target: 50, better: "lower" }];
    }),
};

async function work(file: string, how: "fine" | "fails", expected: number): Promise<Told> {
  const worker = new Child("waiting-worker.ts", [file, how], ["--max-semi-space-size=16", "--expose-gc"]);
  const told = await worker.hear<Told>();
  await worker.ended();
  if (told.waiting !== expected) throw new Error(`${told.waiting} retries wait, it should be ${expected}`);
  return told;
}
