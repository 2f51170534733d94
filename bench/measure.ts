import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** One line of the result. */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same job done by a script with nothing else, in the same run. */
  readonly raw: number | null;
  /** value / raw: the median of the ratios of the rounds. */
  readonly ratio: number | null;
  /** Of `ratio` where there is one, else of `value`. */
  readonly target: number | null;
  readonly better: "higher" | "lower";
}

export interface Measure {
  readonly name: string;
  run(settings: Settings): Promise<readonly Measurement[]>;
}

export interface Settings {
  readonly quick: boolean;
  /** How much: the second figure where it must be quick. */
  size(full: number, quick: number): number;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  if (sorted.length === 0) throw new Error("nothing was measured");
  const rank = (sorted.length - 1) * at;
  const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!];
  return low + (high - low) * (rank - Math.floor(rank));
}

/** Runs both in turn, one round of each thrown away, and compares them round by round: machines drift. */
export async function interleaved(
  rounds: number,
  ours: (round: number) => Promise<number>,
  raw: (round: number) => Promise<number>,
): Promise<{ readonly value: number; readonly raw: number; readonly ratio: number }> {
  const values: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const [other, own] = [await raw(round), await ours(round)];
    if (round === 0) continue;
    raws.push(other);
    values.push(own);
  }
  return { value: median(values), raw: median(raws), ratio: median(values.map((value, i) => value / raws[i]!)) };
}

/** Things a second that `work` does with `count` of them. */
export async function perSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  collect();
  const start = performance.now();
  await work();
  return (count * 1_000) / (performance.now() - start);
}

/** The garbage of one contestant is not to be collected on the time of the next. */
export function collect(): void {
  globalThis.gc?.();
}

/** Lets `collect` do its work, without a flag for the whole process. */
export function exposeCollector(): void {
  setFlagsFromString("--expose-gc");
  globalThis.gc = runInNewContext("gc") as NonNullable<typeof globalThis.gc>;
}

/** A fresh directory, gone afterwards. */
export async function inDirectory<T>(use: (path: (name: string) => string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "factlog-bench-"));
  try {
    return await use((name) => join(directory, name));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Calls `one` for 0 to count - 1, `inFlight` at a time. */
export async function pipelined(
  count: number,
  inFlight: number,
  one: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
