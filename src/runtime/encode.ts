import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { encodeEvent, type EncodeContext } from "../event/codec.ts";
import type { NewEvent } from "../event/define.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { handling } from "./handling.ts";

/** What becomes of an event before it is appended, whichever way it goes to the log. Throws as `encodeEvent` does. */
export function encodeToPublish(event: NewEvent, env: Env, source: string, more: More = {}): EncodedEvent {
  return encodeEvent(event, contextOf(env, source, more));
}

/** A batch of at most 10,000 events. The refusal of one of them says which. */
export function encodeAllToPublish(
  events: readonly NewEvent[],
  env: Env,
  source: string,
  more: More = {},
): EncodedEvent[] {
  if (events.length > limits.batchEventsMax) {
    throw new FactlogError(
      "EVENT_TOO_LARGE",
      `a batch is one transaction of at most ${limits.batchEventsMax} events, this one has ${events.length}: publish several. Nothing was stored.`,
    );
  }
  const context = contextOf(env, source, more);
  return events.map((event, index) => encodeAt(event, index, context));
}

interface More {
  /** When it is to be stated. Default: now. */
  readonly timeMs?: number;
  /** What a listener wants. */
  readonly trace?: { readonly traceparent?: string | undefined; readonly tracestate?: string | undefined } | undefined;
}

/** Inside a handler, what is published belongs to the fact that is being handled. */
function contextOf(env: Env, source: string, { timeMs = env.now(), trace }: More): EncodeContext {
  const cause = handling.getStore();
  const context = { source, nowMs: timeMs, uuid: () => env.uuid() };
  if (cause === undefined && trace?.traceparent === undefined) return context;
  const from = trace?.traceparent === undefined ? cause : trace;
  return {
    ...context,
    correlationId: cause?.correlationId,
    causationId: cause?.id,
    traceparent: from?.traceparent,
    tracestate: from?.tracestate,
  };
}

function encodeAt(event: NewEvent, index: number, context: EncodeContext): EncodedEvent {
  try {
    return encodeEvent(event, context);
  } catch (error) {
    if (!(error instanceof FactlogError)) throw error;
    throw new FactlogError(error.code, `event ${index} of the batch: ${error.message}`, {
      cause: error,
      details: { ...error.details, index },
    });
  }
}
