import { withBacklog } from "../backlog.ts";
import { Child } from "../child.ts";
import { inDirectory, type Measure } from "../measure.ts";

interface Told {
  readonly waiting: number;
  readonly megabytes: number;
}

/** Resident memory of workers for which retries wait, beyond that of one for which all went well. */
export const waitingMeasure: Measure = {
  name: "waiting",
  run: (settings) =>
    inDirectory(async (path) => {
      const count = settings.size(100_000, 3_000);
      const file = path("waiting.db");
      await withBacklog(file, count, async () => {});
      const fine = [await work(file, "fine", 0), await work(file, "fine", 0)] as const;
      const fails = [await work(file, "fails", count), await work(file, "fails", count)] as const;
      const line = { unit: "MB more", raw: null, ratio: null, better: "lower" } as const;
      return [
        { name: "waiting", value: fails[1].megabytes - fine[1].megabytes, target: 50, ...line },
        { name: "waiting-made", value: fails[0].megabytes - fine[0].megabytes, target: null, ...line },
      ];
    }),
};

async function work(file: string, how: "fine" | "fails", expected: number): Promise<Told> {
  const worker = new Child("waiting-worker.ts", [file, how], ["--max-semi-space-size=16", "--expose-gc"]);
  const told = await worker.hear<Told>();
  await worker.ended();
  if (told.waiting !== expected) throw new Error(`${told.waiting} retries wait, it should be ${expected}`);
  return told;
}
