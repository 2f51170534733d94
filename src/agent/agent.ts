import type { GenerateTextResult, LanguageModel, ModelMessage, ToolSet } from "ai";
import { generateText, isStepCount } from "ai";
import type { HandlerContext } from "../app/context.ts";
import { defineSubscription, type Subscription, type SubscriptionOptions } from "../app/subscription.ts";
import type { AnyEventType, EventOf } from "../event/define.ts";
import { accountOf } from "./account.ts";
import { durable, type DurableOptions, type DurableParts } from "./durable.ts";
import type { Usage } from "./usage.ts";

/** `maxSteps`: model calls of one `generate`, default 20. */
export type AgentRequest = ({ readonly prompt: string } | { readonly messages: ModelMessage[] }) & {
  readonly maxSteps?: number;
};

// oxlint-disable-next-line typescript/no-explicit-any -- the SDK's own parameters, left open as it leaves them
export type AgentResult<T extends ToolSet> = GenerateTextResult<T, any, any>;

/** `ctx` of a handler, and the agent's durable model and tools. */
export interface AgentContext<T extends ToolSet, Emits extends AnyEventType> extends HandlerContext<Emits> {
  readonly model: DurableParts<T>["model"];
  readonly tools: T;
  /** The tool loop, with the agent's instructions. */
  generate(request: AgentRequest): Promise<AgentResult<T>>;
  /** What this delivery has used so far, over all attempts. */
  usage(): Usage;
}

export interface AgentOptions<On extends AnyEventType, Emits extends AnyEventType, T extends ToolSet>
  extends SubscriptionOptions<On, Emits>, DurableOptions<T> {
  /** A function is called once per attempt. */
  readonly model: LanguageModel | (() => LanguageModel);
  readonly tools?: T;
  readonly instructions?: string;
}

/**
 * A subscription whose handler has a durable model and tools at hand: `durable` and `generateText` in one. Its deliveries
 * run without order, and what waits for a person holds nobody up: `order` is "none" and `onWait` "release-key" by default.
 */
export function defineAgent<
  const Name extends string,
  On extends AnyEventType,
  Emits extends AnyEventType = AnyEventType,
  T extends ToolSet = {},
>(
  name: Name,
  options: AgentOptions<On, Emits, T>,
  run: (event: EventOf<On>, agent: AgentContext<T, Emits>) => Promise<unknown>,
): Subscription<Name> {
  const { model, tools, policy, budget, prices, call, instructions, ...subscription } = options;
  const given: DurableOptions<T> = {
    ...(policy === undefined ? {} : { policy }),
    ...(budget === undefined ? {} : { budget }),
    ...(prices === undefined ? {} : { prices }),
    ...(call === undefined ? {} : { call }),
  };
  return defineSubscription<Name, On, Emits>(
    name,
    { order: "none", onWait: "release-key", ...subscription },
    async (event, ctx) => {
      const inner: HandlerContext = ctx;
      const parts = durable(inner, {
        ...given,
        model: typeof model === "function" ? model() : model,
        ...(tools === undefined ? {} : { tools }),
      });
      const account = accountOf(inner, "agent");
      await account.load();
      const own = {
        ...parts,
        usage: () => account.usage,
        generate: ({ maxSteps = 20, ...asked }: AgentRequest) =>
          generateText({
            ...parts,
            ...(instructions === undefined ? {} : { instructions }),
            ...asked,
            maxRetries: 0,
            stopWhen: isStepCount(maxSteps),
            abortSignal: ctx.signal,
          }),
      };
      return run(event, over(ctx, own) as AgentContext<T, Emits>);
    },
  );
}

/** The context with more; its own getters and verbs keep their object. */
function over(ctx: object, own: object): object {
  return new Proxy(ctx, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name) as unknown;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
