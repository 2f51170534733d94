import type { HandlerContext } from "../app/context.ts";
import { NonRetryable } from "../app/verdicts.ts";
import { FactlogError } from "../errors.ts";
import type { Steps } from "../runtime/steps.ts";
import { type Mark, breaches, type ResolvedBudget } from "./budget.ts";
import { DayAccount, dayOf, endOfDay } from "./day-account.ts";
import { nothing, plus, type Spent, type Usage } from "./usage.ts";

interface Entry {
  readonly calls: number;
  readonly spent: Spent;
  readonly done: boolean;
}
const fresh: Entry = { calls: 0, spent: nothing, done: false };

/** What the calls under one name have used in this delivery, and how their steps are named in this run. */
export class Account {
  readonly name: string;
  readonly #steps: Steps;
  readonly #entries = new Map<string, Entry>();
  readonly #named = new Map<string, number>();
  /** Calls that have reserved some of a day's budget, and how they give it back. */
  readonly #reserved = new Map<string, (spent: Spent) => Promise<void>>();
  #loaded: Promise<void> | undefined;
  #gate: Promise<void> = Promise.resolve();
  #granted: Mark | undefined;
  /** A mistake of the handler's own code, which the SDK would show to the model and go on. */
  fault: Error | undefined;

  constructor(name: string, steps: Steps) {
    this.name = name;
    this.#steps = steps;
  }

  /** A step's name for a call; calls that ask the same are numbered, and it does not matter which of them is which. */
  numbered(name: string): string {
    const count = (this.#named.get(name) ?? 0) + 1;
    this.#named.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  }

  load(): Promise<void> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }
  async #load(): Promise<void> {
    for (const { name, state, attempts, usage } of await this.#steps.records()) {
      const step = name.split("/").at(-1) ?? "";
      const isCall = step.startsWith(`${this.name}.model.`);
      if (!isCall && !step.startsWith(`${this.name}.tool.`)) continue;
      const spent = usage === undefined ? nothing : (JSON.parse(usage) as Spent);
      this.#entries.set(step, { calls: isCall ? attempts : 0, spent, done: state === "done" });
    }
  }

  /** Adds what one run of a step used; gives what all its runs did. */
  spend(step: string, spent: Spent): Spent {
    const entry = this.#entries.get(step) ?? fresh;
    const total = plus(entry.spent, spent);
    this.#entries.set(step, { ...entry, spent: total });
    return total;
  }

  get usage(): Usage {
    return usageOf(this.#mark());
  }
  #mark(): Mark {
    const entries = [...this.#entries.values()];
    const spent = entries.reduce((sum, entry) => plus(sum, entry.spent), nothing);
    return { ...spent, calls: entries.reduce((sum, entry) => sum + entry.calls, 0) };
  }

  /** Before a model call. Those that are not remembered take turns, so that one question is asked at a time. */
  async allow(ctx: HandlerContext, budget: ResolvedBudget | undefined, step: string): Promise<void> {
    await this.load();
    if (this.#entries.get(step)?.done === true) return;
    const turn = this.#gate.then(async () => {
      if (budget?.given.per === "day") await this.#reserve(ctx, budget, step);
      else if (budget !== undefined) await this.#ask(ctx, budget);
      const entry = this.#entries.get(step) ?? fresh;
      this.#entries.set(step, { ...entry, calls: entry.calls + 1 });
    });
    this.#gate = turn.catch(() => {});
    await turn;
  }
  /** Of a day: what is used up is asked about until the day ends, and then it is another day. */
  async #reserve(ctx: HandlerContext, budget: ResolvedBudget, step: string): Promise<void> {
    const { env, subscription, register } = this.#steps.host;
    const account = new DayAccount(register, subscription, this.name);
    for (;;) {
      const day = dayOf(env.now());
      const reserved = await account.reserve(day, budget);
      if (reserved.over === undefined) {
        const { estimate } = reserved;
        this.#reserved.set(step, (spent) => account.correct(day, estimate, spent));
        return;
      }
      const { over, used } = reserved;
      const usage = usageOf(used);
      const answer = await ctx.approval(`${this.name}.budget.${day}`, {
        summary: `${subscription} has used up its budget of ${day} (${over.join(", ")}): ${told(usage)}. The same amount again?`,
        details: { used: usage, budget: budget.given, over },
        timeout: Math.max(1, endOfDay(day) - env.now()),
      });
      if (answer.approved) await ctx.step(`${this.name}.budget.${day}.granted`, () => account.grant(day));
      else if (answer.reason === "rejected") throw this.#rejected(answer.by);
    }
  }
  /** A call is over, whatever became of it: what it used takes the place of what it had reserved. */
  async settle(step: string, spent: Spent): Promise<void> {
    const correct = this.#reserved.get(step);
    this.#reserved.delete(step);
    await correct?.(spent);
  }
  #rejected(answeredBy: string | undefined): NonRetryable {
    const by = answeredBy === undefined ? "" : ` by ${answeredBy}`;
    const message = `${this.name}: going on beyond its budget was rejected${by}.`;
    return new NonRetryable(message, { cause: new FactlogError("BUDGET_EXCEEDED", message) });
  }

  /** Questions come in the same order in every run: each is about more than the one before. */
  async #ask(ctx: HandlerContext, budget: ResolvedBudget): Promise<void> {
    for (;;) {
      const over = breaches(budget, this.#mark(), this.#granted);
      if (over.length === 0) return;
      const answer = await ctx.approval(`${this.name}.budget`, {
        summary: `${this.name} has used up its budget (${over.join(", ")}): ${told(this.usage)}. The same amount again?`,
        details: { used: this.usage, budget: budget.given, over },
      });
      if (!answer.approved) throw this.#rejected(answer.by);
      this.#granted = (await ctx.step(`${this.name}.budget.granted`, () => this.#mark())) as Mark;
    }
  }
}

function usageOf({ calls, inputTokens, outputTokens, usd, unpriced, ms }: Mark): Usage {
  // Sums of prices without what floating point adds to them.
  const dollars = Math.round(usd * 1e9) / 1e9;
  return { calls, inputTokens, outputTokens, usd: unpriced > 0 ? "unknown" : dollars, wallMs: Math.round(ms) };
}

function told({ calls, inputTokens, outputTokens, usd, wallMs }: Usage): string {
  const dollars = usd === "unknown" ? "an unknown amount of dollars" : `$${usd.toFixed(4)}`;
  return `${calls} model calls, ${inputTokens} tokens in, ${outputTokens} out, ${dollars}, ${wallMs} ms in calls`;
}

/** By the attempt's steps: another attempt reads the journal again. */
const accounts = new WeakMap<Steps, Map<string, Account>>();

export function accountOf(ctx: HandlerContext, name: string): Account {
  const steps = stepsOf(ctx);
  const known = accounts.get(steps) ?? new Map<string, Account>();
  accounts.set(steps, known);
  const account = known.get(name) ?? new Account(name, steps);
  known.set(name, account);
  return account;
}

/** The steps of the attempt: they refuse once it has ended. */
export function stepsOf(ctx: HandlerContext): Steps {
  const { steps } = ctx as HandlerContext & { readonly steps?: Steps };
  if (steps !== undefined) return steps;
  throw new FactlogError(
    "INVALID_OPTION",
    "this is no context of a handler: give the `ctx` that the handler was given.",
  );
}
