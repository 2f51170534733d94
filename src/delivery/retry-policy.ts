import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";

export interface RetryPolicy {
  /** Default 8; `Infinity` = for ever. Failures only: crashes, shutdowns and deferrals do not count. */
  readonly attemptsMax?: number;
  /** Crashes (the session died with the delivery running) before dead. Default 5; counted apart from `attemptsMax`. */
  readonly crashesMax?: number;
  /** Default exponential, 1s to 15m by a factor of 6, full jitter; or one wait per failure, the last one repeated. */
  readonly backoff?:
    | { readonly first: Duration; readonly factor?: number; readonly max: Duration }
    | readonly Duration[];
}

/** A retry policy with everything said, in numbers. */
export interface ResolvedRetryPolicy {
  readonly attemptsMax: number;
  readonly crashesMax: number;
  readonly backoff:
    | { readonly firstMs: number; readonly factor: number; readonly maxMs: number }
    | { readonly waitsMs: readonly number[] };
}

/** Fills in defaults; throws INVALID_DEFINITION naming the option. */
export function resolveRetryPolicy(policy: RetryPolicy = {}): ResolvedRetryPolicy {
  const attemptsMax = policy.attemptsMax ?? limits.attemptsMax;
  const crashesMax = policy.crashesMax ?? limits.crashesMax;
  requireCount("attemptsMax", attemptsMax);
  requireCount("crashesMax", crashesMax);
  return { attemptsMax, crashesMax, backoff: resolveBackoff(policy.backoff) };
}

function requireCount(name: string, value: number): void {
  if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= 1)) return;
  throw new FactlogError(
    "INVALID_DEFINITION",
    `retry.${name} is ${value}: give a whole number of at least 1, or Infinity.`,
  );
}

function resolveBackoff(backoff: RetryPolicy["backoff"]): ResolvedRetryPolicy["backoff"] {
  if (backoff === undefined) {
    return { firstMs: limits.backoffFirstMs, factor: limits.backoffFactor, maxMs: limits.backoffMaxMs };
  }
  if (!("first" in backoff)) {
    if (backoff.length === 0) {
      throw new FactlogError("INVALID_DEFINITION", "retry.backoff is an empty list: name at least one wait.");
    }
    return { waitsMs: backoff.map((wait) => durationMs(wait)) };
  }
  const factor = backoff.factor ?? 2;
  if (!(factor >= 1))
    throw new FactlogError("INVALID_DEFINITION", `retry.backoff.factor is ${factor}: give at least 1.`);
  return { firstMs: durationMs(backoff.first), factor, maxMs: durationMs(backoff.max) };
}

/**
 * Wait before the next attempt, milliseconds. Exponential backoff with full jitter: uniform between 0 and the bound, as in
 * Marc Brooker, "Exponential Backoff And Jitter" (2015). A list of waits is taken as it is.
 */
export function backoffMs(policy: ResolvedRetryPolicy, failures: number, random: number): number {
  const { backoff } = policy;
  if ("waitsMs" in backoff) return backoff.waitsMs[Math.min(failures, backoff.waitsMs.length) - 1] ?? 0;
  return random * Math.min(backoff.maxMs, backoff.firstMs * backoff.factor ** (failures - 1));
}
