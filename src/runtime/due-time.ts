import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";

/** When a fact is to be stated: not before `after` from now, or not before `at`. */
export interface When {
  readonly after?: Duration;
  readonly at?: Date;
}

/**
 * The time that was asked for, milliseconds since 1970; undefined: now. A time that has passed is now. Throws
 * INVALID_OPTION where both are given, where one is no time, and beyond ten years.
 */
export function dueTime({ after, at }: When, nowMs: number): number | undefined {
  if (after === undefined && at === undefined) return undefined;
  if (after !== undefined && at !== undefined) throw invalid("give `after` or `at`, not both.");
  const dueMs = after === undefined ? timeOf(at) : nowMs + durationMs(after, "after");
  if (dueMs - nowMs > limits.delayMaxMs) {
    throw invalid(`${after === undefined ? "at" : "after"} is more than ten years from now: state the fact later.`);
  }
  return dueMs > nowMs ? dueMs : undefined;
}

function timeOf(at: Date | undefined): number {
  const ms = at instanceof Date ? at.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw invalid("at is no valid Date.");
  return ms;
}

const invalid = (message: string): FactlogError => new FactlogError("INVALID_OPTION", `${message} Nothing was stored.`);
