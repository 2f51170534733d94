import { type App, defineApp, defineSubscription, NonRetryable } from "../../src/index.ts";
import { Fact, type FactData } from "../facts.ts";

export interface Arrived {
  readonly key: string;
  readonly n: number;
  readonly idempotencyKey: string;
}
/** One of twenty has data that no repair of the handler mends. */
export const isHopeless = ({ n }: Pick<FactData, "n">): boolean => n % 20 === 19;

/** `post`: how the receiver is reached; undefined: the handler is broken. */
export function appOf(post: ((arrived: Arrived) => Promise<void>) | undefined): App {
  const receiver = defineSubscription(
    "receiver",
    { on: Fact, from: "beginning", onExhausted: "skip-event" },
    async ({ data }, ctx) => {
      if (post === undefined || isHopeless(data)) throw new NonRetryable("no such thing");
      await post({ key: data.key, n: data.n, idempotencyKey: ctx.idempotencyKey("post") });
    },
  );
  return defineApp({ name: "desk", subscriptions: [receiver] });
}
