import { withBacklog } from "../backlog.ts";
import { Child } from "../child.ts";
import { inDirectory, type Measure } from "../measure.ts";

interface Told {
  readonly samples: readonly (readonly [deliveries: number, megabytes: number])[];
  readonly sum: number;
  readonly peak: number;
}

/** What docs/operating/sqlite.md advises: V8's young generation otherwise takes what a large machine has. */
const advised = ["--max-semi-space-size=16"];

/** Resident memory of a worker process that drains a million events: its peak, and whether it grows. */
export const memoryMeasure: Measure = {
  name: "memory",
  run: (settings) =>
    inDirectory(async (path) => {
      const sum = await withBacklog(path("memory.db"), settings.size(1_000_000, 50_000), async (_log, all) => all);
      const told = await drainIn(path("memory.db"), "advised", sum, advised);
      const plain = await drainIn(path("memory.db"), "plain", sum, []);
      const line = { raw: null, ratio: null, better: "lower" } as const;
      const slope = settings.quick
        ? []
        : [{ name: "memory-slope", value: slopeOf(told.samples), unit: "MB per million", target: 10, ...line }];
      return [
        { name: "memory", value: told.peak, unit: "MB", target: 200, ...line },
        { name: "memory-no-flag", value: plain.peak, unit: "MB", target: null, ...line },
        ...slope,
      ];
    }),
};

async function drainIn(file: string, name: string, sum: number, flags: readonly string[]): Promise<Told> {
  const worker = new Child("memory-worker.ts", [file, name], flags);
  const told = await worker.hear<Told>();
  await worker.ended();
  if (told.sum !== sum) throw new Error(`the worker summed ${told.sum}, it should be ${sum}`);
  return told;
}

/** Least squares over the second half, where the code is warm: megabytes a million deliveries. */
function slopeOf(samples: Told["samples"]): number {
  const warm = samples.slice(Math.floor(samples.length / 2));
  const mean = (at: 0 | 1): number => warm.reduce((sum, sample) => sum + sample[at], 0) / warm.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = warm.reduce((sum, sample) => sum + (sample[0] - x) * (sample[1] - y), 0);
  const variance = warm.reduce((sum, sample) => sum + (sample[0] - x) ** 2, 0);
  return (covariance / variance) * 1e6;
}
