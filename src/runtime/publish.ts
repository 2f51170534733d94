import type { Receipt } from "../app/context.ts";
import type { Appended, EventLog } from "../engine/event-log.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { encodeEvent, type EncodeContext } from "../event/codec.ts";
import type { NewEvent } from "../event/define.ts";
import { formatPosition } from "../event/position.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { type Beginning, publishBeginning, publishStage } from "../observe/channels.ts";
import { correlationIdOf } from "./correlation.ts";
import { handling } from "./handle.ts";
import { publishTold, tellPublished } from "./tell.ts";

type TraceContext = Pick<Beginning, "traceparent" | "tracestate">;

/** Validates, encodes, appends, answers. Waiting publishes share a commit. */
export class Publisher {
  readonly #log: EventLog;
  readonly #env: Env;
  readonly #source: string;
  readonly #uuid: () => string;
  /** Calls that have not been answered yet, and who waits for the last of them. */
  #open = 0;
  #idle: (() => void)[] = [];

  constructor(log: EventLog, env: Env, source: string) {
    this.#log = log;
    this.#env = env;
    this.#source = source;
    this.#uuid = () => env.uuid();
  }

  publish(event: NewEvent): Promise<Receipt> {
    return publishBeginning.hasSubscribers
      ? publishTold([event], (trace) => this.#publish(event, trace))
      : this.#publish(event);
  }
  async #publish(event: NewEvent, trace?: TraceContext): Promise<Receipt> {
    this.#open++;
    try {
      const startedMs = this.#env.monotonic();
      const encoded = encodeEvent(event, this.#context(trace));
      const [appended] = await this.#log.append([encoded]);
      return this.#receipt(encoded, appended as Appended, startedMs);
    } finally {
      this.#answered();
    }
  }
  async publishAll(events: readonly NewEvent[]): Promise<readonly Receipt[]> {
    this.#open++;
    try {
      if (!publishBeginning.hasSubscribers) return await this.#publishAll(events);
      return await publishTold(events, (trace) => this.#publishAll(events, trace));
    } finally {
      this.#answered();
    }
  }
  /** Resolves when no call waits for its answer. */
  idle(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }
  #answered(): void {
    if (--this.#open === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #publishAll(events: readonly NewEvent[], trace?: TraceContext): Promise<readonly Receipt[]> {
    if (events.length > limits.batchEventsMax) {
      throw new FactlogError(
        "EVENT_TOO_LARGE",
        `a batch is one transaction of at most ${limits.batchEventsMax} events, this one has ${events.length}: publish several. Nothing was stored.`,
      );
    }
    if (events.length === 0) return [];
    const startedMs = this.#env.monotonic();
    const context = this.#context(trace);
    const encoded = events.map((event, index) => encodeAt(event, index, context));
    const appended = await this.#log.append(encoded);
    return encoded.map((event, i) => this.#receipt(event, appended[i] as Appended, startedMs));
  }

  /** Inside a handler, what is published belongs to the fact that is being handled. `trace`: what a listener wants. */
  #context(trace?: TraceContext): EncodeContext {
    const cause = handling.getStore();
    const context = { source: this.#source, nowMs: this.#env.now(), uuid: this.#uuid };
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
  #receipt(event: EncodedEvent, appended: Appended, startedMs: number): Receipt {
    const receipt = {
      id: event.id,
      correlationId: correlationIdOf(event),
      duplicate: appended.duplicate,
      position: formatPosition(this.#log.epoch, appended.slot, appended.position),
    };
    if (publishStage.hasSubscribers) tellPublished(event, receipt, this.#env.monotonic() - startedMs);
    return receipt;
  }
}

/** The refusal of one event of a batch says which. */
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
