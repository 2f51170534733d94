import type { LanguageModel, ToolSet } from "ai";
import { wrapLanguageModel } from "ai";
import type { HandlerContext } from "../app/context.ts";
import type { StepOptions } from "../app/steps.ts";
import { FactlogError } from "../errors.ts";
import { accountOf, stepsOf } from "./account.ts";
import { type Budget, resolveBudget } from "./budget.ts";
import { recording } from "./model.ts";
import { durableTools, type ToolRule } from "./tools.ts";
import { priceOf, type Prices, type Usage } from "./usage.ts";

/** What makes model and tools of the AI SDK durable, beside them. */
export interface DurableOptions<T extends ToolSet> {
  /** How a crash in a tool is met, and whether a person is asked before it. Undeclared: "destructive". */
  readonly policy?: { readonly [K in keyof T]?: ToolRule };
  readonly budget?: Budget;
  /** What models cost, by model id. A model that is not here costs "unknown". */
  readonly prices?: Prices;
  /** Of a model call, within one attempt of the delivery. Default: one run, and no time limit but the subscription's. */
  readonly call?: Pick<StepOptions, "retry" | "timeout">;
}

/** What is wrapped. `tools` are those the wrapped model is given. */
export interface DurableParts<T extends ToolSet> {
  readonly model: Exclude<LanguageModel, string>;
  readonly tools: T;
}

/**
 * Makes a model and tools durable inside any handler: give what it returns to `generateText`, `streamText` or a
 * `ToolLoopAgent`. Each model call and each tool call is one step of the delivery, named by `name` (default "agent") and by
 * what is asked; a later attempt gets what is remembered without calling anybody. An approval, a budget that is used up and
 * a tool that a crash left begun leave the run behind, as `ctx.approval` does: the SDK sees no exception. `maxRetries` of
 * the SDK does nothing for such a model: a call that fails fails the attempt. Throws INVALID_OPTION.
 */
export function durable<T extends ToolSet = {}>(
  ctx: HandlerContext,
  parts: DurableOptions<T> & { readonly model: LanguageModel; readonly tools?: T; readonly name?: string },
): DurableParts<T> {
  const { model, tools = {} as T, name = "agent", policy = {}, prices = {}, budget, call = {} } = parts;
  checkName(name);
  stepsOf(ctx);
  if (typeof model === "string") {
    throw new FactlogError(
      "INVALID_OPTION",
      `model is ${JSON.stringify(model)}: give the model itself, as its provider makes it.`,
    );
  }
  const price = priceOf(prices, model.modelId);
  const limit = budget === undefined ? undefined : resolveBudget(budget, price, model.modelId);
  const middleware = recording(ctx, { name, price, budget: limit, step: call });
  return { model: wrapLanguageModel({ model, middleware }), tools: durableTools(ctx, name, tools, policy) };
}

function checkName(name: unknown): void {
  if (typeof name === "string" && /^[^/#.\p{Cc}]{1,60}$/u.test(name)) return;
  throw new FactlogError(
    "INVALID_OPTION",
    `name is ${JSON.stringify(name)}: give 1 to 60 characters without ".", "/", "#" and control characters.`,
  );
}

/** What the calls under a name have used so far in this delivery, over all attempts. */
export async function usageOf(ctx: HandlerContext, name = "agent"): Promise<Usage> {
  const account = accountOf(ctx, name);
  await account.load();
  return account.usage;
}
