import type { ToolExecutionOptions, ToolSet } from "ai";
import type { HandlerContext } from "../app/context.ts";
import { NonRetryable } from "../app/verdicts.ts";
import type { Duration } from "../duration.ts";
import { FactlogError, hasCode } from "../errors.ts";
import type { InnerStepOptions } from "../runtime/steps.ts";
import { type Account, accountOf, stepsOf } from "./account.ts";
import { callName } from "./call-name.ts";
import { callTold } from "./tell.ts";
import { nothing } from "./usage.ts";

/**
 * What a crash in the middle of a tool means. "pure" and "idempotent" (give the receiver `currentStep().idempotencyKey`)
 * run again; "destructive" may have taken effect: a person is asked. A tool without a policy is destructive.
 */
export type ToolPolicy = "pure" | "idempotent" | "destructive";
export type ToolRule =
  | ToolPolicy
  | {
      readonly policy: ToolPolicy;
      /** Whether a person is asked before the tool runs. Default "never". A function decides by the input, and the same each time. */
      // oxlint-disable-next-line typescript/no-explicit-any -- the input of whichever tool this is of
      readonly approve?: "always" | "never" | ((input: any) => boolean);
      /** Then the model is told that the tool took too long. */
      readonly timeout?: Duration;
    };

/** What the model is told of a tool call that a person refused. */
export interface Rejected {
  readonly rejected: true;
  readonly message: string;
}

interface Rule {
  readonly policy: ToolPolicy;
  readonly approve: "always" | "never" | ((input: unknown) => boolean);
  readonly timeout: Duration | undefined;
}

/** What is remembered of a tool call: a failure is told to the model, so it happened and does not happen again. */
type Remembered =
  | { readonly value?: unknown }
  | { readonly error: { readonly name: string; readonly message: string } };

type AnyTool = ToolSet[string];

export function durableTools<T extends ToolSet>(
  ctx: HandlerContext,
  name: string,
  tools: T,
  policy: { readonly [K in keyof T]?: ToolRule },
): T {
  for (const tool of Object.keys(policy)) {
    if (Object.hasOwn(tools, tool)) continue;
    throw new FactlogError("INVALID_OPTION", `policy names ${tool}, which is none of the tools: correct the name.`);
  }
  const wrapped = Object.entries(tools).map(([toolName, tool]) => [
    toolName,
    durableTool(ctx, name, toolName, tool, ruleOf(toolName, policy[toolName])),
  ]);
  return Object.fromEntries(wrapped) as T;
}

function ruleOf(tool: string, rule: ToolRule = "destructive"): Rule {
  const { policy, approve = "never", timeout } = typeof rule === "string" ? { policy: rule } : rule;
  if (!["pure", "idempotent", "destructive"].includes(policy)) {
    throw new FactlogError(
      "INVALID_OPTION",
      `the policy of ${tool} is ${String(policy)}: give "pure", "idempotent" or "destructive".`,
    );
  }
  if (typeof approve !== "function" && approve !== "always" && approve !== "never") {
    throw new FactlogError("INVALID_OPTION", `${tool}: approve is "always", "never" or a function of the input.`);
  }
  return { policy, approve, timeout };
}

/** A tool without `execute` is called by somebody else. */
function durableTool(ctx: HandlerContext, name: string, toolName: string, tool: AnyTool, rule: Rule): AnyTool {
  const { execute, toModelOutput } = tool;
  if (execute === undefined) return tool;
  const run = (input: unknown, options: ToolExecutionOptions<unknown>): unknown =>
    Reflect.apply(execute, tool, [input, options]);
  return {
    ...tool,
    execute: (input: unknown, options: ToolExecutionOptions<unknown>) =>
      new ToolCall(ctx, accountOf(ctx, name), toolName, rule).run(input, options, run),
    ...(toModelOutput === undefined
      ? {}
      : {
          toModelOutput: (told: Parameters<typeof toModelOutput>[0]) =>
            isRejected(told.output)
              ? { type: "execution-denied", reason: told.output.message }
              : Reflect.apply(toModelOutput, tool, [told]),
        }),
  } as AnyTool;
}

class ToolCall {
  readonly #ctx: HandlerContext;
  readonly #account: Account;
  readonly #tool: string;
  readonly #rule: Rule;

  constructor(ctx: HandlerContext, account: Account, tool: string, rule: Rule) {
    this.#ctx = ctx;
    this.#account = account;
    this.#tool = tool;
    this.#rule = rule;
  }

  async run(
    input: unknown,
    options: ToolExecutionOptions<unknown>,
    execute: (input: unknown, options: ToolExecutionOptions<unknown>) => unknown,
  ): Promise<unknown> {
    const { name } = this.#account;
    try {
      const asked = [options.messages, input];
      const step = this.#account.numbered(callName(`${name}.tool.${this.#tool}`, asked));
      const refused = await this.#refused(step, input);
      if (refused !== undefined) return refused;
      return await this.#step(step, (signal) => execute(input, { ...options, abortSignal: signal }), options);
    } catch (error) {
      if (error instanceof Error && !(error instanceof ToolFailure)) this.#account.fault ??= error;
      throw error;
    }
  }

  /** Before the step: what waits is no part of it. */
  async #refused(step: string, input: unknown): Promise<Rejected | undefined> {
    const { approve } = this.#rule;
    if (approve === "never" || (approve !== "always" && !approve(input))) return undefined;
    const { name } = this.#account;
    const answer = await this.#ctx.approval(step.replace(`${name}.tool.`, `${name}.approve.`), {
      summary: `${name} wants to call ${this.#tool}`,
      details: { tool: this.#tool, ...shownInput(input) },
    });
    if (answer.approved) return undefined;
    const by = answer.by === undefined ? "" : ` by ${answer.by}`;
    const comment = answer.comment === undefined ? "" : `: ${answer.comment}`;
    return { rejected: true, message: `This call was rejected${by}${comment}. It was not carried out.` };
  }

  async #step(
    step: string,
    execute: (signal: AbortSignal) => unknown,
    { abortSignal }: ToolExecutionOptions<unknown>,
  ): Promise<unknown> {
    const steps = stepsOf(this.#ctx);
    const { env } = steps.host;
    const beganMs = env.monotonic();
    const options: InnerStepOptions = {
      onAmbiguous: this.#rule.policy === "destructive" ? "ask" : "retry",
      ...(this.#rule.timeout === undefined ? {} : { timeout: this.#rule.timeout }),
      usage: () => this.#account.spend(step, { ...nothing, ms: env.monotonic() - beganMs }),
      failure: (error) => failureOf(error, abortSignal),
    };
    try {
      const run = async ({ signal }: { readonly signal: AbortSignal }): Promise<Remembered> => {
        const merged = abortSignal === undefined ? signal : AbortSignal.any([signal, abortSignal]);
        const facts = { operation: "execute_tool", name: this.#tool, provider: undefined } as const;
        const { subscription } = steps.host;
        return { value: await callTold({ ...facts, subscription }, async () => lastOf(execute(merged))) };
      };
      const remembered = (await steps.step(step, run, options)) as Remembered;
      if ("error" in remembered) throw new ToolFailure(remembered.error);
      return remembered.value;
    } catch (error) {
      // A crash left it begun, and a person said no.
      if (error instanceof NonRetryable) return { rejected: true, message: error.message } satisfies Rejected;
      throw error;
    }
  }
}

/** What a tool has thrown, as the model is told. */
class ToolFailure extends Error {
  constructor({ name, message }: { readonly name: string; readonly message: string }) {
    super(message);
    this.name = name;
  }
}

/** Mistakes of the handler's own code are not the model's to know; an aborted call is not over. */
function failureOf(error: unknown, abortSignal: AbortSignal | undefined): Remembered | undefined {
  if (error instanceof FactlogError && !hasCode(error, "STEP_TIMEOUT")) return undefined;
  if (abortSignal?.aborted === true) return undefined;
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { error: { name, message } };
}

/** A tool may yield several results, of which the last counts. */
async function lastOf(result: unknown): Promise<unknown> {
  if (typeof result !== "object" || result === null || !(Symbol.asyncIterator in result)) return result;
  let last: unknown;
  for await (const value of result as AsyncIterable<unknown>) last = value;
  return last;
}

const isRejected = (output: unknown): output is Rejected =>
  typeof output === "object" && output !== null && (output as Partial<Rejected>).rejected === true;

const shownBytesMax = 8 * 1024;
/** What a person is asked about has a bound. */
function shownInput(input: unknown): object {
  const text = JSON.stringify(input) ?? "";
  return text.length <= shownBytesMax ? { input } : { inputBegins: text.slice(0, shownBytesMax / 2) };
}
