import type { LanguageModelMiddleware } from "ai";
import { APICallError } from "ai";
import type { HandlerContext } from "../app/context.ts";
import type { StepContext, StepOptions } from "../app/steps.ts";
import { hasCode } from "../errors.ts";
import type { InnerStepOptions } from "../runtime/steps.ts";
import { type Account, accountOf, stepsOf } from "./account.ts";
import type { ResolvedBudget } from "./budget.ts";
import { callName } from "./call-name.ts";
import { RecordedStream, type StreamPart, type StreamResult, withoutBytes } from "./stream.ts";
import { callTold } from "./tell.ts";
import { nothing, plus, type Price, spentOn } from "./usage.ts";

type WrapGenerate = NonNullable<LanguageModelMiddleware["wrapGenerate"]>;
type Params = Parameters<WrapGenerate>[0]["params"];
type GenerateResult = Awaited<ReturnType<WrapGenerate>>;
type Told = Parameters<typeof spentOn>[0];

export interface ModelOptions {
  readonly name: string;
  readonly price: Price | undefined;
  readonly budget: ResolvedBudget | undefined;
  readonly step: Pick<StepOptions, "retry" | "timeout">;
}

/** Each call of the model is one step: a remembered answer is given again without asking the provider. */
export function recording(ctx: HandlerContext, options: ModelOptions): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    wrapGenerate: async ({ params, model }) => {
      const call = await begin(ctx, options, "generate", params, model);
      const answer = await call.run(
        async (step) => {
          const answer = withoutTransport(await model.doGenerate(paramsFor(params, step)));
          for (const part of answer.content) if (part.type === "text") show(ctx, part.text);
          return answer;
        },
        (value) => (value as GenerateResult).usage,
      );
      return revived(answer as GenerateResult);
    },
    wrapStream: async ({ params, model }) => {
      const call = await begin(ctx, options, "stream", params, model);
      const stream = new RecordedStream((text) => show(ctx, text));
      return stream.follow(
        call.run(
          async (step) => stream.record(await model.doStream(paramsFor(params, step))),
          (value) => usageIn((value as { readonly parts: readonly StreamPart[] }).parts),
        ) as Promise<StreamResult>,
      );
    },
  };
}

/** Text of the model, for whoever watches. What is remembered was shown when it came. */
function show(ctx: HandlerContext, text: string): void {
  try {
    ctx.delta(text);
  } catch (error) {
    // The attempt is over, and nobody watches it any more.
    if (!hasCode(error, "EMIT_TOO_LATE")) throw error;
  }
}

async function begin(
  ctx: HandlerContext,
  options: ModelOptions,
  kind: "generate" | "stream",
  params: Params,
  { modelId, provider }: { readonly modelId: string; readonly provider: string },
): Promise<ModelCall> {
  const account = accountOf(ctx, options.name);
  if (account.fault !== undefined) throw account.fault;
  const { abortSignal: _, headers: __, ...asked } = params;
  const step = account.numbered(callName(`${options.name}.model`, [kind, asked]));
  await account.allow(ctx, options.budget, step);
  return new ModelCall(ctx, account, options, step, { name: modelId, provider });
}

class ModelCall {
  readonly #ctx: HandlerContext;
  readonly #account: Account;
  readonly #options: ModelOptions;
  readonly #step: string;
  readonly #model: { readonly name: string; readonly provider: string };

  constructor(
    ctx: HandlerContext,
    account: Account,
    options: ModelOptions,
    step: string,
    model: { readonly name: string; readonly provider: string },
  ) {
    this.#model = model;
    this.#ctx = ctx;
    this.#account = account;
    this.#options = options;
    this.#step = step;
  }

  async run(fn: (step: StepContext) => Promise<unknown>, told: (value: unknown) => Told): Promise<unknown> {
    const steps = stepsOf(this.#ctx);
    const { env } = steps.host;
    let beganMs = env.monotonic();
    let used = nothing;
    const inner: InnerStepOptions = {
      ...this.#options.step,
      usage: (value) => {
        const spent = value === undefined ? nothing : spentOn(told(value), this.#options.price);
        const all = plus(spent, { ...nothing, ms: env.monotonic() - beganMs });
        used = plus(used, all);
        return this.#account.spend(this.#step, all);
      },
    };
    try {
      return await steps.step(
        this.#step,
        (step) => {
          beganMs = env.monotonic();
          const facts = { operation: "chat", ...this.#model, subscription: steps.host.subscription } as const;
          return callTold(
            facts,
            () => fn(step),
            (value) => tokensOf(told(value)),
          );
        },
        inner,
      );
    } catch (error) {
      throw APICallError.isInstance(error) && error.isRetryable ? final(error) : error;
    } finally {
      await this.#account.settle(this.#step, used);
    }
  }
}

/** The SDK repeats what it takes for retryable: a second call behind the step's back. The delivery is tried again instead. */
function final(cause: APICallError): APICallError {
  const { message, url, requestBodyValues, statusCode, responseHeaders, responseBody, data } = cause;
  const facts = { message, url, requestBodyValues, cause, isRetryable: false, data };
  return new APICallError({
    ...facts,
    ...(statusCode === undefined ? {} : { statusCode }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(responseBody === undefined ? {} : { responseBody }),
  });
}

/** A provider that honours the key answers a call that was in flight when a process died without being paid twice. */
function paramsFor(params: Params, { signal, idempotencyKey }: StepContext): Params {
  const { abortSignal, headers } = params;
  return {
    ...params,
    headers: { "idempotency-key": idempotencyKey, ...headers },
    abortSignal: abortSignal === undefined ? signal : AbortSignal.any([signal, abortSignal]),
  };
}

/** Of the answer, without how it came: requests may hold what is not to be kept. */
function withoutTransport(given: GenerateResult): GenerateResult {
  const { request: _, response, ...rest } = given;
  const answer = { ...rest, content: rest.content.map(withoutBytes) };
  if (response === undefined) return answer;
  const { body: __, headers: ___, ...metadata } = response;
  return { ...answer, response: metadata };
}
function revived(answer: GenerateResult): GenerateResult {
  const at = answer.response?.timestamp;
  return at === undefined ? answer : { ...answer, response: { ...answer.response, timestamp: new Date(at) } };
}
function tokensOf(used: Told) {
  return { input: used?.inputTokens?.total, output: used?.outputTokens?.total };
}
function usageIn(parts: readonly StreamPart[]): Told {
  return parts.findLast((part) => part.type === "finish")?.usage;
}
