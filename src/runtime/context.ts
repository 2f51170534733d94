import type { EmitOptions, HandlerContext, Logger, Receipt } from "../app/context.ts";
import type { Approval, ApprovalRequest, Jsonified, StepContext, StepOptions, WaitForOptions } from "../app/steps.ts";
import type { Statement } from "../app/sql.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Effects } from "../engine/ledger.ts";
import type { DelayedEvent } from "../engine/timetable.ts";
import { FactlogError } from "../errors.ts";
import { encodeEvent } from "../event/codec.ts";
import type { Duration } from "../duration.ts";
import type { AnyEventType, EventOf, NewEvent, RecordedEvent } from "../event/define.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { validate } from "../event/validate.ts";
import { limits } from "../limits.ts";
import type { Deltas } from "./deltas.ts";
import { dueTime } from "./due-time.ts";
import { type DeliveryIdentity, derivedEventId, idempotencyKey } from "./identity.ts";
import { guarded } from "./guarded.ts";
import type { Delivery } from "./slot-work.ts";
import { type StepHost, Steps } from "./steps.ts";
import { approval, sleep, waitFor, type WaitHost } from "./waits.ts";

/** What a context needs of the runtime around it. */
export interface ContextHost {
  readonly spec: SubscriptionSpec;
  readonly source: string;
  readonly logger: Logger;
  now(): number;
  uuid(): string;
  announce(delivery: Delivery, event: EncodedEvent): Promise<Receipt>;
  readonly deltas: Deltas;
  steps(delivery: Delivery, context: DeliveryContext): StepHost & WaitHost;
}

type Ended = "SETTLED" | "SUSPENDED" | "HANDLER_TIMEOUT" | "LEASE_LOST" | "SHUTDOWN";

/** `ctx` of one attempt: queues effects until the settle, and refuses once the attempt has ended. */
export class DeliveryContext implements HandlerContext {
  readonly #host: ContextHost;
  readonly #delivery: Delivery;
  readonly #event: RecordedEvent;
  /** What its events carry instead of the trace context of the delivered one. */
  trace: { readonly traceparent: string; readonly tracestate: string | undefined } | undefined;
  #controller: AbortController | undefined;
  #ended: Ended | undefined;
  /** The handler has returned; its settle may be under way. */
  #returned = false;
  #hasDeltas = false;
  #tx: unknown;
  #emits: EncodedEvent[] | undefined;
  #delayed: DelayedEvent[] | undefined;
  #writes: Statement[] | undefined;
  #occurrences: Map<string, number> | undefined;
  #state: StateCell | undefined;
  #loaded: { readonly key: string; readonly text: string | undefined } | undefined;
  #steps: Steps | undefined;
  #stepHost: (StepHost & WaitHost) | undefined;
  #identity: DeliveryIdentity | undefined;
  #logger: Logger | undefined;

  constructor(host: ContextHost, delivery: Delivery, event: RecordedEvent) {
    this.#host = host;
    this.#delivery = delivery;
    this.#event = event;
  }

  get attempt(): number {
    return this.#delivery.failures + 1;
  }
  get mode(): "live" | "backfill" | "replay" | "redrive" {
    return this.#delivery.redriven ? "redrive" : "live";
  }
  get isOver(): boolean {
    return this.#ended !== undefined;
  }
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ended !== undefined) this.#controller.abort(reason(this.#ended));
    }
    return this.#controller.signal;
  }
  get logger(): Logger {
    this.#logger ??= withFields(this.#host.logger, {
      subscription: this.#host.spec.name,
      event: this.#event.id,
      attempt: this.attempt,
    });
    return this.#logger;
  }
  get state(): StateCell {
    if (this.#state === undefined) {
      throw new FactlogError(
        "INVALID_OPTION",
        `${this.#host.spec.name} declares no state: add \`state: { schema, initial }\`.`,
      );
    }
    return this.#state;
  }

  get tx(): unknown {
    if (this.#host.spec.store === undefined) {
      throw new FactlogError(
        "INVALID_OPTION",
        `${this.#host.spec.name} declares no store: add \`store: sqliteStore()\`, or pgStore().`,
      );
    }
    this.#requireTransaction();
    return this.#tx;
  }

  idempotencyKey(name: string): string {
    return idempotencyKey(this.#who(), name);
  }

  emit(event: NewEvent, options: EmitOptions = {}): void {
    this.requireOpen("emit");
    this.#requireOutside("emit");
    const dueMs = dueTime(options, this.#host.now());
    this.#emits ??= [];
    if (this.#emits.length + (this.#delayed?.length ?? 0) >= limits.emitsMax) {
      throw new FactlogError(
        "INVALID_OPTION",
        `one delivery may emit ${limits.emitsMax} events: emit fewer, or publish a batch of its own.`,
      );
    }
    if (dueMs === undefined) this.#emits.push(this.#encode(event, options));
    else (this.#delayed ??= []).push({ event: this.#encode(event, options, dueMs), dueMs });
  }

  write(statement: Statement): void {
    this.requireOpen("write");
    this.#requireOutside("write");
    if (this.#host.spec.store !== undefined) {
      throw new FactlogError(
        "NOT_SUPPORTED",
        `${this.#host.spec.name} has a store: write by ctx.tx, which commits with the settle as well.`,
      );
    }
    this.#writes ??= [];
    if (this.#writes.length >= limits.writesMax) {
      throw new FactlogError("INVALID_OPTION", `one delivery may queue ${limits.writesMax} statements: write fewer.`);
    }
    this.#writes.push(statement);
  }

  async announce(event: NewEvent, options: EmitOptions = {}): Promise<Receipt> {
    this.requireOpen("announce");
    if (options.after !== undefined || options.at !== undefined) {
      throw new FactlogError("INVALID_OPTION", "announce states its fact at once: use emit for a later one.");
    }
    return this.#host.announce(this.#delivery, this.#encode(event, options));
  }

  delta(text: string): void {
    this.requireOpen("delta");
    if (typeof text !== "string") throw new FactlogError("INVALID_OPTION", "ctx.delta takes text.");
    if (text === "") return;
    const { correlationId, id: eventId, key, group } = this.#event;
    this.#hasDeltas = true;
    const subscription = this.#host.spec.name;
    this.#host.deltas.add({ correlationId, subscription, eventId, key, group, text });
  }

  // ── steps and waits ──
  async step<T>(
    name: string,
    fn: (step: StepContext) => T | PromiseLike<T>,
    options?: StepOptions,
  ): Promise<Jsonified<Awaited<T>>> {
    return this.#stepsFor("step").step(name, fn, options) as Promise<Jsonified<Awaited<T>>>;
  }
  async sleep(name: string, duration: Duration | Date): Promise<void> {
    return sleep(this.#stepsFor("sleep"), name, duration);
  }
  async waitFor<E extends AnyEventType>(
    name: string,
    type: E | readonly E[],
    options: WaitForOptions<E>,
  ): Promise<EventOf<E> | null> {
    const types = Array.isArray(type) ? (type as readonly E[]) : [type as E];
    const steps = this.#stepsFor("waitFor");
    const found = waitFor(steps, this.#stepHost!, name, types, options as unknown as WaitForOptions<AnyEventType>);
    return found as unknown as Promise<EventOf<E> | null>;
  }
  async approval(name: string, request: ApprovalRequest): Promise<Approval> {
    return approval(this.#stepsFor("approval"), name, request);
  }
  /** For doors of this package: steps that say what they used. */
  get steps(): Steps {
    return this.#stepsFor("step");
  }
  #stepsFor(verb: string): Steps {
    this.requireOpen(verb);
    if (this.#host.spec.store !== undefined) {
      throw new FactlogError(
        "NOT_SUPPORTED",
        `${this.#host.spec.name} has a store, whose transaction would stay open over ctx.${verb}: use a subscription without one.`,
      );
    }
    this.#stepHost ??= this.#host.steps(this.#delivery, this);
    this.#steps ??= new Steps(this.#stepHost);
    return this.#steps;
  }
  /** Before the delivery ends: what it still waits for is awaited no longer. */
  async dropWaits(): Promise<void> {
    for (const path of this.#steps?.pending ?? []) await this.#stepHost?.record(path, { state: "dropped" });
  }
  get hasWaits(): boolean {
    return (this.#steps?.pending.size ?? 0) > 0;
  }

  // ── the runtime's side ──
  /** A context for another run of the same attempt, as this one was at first. */
  again(): DeliveryContext {
    const next = new DeliveryContext(this.#host, this.#delivery, this.#event);
    if (this.#loaded !== undefined) next.loadState(this.#loaded.key, this.#loaded.text);
    return next;
  }
  /** Gives the handler its state. `text`: what is stored; undefined: the initial value. */
  loadState(key: string, text: string | undefined): void {
    const options = this.#host.spec.state;
    this.#loaded = { key, text };
    if (options !== undefined)
      this.#state = new StateCell(options, key, text, () => {
        this.requireOpen("state");
        this.#requireOutside("state");
      });
  }
  /** The handler begins, with this transaction. */
  openTransaction(tx: unknown): void {
    // A synchronous transaction sees to it itself: it is over before anything else runs.
    this.#tx = this.#host.spec.store?.mode === "sync" ? tx : guarded(tx, () => this.#requireTransaction());
  }
  /** What the attempt wants done, if anything. Call once, when the handler has returned: its verbs are too late from now on. */
  effects(): Effects | undefined {
    this.#returned = true;
    if (this.#hasDeltas) this.#host.deltas.flush();
    const state = this.#state?.change();
    if (this.#emits === undefined && this.#writes === undefined && state === undefined) return undefined;
    return {
      position: this.#delivery.event.position,
      emits: this.#emits ?? [],
      writes: this.#writes ?? [],
      ...(this.#delayed === undefined ? {} : { delayed: this.#delayed }),
      ...(state === undefined ? {} : { state }),
    };
  }
  /** The attempt is over: the signal aborts with this code, and every verb refuses. Idempotent; the first code stands. */
  end(code: Ended): void {
    if (this.#ended !== undefined) return;
    this.#ended = code;
    if (this.#hasDeltas) this.#host.deltas.flush();
    this.#controller?.abort(reason(code));
  }

  #encode(event: NewEvent, options: EmitOptions, nowMs = this.#host.now()): EncodedEvent {
    const { emits, name } = this.#host.spec;
    if (emits !== undefined && !emits.has(event.type)) {
      throw new FactlogError("EMIT_NOT_DECLARED", `${name} does not declare ${event.type}: add it to \`emits\`.`);
    }
    const trace = this.trace ?? this.#event;
    const given = options.attributes === undefined ? event : withAttributes(event, options.attributes);
    return encodeEvent(given, {
      source: this.#host.source,
      nowMs,
      uuid: () => derivedEventId(this.#who(), event.type, options.name ?? this.#occurrence(event.type)),
      correlationId: this.#event.correlationId,
      causationId: this.#event.id,
      traceparent: trace.traceparent,
      tracestate: trace.tracestate,
    });
  }
  #occurrence(type: string): string {
    this.#occurrences ??= new Map();
    const count = this.#occurrences.get(type) ?? 0;
    this.#occurrences.set(type, count + 1);
    return `#${count}`;
  }
  #who(): DeliveryIdentity {
    this.#identity ??= {
      subscription: this.#host.spec.name,
      source: this.#event.source,
      eventId: this.#event.id,
      timeMs: this.#delivery.event.timeMs,
      scope: this.#delivery.scope,
    };
    return this.#identity;
  }
  /** A step that is remembered is not run again, and what it had queued would be missing. */
  #requireOutside(verb: string): void {
    if (this.#steps?.isInside !== true) return;
    throw new FactlogError(
      "EMIT_IN_STEP",
      `ctx.${verb} belongs to the whole delivery, not to a step: call it after the step, with the step's value.`,
    );
  }
  #requireTransaction(): void {
    if (this.#ended === undefined && !this.#returned) return;
    const why =
      this.#returned || this.#ended === "SETTLED"
        ? "its handler has returned"
        : `the attempt has ended (${this.#ended})`;
    throw new FactlogError("TX_CLOSED", `ctx.tx is closed: ${why}. Await every statement in the handler.`);
  }
  requireOpen(verb: string): void {
    if (this.#ended === undefined && !this.#returned) return;
    const why =
      this.#returned || this.#ended === "SETTLED"
        ? "its handler has returned: await everything in the handler"
        : `the attempt has ended (${this.#ended})`;
    throw new FactlogError("EMIT_TOO_LATE", `ctx.${verb} came too late: ${why}. Nothing was recorded.`);
  }
}

/** `ctx.state`: one JSON value per key. */
export class StateCell {
  readonly #options: NonNullable<SubscriptionSpec["state"]>;
  readonly #key: string;
  readonly #check: () => void;
  readonly #before: string | undefined;
  #after: string | undefined;

  constructor(
    options: NonNullable<SubscriptionSpec["state"]>,
    key: string,
    text: string | undefined,
    check: () => void,
  ) {
    this.#options = options;
    this.#key = key;
    this.#check = check;
    this.#before = text;
    this.#after = text;
  }
  /** A fresh copy each time: changing it changes nothing until `set`. */
  get(): unknown {
    if (this.#after === undefined) return structuredClone(this.#options.initial);
    return validate(this.#options.schema, JSON.parse(this.#after) as unknown, "state").value;
  }
  /** Throws STATE_INVALID where the value is no JSON, too large or refused by the schema. */
  set(next: unknown): void {
    this.#check();
    try {
      const text = JSON.stringify(next) as string | undefined;
      if (text === undefined || Buffer.byteLength(text) > limits.stateBytesMax)
        throw new Error(`it is no JSON value of at most ${limits.stateBytesMax} bytes`);
      validate(this.#options.schema, JSON.parse(text) as unknown, "state");
      this.#after = text;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FactlogError("STATE_INVALID", `the new state cannot be kept: ${why}. Nothing was stored.`, { cause });
    }
  }
  delete(): void {
    this.#check();
    this.#after = undefined;
  }
  change(): { readonly key: string; readonly value: string | undefined } | undefined {
    return this.#after === this.#before ? undefined : { key: this.#key, value: this.#after };
  }
}

/** One reason per code: an abort is no place to collect a stack. */
const reasons = new Map<Ended, FactlogError>();

function reason(code: Ended): FactlogError {
  const known = reasons.get(code);
  if (known !== undefined) return known;
  const messages = {
    SETTLED: "the attempt is over",
    SUSPENDED: "the run is left behind: it starts again when what it waits for has come",
    HANDLER_TIMEOUT: "the handler ran past its timeout",
    LEASE_LOST: "another worker holds this delivery now; this result is discarded",
    SHUTDOWN: "the worker is shutting down; the delivery runs again elsewhere, uncharged",
  };
  const made = new FactlogError(code, messages[code]);
  reasons.set(code, made);
  return made;
}

function withAttributes(event: NewEvent, attributes: NewEvent["attributes"]): NewEvent {
  return Object.create(event, {
    attributes: { value: { ...event.attributes, ...attributes }, enumerable: true },
  }) as NewEvent;
}

function withFields(logger: Logger, fields: object): Logger {
  return {
    debug: (message, more) => logger.debug(message, { ...fields, ...more }),
    info: (message, more) => logger.info(message, { ...fields, ...more }),
    warn: (message, more) => logger.warn(message, { ...fields, ...more }),
    error: (message, more) => logger.error(message, { ...fields, ...more }),
  };
}
