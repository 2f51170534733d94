import type { BatchVerbs, EmitOptions, Logger } from "../app/context.ts";
import type { Statement } from "../app/sql.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Effects } from "../engine/ledger.ts";
import { FactlogError } from "../errors.ts";
import type { NewEvent, RecordedEvent } from "../event/define.ts";
import { handleBeginning } from "../observe/channels.ts";
import { type ContextHost, DeliveryContext } from "./context.ts";
import { handling } from "./handling.ts";
import type { Delivery } from "./slot-work.ts";
import { handleTold } from "./tell.ts";

export interface BatchPart {
  readonly delivery: Delivery;
  readonly event: RecordedEvent;
}

/** `ctx` of one run with a batch. What it queues belongs to all of it; ids of its facts are derived from its first event. */
export class BatchContext implements BatchVerbs {
  /** Of its first event. */
  readonly inner: DeliveryContext;
  readonly failures: Map<Delivery, unknown> = new Map();
  readonly #parts: readonly BatchPart[];

  constructor(host: ContextHost, parts: readonly BatchPart[]) {
    const [first] = parts as readonly [BatchPart, ...BatchPart[]];
    this.inner = new DeliveryContext(host, first.delivery, first.event);
    this.#parts = parts;
  }

  get mode(): DeliveryContext["mode"] {
    return this.inner.mode;
  }
  get signal(): AbortSignal {
    return this.inner.signal;
  }
  get logger(): Logger {
    return this.inner.logger;
  }
  get tx(): unknown {
    return this.inner.tx;
  }
  emit(event: NewEvent, options?: EmitOptions): void {
    this.inner.emit(event, options);
  }
  write(statement: Statement): void {
    this.inner.write(statement);
  }
  fail(event: RecordedEvent, error: unknown): void {
    this.inner.requireOpen("fail");
    const part = this.#parts.find((each) => each.event === event);
    if (part === undefined) {
      throw new FactlogError(
        "INVALID_OPTION",
        "ctx.fail was given an event that is not one of its batch: give one of `events`.",
      );
    }
    if (!this.failures.has(part.delivery)) this.failures.set(part.delivery, error);
  }

  // ── the runtime's side ──
  openTransaction(tx: unknown): void {
    this.inner.openTransaction(tx);
  }
  effects(): Effects | undefined {
    return this.inner.effects();
  }
  /** Calls the handler. */
  call(spec: SubscriptionSpec): unknown {
    const [{ delivery, event }] = this.#parts as readonly [BatchPart];
    const events = this.#parts.map((part) => part.event);
    const handler = spec.handler as unknown as (events: readonly RecordedEvent[], ctx: BatchVerbs) => unknown;
    handling.enterWith(event);
    if (!handleBeginning.hasSubscribers) return handler(events, this);
    const facts = { delivery, subscription: spec.name, event, attempt: this.inner.attempt };
    return handleTold(facts, ({ traceparent, tracestate }) => {
      if (traceparent !== undefined) this.inner.trace = { traceparent, tracestate };
      return handler(events, this);
    });
  }
}
