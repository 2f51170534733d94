import type { Receipt } from "../app/context.ts";
import type { Engine } from "../engine/engine.ts";
import type { Appended, EventLog } from "../engine/event-log.ts";
import type { Ledger } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import type { NewEvent } from "../event/define.ts";
import { formatPosition } from "../event/position.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { type Beginning, publishBeginning, publishStage } from "../observe/channels.ts";
import { correlationIdOf } from "./correlation.ts";
import { dueTime, type When } from "./due-time.ts";
import { encodeToPublish, encodeAllToPublish } from "./encode.ts";
import { publishTold, tellPublished } from "./tell.ts";

type TraceContext = Pick<Beginning, "traceparent" | "tracestate">;

/** Validates, encodes, appends, answers. Waiting publishes share a commit. */
export class Publisher {
  readonly #log: EventLog;
  readonly #ledger: Ledger;
  readonly #delayed: (dueMs: number) => void;
  readonly #env: Env;
  readonly #source: string;
  /** Calls that have not been answered yet, and who waits for the last of them. */
  #open = 0;
  #idle: (() => void)[] = [];

  /** `delayed`: hears when the next delayed event is due. */
  constructor(
    { log, ledger }: Pick<Engine, "log" | "ledger">,
    env: Env,
    source: string,
    delayed: (dueMs: number) => void,
  ) {
    this.#log = log;
    this.#ledger = ledger;
    this.#delayed = delayed;
    this.#env = env;
    this.#source = source;
  }

  publish(event: NewEvent, when: When = {}): Promise<Receipt> {
    return publishBeginning.hasSubscribers
      ? publishTold([event], (trace) => this.#publish(event, when, trace))
      : this.#publish(event, when);
  }
  async #publish(event: NewEvent, when: When, trace?: TraceContext): Promise<Receipt> {
    this.#open++;
    try {
      const startedMs = this.#env.monotonic();
      const dueMs = dueTime(when, this.#env.now());
      if (dueMs !== undefined) return await this.#delay(event, dueMs, trace);
      const encoded = encodeToPublish(event, this.#env, this.#source, { trace });
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
    if (events.length === 0) return [];
    const startedMs = this.#env.monotonic();
    const encoded = encodeAllToPublish(events, this.#env, this.#source, { trace });
    const appended = await this.#log.append(encoded);
    return encoded.map((event, i) => this.#receipt(event, appended[i] as Appended, startedMs));
  }

  async #delay(event: NewEvent, dueMs: number, trace?: TraceContext): Promise<Receipt> {
    const encoded = encodeToPublish(event, this.#env, this.#source, { timeMs: dueMs, trace });
    const [answer] = await this.#ledger.delay([{ event: encoded, dueMs }]);
    this.#delayed(dueMs);
    return { id: encoded.id, correlationId: correlationIdOf(encoded), duplicate: answer?.duplicate === true };
  }
  /** Withdraws a delayed event; false where it has become a fact, or was never there. */
  async cancel(id: string, source: string = this.#source): Promise<boolean> {
    return this.#ledger.cancel({ source, id });
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
