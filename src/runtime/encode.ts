import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { encodeEvent, type EncodeContext } from "../event/codec.ts";
import type { NewEvent } from "../event/define.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { handling } from "./handle.ts";

/** What becomes of an event before it is appended, whichever way it goes to the log. `timeMs`: when it is to be stated. Throws as `encodeEvent` does. */
export function encodeToPublish(event: NewEvent, env: Env, source: string, timeMs?: number): EncodedEvent {
  return encodeEvent(event, contextOf(env, source, timeMs));
}

/** A batch of at most 10,000 events. The refusal of one of them says which. */
export function encodeAllToPublish(events: readonly NewEvent[], env: Env, source: string): EncodedEvent[] {
  if (events.length > limits.batchEventsMax) {
    throw new FactlogError(
      "EVENT_TOO_LARGE",
      `a batch is one transaction of at most ${limits.batchEventsMax} events, this one has ${events.length}: publish several. Nothing was stored.`,
    );
  }
  const context = contextOf(env, source);
  return events.map((event, index) => encodeAt(event, index, context));
}

/** Inside a handler, what is published belongs to the fact that is being handled. */
function contextOf(env: Env, source: string, nowMs: number = env.now()): EncodeContext {
  const cause = handling.getStore();
  const context = { source, nowMs, uuid: () => env.uuid() };
  if (cause === undefined) return context;
  const { correlationId, traceparent, tracestate } = cause;
  return { ...context, correlationId, causationId: cause.id, traceparent, tracestate };
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
