import { FactlogError } from "../errors.ts";

/** What a million tokens of a model cost, in US dollars. */
export interface Price {
  readonly inputPerMillion: number;
  readonly outputPerMillion: number;
}
/** By model id. */
export type Prices = Readonly<Record<string, Price>>;

/** What the model and tool calls of a delivery have used so far, those that failed included. */
export interface Usage {
  /** Model calls begun; every run of a call that failed or died counts. */
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** "unknown" as soon as one answered call has no price or told no tokens: never 0 in its place. */
  readonly usd: number | "unknown";
  /** Milliseconds spent in model and tool calls. Waiting is not counted. */
  readonly wallMs: number;
}

/** What one step has used, as its journal entry tells it. */
export interface Spent {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of the answers whose price is known. */
  readonly usd: number;
  /** Answers of which nobody knows what they cost. */
  readonly unpriced: number;
  /** Answers that did not tell their tokens. */
  readonly untold: number;
  readonly ms: number;
}
export const nothing: Spent = { inputTokens: 0, outputTokens: 0, usd: 0, unpriced: 0, untold: 0, ms: 0 };

export function plus(a: Spent, b: Spent): Spent {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    usd: a.usd + b.usd,
    unpriced: a.unpriced + b.unpriced,
    untold: a.untold + b.untold,
    ms: a.ms + b.ms,
  };
}

interface ToldTokens {
  readonly inputTokens?: { readonly total?: number | undefined };
  readonly outputTokens?: { readonly total?: number | undefined };
}

/** What an answer says it used. `price` undefined: nobody knows what it cost. */
export function spentOn(told: ToldTokens | undefined, price: Price | undefined): Spent {
  const input = told?.inputTokens?.total;
  const output = told?.outputTokens?.total;
  const isTold = isCount(input) && isCount(output);
  const inputTokens = isCount(input) ? input : 0;
  const outputTokens = isCount(output) ? output : 0;
  const { inputPerMillion, outputPerMillion } = price ?? { inputPerMillion: 0, outputPerMillion: 0 };
  return {
    inputTokens,
    outputTokens,
    usd: (inputTokens * inputPerMillion + outputTokens * outputPerMillion) / 1_000_000,
    unpriced: isTold && price !== undefined ? 0 : 1,
    untold: isTold ? 0 : 1,
    ms: 0,
  };
}
const isCount = (value: unknown): value is number => typeof value === "number" && value >= 0 && Number.isFinite(value);

export function priceOf(prices: Prices, modelId: string): Price | undefined {
  const price = Object.hasOwn(prices, modelId) ? prices[modelId] : undefined;
  if (price === undefined || (isCount(price.inputPerMillion) && isCount(price.outputPerMillion))) return price;
  throw new FactlogError(
    "INVALID_OPTION",
    `the price of ${modelId} is no price: give { inputPerMillion, outputPerMillion } in dollars.`,
  );
}
