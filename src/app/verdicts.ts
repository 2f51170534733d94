import { isDate } from "node:util/types";
import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";

/** Registered, so that a verdict of another copy of the package is understood. */
const verdictKey: unique symbol = Symbol.for("factlog.verdict");

/** What a handler said by what it threw. */
export interface Verdict {
  readonly kind: "non-retryable" | "retry-after" | "defer" | "unavailable";
  /** Wait from `nowMs` on, milliseconds, 0 or more. */
  waitMs(nowMs: number): number;
}

/** Thrown by a handler: no further attempt helps. The delivery is dead now. */
export class NonRetryable extends Error {
  override readonly name = "NonRetryable";
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    brand(this, { kind: "non-retryable", waitMs: () => 0 });
  }
}

/** Thrown by a handler: this attempt failed, and the next is due after `wait`, whatever the policy says. */
export class RetryAfter extends Error {
  override readonly name = "RetryAfter";
  /** Throws INVALID_OPTION on a bad wait. */
  constructor(wait: Duration | Date, message = `retry after ${waitText(wait)}`, options?: ErrorOptions) {
    super(message, options);
    brand(this, { kind: "retry-after", waitMs: waiter(wait) });
  }
}

/** Thrown by a handler: not now, due again after `wait`. Charges no attempt. */
export class Defer extends Error {
  override readonly name = "Defer";
  /** Throws INVALID_OPTION on a bad wait. */
  constructor(wait: Duration | Date, message = `deferred for ${waitText(wait)}`) {
    super(message);
    brand(this, { kind: "defer", waitMs: waiter(wait) });
  }
}

/**
 * Thrown by a handler: what it depends on is down. Charges no attempt: the subscription is degraded at once and only probes, until
 * one delivery succeeds. With `outage: false` it is a failure like any other.
 */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    brand(this, { kind: "unavailable", waitMs: () => 0 });
  }
}

/** The verdict in a thrown value; undefined for any other. Never throws. */
export function verdictOf(thrown: unknown): Verdict | undefined {
  try {
    if (typeof thrown !== "object" || thrown === null) return undefined;
    return (thrown as { readonly [verdictKey]?: Verdict })[verdictKey];
  } catch {
    return undefined;
  }
}

function brand(error: Error, verdict: Verdict): void {
  Object.defineProperty(error, verdictKey, { value: Object.freeze(verdict) });
}

function waiter(wait: Duration | Date): (nowMs: number) => number {
  if (!isDate(wait)) {
    const ms = durationMs(wait, "wait");
    return () => ms;
  }
  const untilMs = wait.getTime();
  if (Number.isNaN(untilMs))
    throw new FactlogError("INVALID_OPTION", "wait is an invalid Date: give a valid one, or a duration.");
  return (nowMs) => Math.max(0, untilMs - nowMs);
}

function waitText(wait: Duration | Date): string {
  if (!isDate(wait)) return typeof wait === "number" ? `${wait} ms` : wait;
  return Number.isNaN(wait.getTime()) ? "an invalid Date" : wait.toISOString();
}
