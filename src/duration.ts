import { FactlogError } from "./errors.ts";

/** Milliseconds, or a literal with its unit: `250`, `"1.5h"`. A misspelt unit fails `tsc`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const literal = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * Milliseconds of a duration, 0 or more, not rounded. Throws INVALID_OPTION on anything else; `what` names the option in
 * the message.
 */
export function durationMs(duration: Duration, what = "duration"): number {
  const ms = typeof duration === "number" ? duration : literalMs(duration);
  if (Number.isFinite(ms) && ms >= 0) return ms;
  throw new FactlogError(
    "INVALID_OPTION",
    `${what} is ${typeof duration === "string" ? JSON.stringify(duration) : String(duration)}: give milliseconds, or a literal such as "250ms", "5s", "1.5h", "7d".`,
    { details: { option: what } },
  );
}

function literalMs(text: unknown): number {
  const match = typeof text === "string" ? literal.exec(text) : null;
  return match === null ? Number.NaN : Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}
