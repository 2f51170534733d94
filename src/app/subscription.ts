import type { StandardSchemaV1 } from "@standard-schema/spec";
import { isAsyncFunction, isDate } from "node:util/types";
import { type ResolvedRetryPolicy, resolveRetryPolicy, type RetryPolicy } from "../delivery/retry-policy.ts";
import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import {
  type AnyEventType,
  definitionOf,
  type EventDefinition,
  type EventOf,
  isEventType,
  type RecordedEvent,
} from "../event/define.ts";
import { checkName } from "../event/envelope.ts";
import { isPosition, type Position } from "../event/position.ts";
import { type AnySchema, isSchema } from "../event/schema.ts";
import { validate } from "../event/validate.ts";
import { limits } from "../limits.ts";
import type { BatchVerbs, ContextOn, HandlerContext, StateContext, TransactionContext } from "./context.ts";
import { type Limits, resolveLimits, type ResolvedLimits, takesTurns } from "./limited.ts";
import type { Statement } from "./sql.ts";
import { type AnyStore, type HandlerResult, sourceOf, type TransactionSource, type TxOf } from "./store.ts";

export type Awaitable<T> = T | PromiseLike<T>;

/** Where a new subscription starts. */
export type From = "beginning" | "now" | Date | Position;

export interface SubscriptionOptions<On extends AnyEventType, Emits extends AnyEventType> {
  readonly on: On | readonly On[];
  /**
   * The facts this handler may state. Given: `emit` and `announce` take nothing else, and the flow is known before the
   * first event. Not given: any event is accepted.
   */
  readonly emits?: readonly Emits[];
  /** Cheap pre-filter; events for which it gives false count as skipped. */
  readonly filter?: (event: EventOf<On>) => boolean;
  /**
   * Where a NEW subscription starts. On an empty log it does not matter; on a log with matching history it must be said:
   * FROM_REQUIRED names the number of events and the choices.
   */
  readonly from?: From;
  /**
   * "key" (default): events of one key one after the other; an event without a key waits for nothing. "none": no order.
   * "log": one after the other over the whole log.
   */
  readonly order?: "key" | "none" | "log";
  /**
   * What a dead letter does. "hold-key": later events of its key wait until it is redriven or discarded (default, but for
   * order "none"); "skip-event": they go on (default for order "none"); "stop": the subscription stops.
   */
  readonly onExhausted?: "hold-key" | "skip-event" | "stop";
  /**
   * While a delivery sleeps or waits: later events of its key wait too ("hold-key", default), or run ("release-key"). On
   * waking it takes its turn: never do two handlers of one key run at once.
   */
  readonly onWait?: "hold-key" | "release-key";
  readonly retry?: RetryPolicy;
  /** Bound of one run of the handler. Default 5m. */
  readonly timeout?: Duration;
  /** Deliveries in flight in one worker process, 1 to 10,000. Default 16. */
  readonly concurrency?: number;
  /** Over all processes: see `Limits`. */
  readonly limits?: Limits;
  /**
   * Where what it depends on seems to be down (10 failures in a row over different keys and all processes, 3 of a connection, or
   * one `Unavailable`), it is degraded: one probe at a time, and no attempt charged, until one succeeds. Default true.
   */
  readonly outage?: boolean;
  /** For people. */
  readonly description?: string;
}

/** Of `state`: the schema takes the JSON form of a value and gives the value; `initial` is what a key without one has. */
export interface StateOptions<V> {
  // oxlint-disable-next-line typescript/no-explicit-any -- the input side is the JSON form, whatever it is
  readonly schema: StandardSchemaV1<any, V>;
  readonly initial: V;
}

/** Opaque: a subscription's handler is not part of its type, so an array of different ones needs no casts. */
export interface Subscription<Name extends string = string> {
  readonly name: Name;
  readonly kind: "handler" | "projection";
}

/** What a subscription says, resolved. Internal: reached through `specOf`. */
export interface SubscriptionSpec {
  readonly name: string;
  readonly kind: "handler" | "projection";
  /** At least one, no type twice. */
  readonly on: readonly EventDefinition[];
  /** Types it may emit; undefined: any. */
  readonly emits: ReadonlySet<string> | undefined;
  readonly emitted: readonly EventDefinition[];
  readonly filter: ((event: RecordedEvent) => boolean) | undefined;
  readonly from: From | undefined;
  readonly order: "key" | "none" | "log";
  readonly onExhausted: "hold-key" | "skip-event" | "stop";
  readonly onWait: "hold-key" | "release-key";
  readonly retry: ResolvedRetryPolicy;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly outage: boolean;
  readonly limits: ResolvedLimits | undefined;
  /** Groups take turns. */
  readonly takesTurns: boolean;
  readonly description: string | undefined;
  readonly state: { readonly schema: AnySchema; readonly initial: unknown } | undefined;
  /** Where its handler gets its transactions. */
  readonly store: TransactionSource | undefined;
  /** Of `defineBatchSubscription`: its handler gets a list of events, and a context of its own kind. */
  readonly batch: { readonly max: number; readonly lingerMs: number } | undefined;
  readonly handler: (event: RecordedEvent, context: HandlerContext) => unknown;
  /** Of a projection. */
  readonly projection?: ProjectionSpec;
}

/** What a projection says beside: its tables, and how one generation of them is made and filled. */
export interface ProjectionSpec {
  readonly version: number;
  /** At least one, none twice. */
  readonly tables: readonly string[];
  /** `names`: what each table is called in this generation. */
  readonly create: (names: ReadonlyMap<string, string>) => readonly Statement[];
  readonly handlerOn: (names: ReadonlyMap<string, string>) => SubscriptionSpec["handler"];
}

/** Registered, so that a subscription of another copy of the package is understood. */
const specKey: unique symbol = Symbol.for("factlog.subscription");

/**
 * A durable named reader. Delivery is at least once; effects are exactly once through `emit`, `write`, `state` and
 * receivers that honour `idempotencyKey`; with `store` also through `ctx.tx`. A pure value: defining opens nothing. Throws INVALID_DEFINITION naming the
 * option, INVALID_ATTRIBUTE on a bad name.
 */
export function defineSubscription<
  const Name extends string,
  On extends AnyEventType,
  Emits extends AnyEventType = AnyEventType,
  St extends AnyStore = never,
  V = never,
>(
  name: Name,
  options: SubscriptionOptions<On, Emits> & { readonly store?: St; readonly state?: StateOptions<V> },
  handler: (
    event: EventOf<On>,
    ctx: ContextOn<St, Emits> & ([V] extends [never] ? unknown : StateContext<V>),
  ) => HandlerResult<St>,
): Subscription<Name> {
  const spec = resolve(name, options as unknown as AnyOptions, handler as unknown as SubscriptionSpec["handler"]);
  return subscriptionOf(name, "handler", spec);
}

/** The value that users hold for a spec. */
export function subscriptionOf<Name extends string, Kind extends Subscription["kind"]>(
  name: Name,
  kind: Kind,
  spec: SubscriptionSpec,
): { readonly name: Name; readonly kind: Kind } {
  return Object.freeze(Object.defineProperty({ name, kind }, specKey, { value: spec }));
}

export interface BatchOptions {
  /** Events that one call of the handler gets at most, 1 to 1,000. */
  readonly max: number;
  /** How long the first event waits for others, at most 1m. Default 0: the handler gets what is there. */
  readonly linger?: Duration;
}

/**
 * A durable named reader whose handler gets up to `batch.max` events in one call, of different and of equal keys, in the
 * log's order. `ctx.fail(event, error)` fails one of them, a throw fails all. What it queues, and with `store` what it
 * writes, commits with the settle of the whole batch: where an event fails, that is taken back, and the handler gets the
 * others again. `concurrency` counts batches (default 1). An event that is tried again comes alone.
 */
export function defineBatchSubscription<
  const Name extends string,
  On extends AnyEventType,
  Emits extends AnyEventType = AnyEventType,
  St extends AnyStore = never,
>(
  name: Name,
  options: Omit<SubscriptionOptions<On, Emits>, "onWait" | "limits"> & {
    readonly batch: BatchOptions;
    readonly store?: St;
  },
  handler: (
    events: readonly EventOf<On>[],
    ctx: BatchVerbs<Emits, On> & ([St] extends [never] ? unknown : TransactionContext<TxOf<St>>),
  ) => HandlerResult<St>,
): Subscription<Name> {
  const spec = resolve(name, options as unknown as AnyOptions, handler as unknown as SubscriptionSpec["handler"], true);
  return subscriptionOf(name, "handler", spec);
}

/** Throws INVALID_DEFINITION where `subscription` was not made by `defineSubscription` or its like. */
export function specOf(subscription: Subscription): SubscriptionSpec {
  const spec = (subscription as Partial<{ readonly [specKey]: SubscriptionSpec }> | null | undefined)?.[specKey];
  if (spec !== undefined) return spec;
  throw new FactlogError("INVALID_DEFINITION", "this is no subscription: give what defineSubscription returned.");
}

export type AnyOptions = SubscriptionOptions<AnyEventType, AnyEventType> & {
  readonly state?: StateOptions<unknown>;
  readonly store?: AnyStore;
  readonly batch?: BatchOptions;
};

const choices = {
  order: ["key", "none", "log"],
  onExhausted: ["hold-key", "skip-event", "stop"],
  onWait: ["hold-key", "release-key"],
} as const;

const optionNames = new Set(
  "on emits filter from order onExhausted onWait retry timeout concurrency limits outage description state store".split(
    " ",
  ),
);
const batchOptionNames = new Set([...optionNames, "batch"]);
for (const name of ["onWait", "state", "limits"]) batchOptionNames.delete(name);

export function resolve(
  name: string,
  options: AnyOptions,
  handler: SubscriptionSpec["handler"],
  inBatches = false,
): SubscriptionSpec {
  checkName("subscription name", name);
  if (typeof options !== "object" || options === null) throw refusal(name, "options", options, "give at least { on }");
  const names = inBatches ? batchOptionNames : optionNames;
  for (const option of Object.keys(options)) {
    if (names.has(option)) continue;
    throw new FactlogError(
      "INVALID_DEFINITION",
      `${name}: ${option} is no option; choose among ${[...names].join(", ")}.`,
      { details: { subscription: name, option } },
    );
  }
  if (typeof handler !== "function") throw refusal(name, "handler", handler, "give a function of (event, ctx)");
  const order = choiceOf(name, options, "order") ?? "key";
  const store = options.store === undefined ? undefined : asDefinition(name, "store", () => sourceOf(options.store));
  if (store?.mode === "sync") requireSynchronous(name, store, handler);
  const on = eventsOf(name, "on", options.on);
  const given = resolveLimits(name, options.limits, order);
  const emitted = options.emits === undefined ? undefined : eventsOf(name, "emits", options.emits);
  return Object.freeze({
    name,
    kind: "handler",
    on,
    emits: emitted === undefined ? undefined : new Set(emitted.map((definition) => definition.type)),
    emitted: emitted ?? [],
    filter: functionOf(name, "filter", options.filter) as SubscriptionSpec["filter"],
    from: fromOf(name, options.from),
    order,
    onExhausted: onExhaustedOf(name, options, order),
    onWait: choiceOf(name, options, "onWait") ?? "hold-key",
    retry: asDefinition(name, "retry", () => resolveRetryPolicy(options.retry)),
    timeoutMs: timeoutOf(name, options.timeout),
    concurrency: concurrencyOf(name, options.concurrency ?? (inBatches ? 1 : undefined)),
    outage: outageOf(name, options.outage),
    limits: given,
    takesTurns: takesTurns({ on, limits: given, order, inBatches }),
    description: options.description,
    state: stateOf(name, options.state, order),
    store,
    batch: inBatches ? batchOf(name, options.batch) : undefined,
    handler,
  });
}

function outageOf(name: string, outage: unknown = true): boolean {
  if (typeof outage === "boolean") return outage;
  throw refusal(name, "outage", outage, "give true or false");
}

/** A function that is not declared async may return a promise as well: that is seen when it does (HANDLER_ASYNC). */
function requireSynchronous(name: string, store: TransactionSource, handler: unknown): void {
  if (!isAsyncFunction(handler)) return;
  throw refusal(
    name,
    "handler",
    handler,
    `it is async, and the transaction of ${store.name} ends when it returns; make it synchronous, or leave \`store\` out and use ctx.write`,
  );
}

export function refusal(name: string, option: string, value: unknown, advice: string): FactlogError {
  return new FactlogError("INVALID_DEFINITION", `${name}: ${option} is ${shown(value)}: ${advice}.`, {
    details: { subscription: name, option, value },
  });
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return typeof value === "object" && value !== null
    ? "an object"
    : typeof value === "function"
      ? "a function"
      : String(value);
}

function eventsOf(name: string, option: "on" | "emits", given: unknown): readonly EventDefinition[] {
  const entries: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (option === "on" && entries.length === 0) throw refusal(name, option, given, "name at least one event type");
  const byType = new Map<string, EventDefinition>();
  for (const entry of entries) {
    if (!isEventType(entry)) throw refusal(name, option, entry, "give event types made by defineEvent");
    const definition = definitionOf(entry);
    const known = byType.get(definition.type);
    if (known !== undefined && known !== definition) {
      throw refusal(name, option, definition.type, "it is defined twice, differently: keep one definition");
    }
    byType.set(definition.type, definition);
  }
  return Object.freeze([...byType.values()]);
}

function choiceOf<K extends keyof typeof choices>(name: string, options: AnyOptions, option: K): AnyOptions[K] {
  const value = options[option];
  const known: readonly unknown[] = choices[option];
  if (value === undefined || known.includes(value)) return value;
  throw refusal(
    name,
    option,
    value,
    `choose among ${choices[option].map((choice) => JSON.stringify(choice)).join(", ")}`,
  );
}

function onExhaustedOf(
  name: string,
  options: AnyOptions,
  order: SubscriptionSpec["order"],
): SubscriptionSpec["onExhausted"] {
  const given = choiceOf(name, options, "onExhausted");
  if (given === "hold-key" && order === "none") {
    throw refusal(name, "onExhausted", given, 'order "none" holds no keys, so choose "skip-event" or "stop"');
  }
  return given ?? (order === "none" ? "skip-event" : "hold-key");
}

function functionOf(name: string, option: string, value: unknown): unknown {
  if (value === undefined || typeof value === "function") return value;
  throw refusal(name, option, value, "give a function");
}

function fromOf(name: string, from: From | undefined): From | undefined {
  if (from === undefined || from === "beginning" || from === "now" || isPosition(from)) return from;
  if (isDate(from) && !Number.isNaN(from.getTime())) return new Date(from);
  throw refusal(name, "from", from, 'give "beginning", "now", a valid Date or a position');
}

function timeoutOf(name: string, timeout: Duration | undefined): number {
  if (timeout === undefined) return limits.handlerTimeoutMs;
  const ms = asDefinition(name, "timeout", () => durationMs(timeout, "timeout"));
  if (ms <= 0) throw refusal(name, "timeout", timeout, "give more than 0");
  return ms;
}

function concurrencyOf(name: string, concurrency: number = limits.concurrency): number {
  if (Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= limits.concurrencyMax) return concurrency;
  throw refusal(name, "concurrency", concurrency, `give a whole number of 1 to ${limits.concurrencyMax}`);
}

function batchOf(name: string, batch: BatchOptions | undefined): NonNullable<SubscriptionSpec["batch"]> {
  const { max, linger = 0 } = (batch ?? {}) as Partial<BatchOptions>;
  if (!(typeof max === "number" && Number.isInteger(max) && max >= 1 && max <= limits.batchMax))
    throw refusal(name, "batch.max", max, `give a whole number of 1 to ${limits.batchMax}`);
  const lingerMs = asDefinition(name, "batch.linger", () => durationMs(linger, "batch.linger"));
  if (lingerMs < 0 || lingerMs > limits.lingerMaxMs)
    throw refusal(name, "batch.linger", linger, `give 0 to ${limits.lingerMaxMs} ms`);
  return Object.freeze({ max, lingerMs });
}

/** Passes on what `read` gives; its refusals become INVALID_DEFINITION of this option. */
function asDefinition<T>(name: string, option: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof FactlogError)) throw cause;
    throw new FactlogError("INVALID_DEFINITION", `${name}: ${cause.message}`, {
      cause,
      details: { subscription: name, option },
    });
  }
}

function stateOf(
  name: string,
  state: StateOptions<unknown> | undefined,
  order: SubscriptionSpec["order"],
): SubscriptionSpec["state"] {
  if (state === undefined) return undefined;
  if (order === "none")
    throw refusal(
      name,
      "state",
      state,
      'it needs an order: choose order "key" (one state per key) or "log" (one in all)',
    );
  if (!isSchema(state.schema)) throw refusal(name, "state.schema", state.schema, "give a Standard Schema");
  const text = JSON.stringify(state.initial) as string | undefined;
  if (text === undefined) throw refusal(name, "state.initial", state.initial, "give a JSON value");
  asDefinition(name, "state.initial", () => validate(state.schema, JSON.parse(text), "state.initial"));
  return Object.freeze({ schema: state.schema, initial: state.initial });
}
