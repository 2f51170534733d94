import type { Entry, Register } from "../engine/register.ts";
import { moveEntry } from "../runtime/move-entry.ts";
import { breaches, type Mark, type ResolvedBudget } from "./budget.ts";
import { nothing, plus, type Spent } from "./usage.ts";

/** Kept in the ledger: what a subscription's calls under one name have used on one day, over all processes. */
interface Kept {
  readonly used: Mark;
  /** What was used when a person last allowed more. */
  readonly granted: Mark | undefined;
}
const kind = "budget";
const noMark: Mark = { ...nothing, calls: 0 };

export type Reserved =
  | { readonly over: readonly string[]; readonly used: Mark }
  | { readonly over: undefined; readonly estimate: Spent };

/**
 * A day's budget, of a subscription, by UTC. A call reserves what calls of the day have used on average, and is corrected by what
 * it used: so many calls at one time go beyond the budget by the error of this estimate alone. A call that dies stays reserved.
 */
export class DayAccount {
  readonly #register: Register;
  readonly #subscription: string;
  readonly #name: string;

  constructor(register: Register, subscription: string, name: string) {
    this.#register = register;
    this.#subscription = subscription;
    this.#name = name;
  }

  /** Before a call: names what is used up, or takes the place of the call. */
  async reserve(day: string, budget: ResolvedBudget): Promise<Reserved> {
    let reserved: Reserved | undefined;
    await this.#move(day, ({ used, granted }) => {
      const over = breaches(budget, used, granted);
      if (over.length > 0) {
        reserved = { over, used };
        return undefined;
      }
      const estimate = averageOf(used);
      reserved = { over: undefined, estimate };
      return { used: { ...plus(used, estimate), calls: used.calls + 1 }, granted };
    });
    return reserved!;
  }
  /** After it. */
  async correct(day: string, estimate: Spent, spent: Spent): Promise<void> {
    await this.#move(day, ({ used, granted }) => ({
      used: { ...plus(plus(used, negative(estimate)), spent), calls: used.calls },
      granted,
    }));
  }
  /** From now on the budget of the day counts anew. */
  async grant(day: string): Promise<void> {
    await this.#move(day, ({ used }) => ({ used, granted: used }));
  }

  /** Undefined: it stays as it is. */
  async #move(day: string, to: (kept: Kept) => Kept | undefined): Promise<void> {
    const name = this.#entryOf(day);
    let others: readonly Entry[] = [];
    await moveEntry(this.#register, kind, name, (seen, all) => {
      others = seen === undefined ? all : [];
      const next = to(seen === undefined ? { used: noMark, granted: undefined } : (JSON.parse(seen) as Kept));
      return next === undefined ? undefined : { body: JSON.stringify(next), events: [] };
    });
    await this.#forget(others, name);
  }
  /** Days that are over. */
  async #forget(entries: readonly Entry[], today: string): Promise<void> {
    const mine = this.#entryOf("").slice(0, -2);
    for (const { name, body } of entries) {
      if (!name.startsWith(mine) || name >= today) continue;
      await this.#register.enter({ kind, name, seen: body, body: undefined, events: [] });
    }
  }
  #entryOf(day: string): string {
    return JSON.stringify([this.#subscription, this.#name, day]);
  }
}

/** "2026-11-27", by UTC. */
export const dayOf = (nowMs: number): string => new Date(nowMs).toISOString().slice(0, 10);
export const endOfDay = (day: string): number => Date.parse(day) + 86_400_000;

function averageOf({ calls, inputTokens, outputTokens, usd, ms }: Mark): Spent {
  if (calls === 0) return nothing;
  const share = (amount: number): number => amount / calls;
  return {
    ...nothing,
    inputTokens: Math.round(share(inputTokens)),
    outputTokens: Math.round(share(outputTokens)),
    usd: share(usd),
    ms: share(ms),
  };
}
const negative = ({ inputTokens, outputTokens, usd, unpriced, untold, ms }: Spent): Spent => ({
  inputTokens: -inputTokens,
  outputTokens: -outputTokens,
  usd: -usd,
  unpriced: -unpriced,
  untold: -untold,
  ms: -ms,
});
