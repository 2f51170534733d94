import { limits } from "../limits.ts";
import type { Outcome, Settlement } from "./outcome.ts";
import { backoffMs, type ResolvedRetryPolicy } from "./retry-policy.ts";

/** A delivery as far as the decision needs it: failures before this attempt. */
export interface Tried {
  readonly failures: number;
}

/**
 * What follows from the end of an attempt: the one place where retry, dead and closed are told apart. Pure: the same
 * arguments give the same settlement. `random` is uniform in [0, 1).
 */
export function decide(
  tried: Tried,
  outcome: Outcome,
  policy: ResolvedRetryPolicy,
  nowMs: number,
  random: number,
): Settlement {
  switch (outcome.kind) {
    case "done":
    case "skipped":
      return { kind: "close", as: outcome.kind };
    case "failed":
      return charge(tried, outcome.class, outcome.error, policy, nowMs, (failures) =>
        backoffMs(policy, failures, random),
      );
    case "retry-after":
      return charge(tried, "error", outcome.error, policy, nowMs, () => outcome.waitMs);
    case "non-retryable":
      return { kind: "dead", failures: tried.failures + 1, class: "non-retryable", error: outcome.error };
    case "poison":
      return { kind: "dead", failures: tried.failures + 1, class: "schema", error: outcome.error };
    case "deferred":
    case "unavailable":
      return {
        kind: "retry",
        dueMs: nowMs + outcome.waitMs,
        failures: tried.failures,
        class: outcome.kind,
        error: outcome.error,
      };
    case "suspended": {
      const dueMs = outcome.dueMs ?? nowMs + limits.delayMaxMs;
      return { kind: "wait", dueMs, holds: outcome.holds, failures: tried.failures };
    }
    case "await-deploy":
      return {
        kind: "retry",
        dueMs: nowMs + limits.awaitDeployMs,
        failures: tried.failures,
        class: "await-deploy",
        error: outcome.error,
      };
  }
}

function charge(
  tried: Tried,
  failureClass: string,
  error: unknown,
  policy: ResolvedRetryPolicy,
  nowMs: number,
  waitMs: (failures: number) => number,
): Settlement {
  const failures = tried.failures + 1;
  if (failures >= policy.attemptsMax) return { kind: "dead", failures, class: failureClass, error };
  return { kind: "retry", dueMs: nowMs + waitMs(failures), failures, class: failureClass, error };
}
