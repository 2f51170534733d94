import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import type { Price, Spent } from "./usage.ts";

/**
 * What a delivery, or all deliveries of the subscription on one day, may use before a person is asked. Looked at before each
 * model call: the call that goes beyond it is still made. An approval gives the same amount again, and at least one call.
 */
export interface Budget {
  readonly tokens?: number;
  /** US dollars; needs the model's price. */
  readonly usd?: number;
  /** Model calls. */
  readonly steps?: number;
  /** Time spent in model and tool calls; waiting is not counted. */
  readonly wall?: Duration;
  /**
   * Default "delivery". "day": of the subscription, by UTC, over all processes; model calls alone count. Whoever waits for more goes
   * on with the next day's.
   */
  readonly per?: "delivery" | "day";
}

export interface ResolvedBudget {
  readonly tokens: number;
  readonly usd: number;
  readonly steps: number;
  readonly wallMs: number;
  readonly given: Budget;
}

/** Throws INVALID_OPTION on what is no amount, and where dollars are limited and nobody knows the price. */
export function resolveBudget(budget: Budget, price: Price | undefined, modelId: string): ResolvedBudget {
  const { tokens, usd, steps, wall, per = "delivery" } = budget;
  for (const [name, amount] of Object.entries({ tokens, usd, steps })) {
    if (amount === undefined || (typeof amount === "number" && amount >= 0)) continue;
    throw new FactlogError("INVALID_OPTION", `budget.${name} is ${String(amount)}: give a number of 0 or more.`);
  }
  if (per !== "delivery" && per !== "day") {
    throw new FactlogError("INVALID_OPTION", `budget.per is ${String(per)}: a budget is per "delivery" or per "day".`);
  }
  if (usd !== undefined && price === undefined) {
    throw new FactlogError(
      "INVALID_OPTION",
      `budget.usd is given and the price of ${modelId} is not known: add it to \`prices\`, or limit tokens.`,
    );
  }
  return {
    tokens: tokens ?? Number.POSITIVE_INFINITY,
    usd: usd ?? Number.POSITIVE_INFINITY,
    steps: steps ?? Number.POSITIVE_INFINITY,
    wallMs: wall === undefined ? Number.POSITIVE_INFINITY : durationMs(wall, "budget.wall"),
    given: budget,
  };
}

/** What was used up to some moment. From that of the last approval the budget counts anew. */
export interface Mark extends Spent {
  readonly calls: number;
}

/** Names what is used up; empty: the next call may be made. An answer that does not tell what is limited asks, once. */
export function breaches(budget: ResolvedBudget, used: Mark, granted: Mark | undefined): readonly string[] {
  const since = (of: (mark: Mark) => number): number => of(used) - (granted === undefined ? 0 : of(granted));
  // The call that was asked about: even a budget of nothing lets it through.
  if (granted !== undefined && since((mark) => mark.calls) === 0) return [];
  const { tokens, usd, steps, wallMs, given } = budget;
  const over = {
    tokens: since((mark) => mark.inputTokens + mark.outputTokens) >= tokens,
    usd: since((mark) => mark.usd) >= usd,
    steps: since((mark) => mark.calls) >= steps,
    wall: since((mark) => mark.ms) >= wallMs,
    "tokens that were not told": given.tokens !== undefined && since((mark) => mark.untold) > 0,
    "dollars that nobody knows": given.usd !== undefined && since((mark) => mark.unpriced) > 0,
  };
  return Object.entries(over).flatMap(([name, isOver]) => (isOver ? [name] : []));
}
