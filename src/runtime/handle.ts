import type { AsyncResource } from "node:async_hooks";
import type { TransactionSource } from "../app/store.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import { verdictOf } from "../app/verdicts.ts";
import type { Outcome } from "../delivery/outcome.ts";
import type { Effects } from "../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../engine/transact.ts";
import { FactlogError, hasCode } from "../errors.ts";
import { isIntact } from "../event/codec.ts";
import { decodeEvent } from "../event/decode.ts";
import type { EventDefinition, RecordedEvent } from "../event/define.ts";
import { handleBeginning } from "../observe/channels.ts";
import { type ContextHost, DeliveryContext } from "./context.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { handling } from "./handling.ts";
import type { Delivery } from "./slot-work.ts";
import { handleTold } from "./tell.ts";

/** One run of the handler. */
export class Attempt {
  readonly delivery: Delivery;
  readonly startedMs: number;
  /** Among those that run; -1: it runs no more. */
  place = -1;
  context: DeliveryContext | undefined;
  /** User code ran past its timeout: whatever it returns is a failure. */
  timedOut = false;
  /** Its outcome was told; what still comes from the handler is ignored. */
  told = false;
  /** Its transaction is being committed: no timeout ends it any more. */
  settling = false;
  /** The batch that it is part of: how many of its attempts have not ended. */
  party: { left: number } | undefined;
  /** It was told as failed although user code has not returned. */
  givenUp = false;

  constructor(delivery: Delivery, startedMs: number) {
    this.delivery = delivery;
    this.startedMs = startedMs;
  }
}

export interface HandlerDesk {
  readonly spec: SubscriptionSpec;
  readonly definitions: ReadonlyMap<string, EventDefinition>;
  readonly epoch: string;
  readonly host: ContextHost;
  /** The surroundings in which handlers run. */
  readonly scope: AsyncResource;
  loadState(key: string): Promise<string | undefined>;
  /** Called once per attempt, when user code has returned (or never ran). */
  finished(attempt: Attempt, outcome: Outcome, effects: Effects | undefined): void;
  transact(request: Transact): Promise<Transacted>;
  /** In place of `finished`: another holds the delivery now. */
  lost(attempt: Attempt): void;
  /** In place of `finished`: the store cannot say whether it stands. */
  fail(attempt: Attempt, error: unknown): void;
}

/** Decode, filter, load state, call the handler, tell the outcome. Never throws. */
export function handle(desk: HandlerDesk, attempt: Attempt): void {
  const event = readable(desk, attempt);
  if (event === undefined) return;
  if (desk.spec.filter !== undefined && !wanted(desk, attempt, event)) return;
  begin(desk, attempt, event, 1);
}

/** `run`: from 1, over runs whose transactions stood in others' way; each has a context of its own. */
function begin(desk: HandlerDesk, attempt: Attempt, event: RecordedEvent, run: number): void {
  const context = new DeliveryContext(desk.host, attempt.delivery, event);
  attempt.context = context;
  const { store, state, order } = desk.spec;
  const go = (): void => {
    if (store === undefined) return call(desk, attempt, event, context);
    const given = { attempt, event, context, store, run };
    void transact(desk, given, store.mode === "sync" ? synchronously(desk, given) : waiting(desk, given));
  };
  if (state === undefined) return go();
  const key = order === "log" ? "" : attempt.delivery.event.key;
  if (key === undefined)
    return desk.finished(attempt, { kind: "non-retryable", error: stateless(desk, event) }, undefined);
  desk.loadState(key).then(
    (text) => {
      // Lost or given up while the state was on its way: the handler is not called for nothing.
      if (context.isOver)
        return desk.finished(attempt, thrown(attempt, context.signal.reason, desk.host.now()), undefined);
      context.loadState(key, text);
      go();
    },
    (error: unknown) => desk.finished(attempt, { kind: "failed", class: "error", error }, undefined),
  );
}

function stateless(desk: HandlerDesk, event: RecordedEvent): FactlogError {
  return new FactlogError(
    "STATE_INVALID",
    `${desk.spec.name} keeps a state per key, and ${event.type} ${event.id} has no key: give the event a key.`,
  );
}

function readable(desk: HandlerDesk, attempt: Attempt): RecordedEvent | undefined {
  const answer = read(desk, attempt.delivery.event);
  if ("event" in answer) return answer.event;
  desk.finished(attempt, answer.outcome, undefined);
  return undefined;
}

/** The event, or how a delivery of one that cannot be read ends. */
export function read(
  desk: HandlerDesk,
  stored: StoredEvent,
): { readonly event: RecordedEvent } | { readonly outcome: Outcome } {
  try {
    const definition = desk.definitions.get(stored.type);
    if (definition === undefined) throw unread(desk, stored);
    return { event: decodeEvent(stored, definition, desk.epoch) };
  } catch (error) {
    return { outcome: { kind: hasCode(error, "AWAIT_DEPLOY") ? "await-deploy" : "poison", error } };
  }
}

/** A row of a type that another version of this subscription reads, or of an event that retention took. */
function unread({ spec }: HandlerDesk, stored: StoredEvent): FactlogError {
  if (!isIntact(stored)) return new FactlogError("POISON", `${spec.name} got an event that cannot be read any more.`);
  return new FactlogError(
    "AWAIT_DEPLOY",
    `${spec.name} owes something to ${stored.type} ${stored.id}, which this version of it does not read: deploy one that has ${stored.type} in \`on\`.`,
  );
}

function wanted(desk: HandlerDesk, attempt: Attempt, event: RecordedEvent): boolean {
  const outcome = isWanted(desk, event);
  if (outcome !== undefined) desk.finished(attempt, outcome, undefined);
  return outcome === undefined;
}

/** How a delivery ends whose event the filter does not let through; undefined where it does. */
export function isWanted({ spec }: HandlerDesk, event: RecordedEvent): Outcome | undefined {
  try {
    return spec.filter?.(event) === false ? { kind: "skipped" } : undefined;
  } catch (error) {
    return { kind: "failed", class: "error", error };
  }
}

function call(desk: HandlerDesk, attempt: Attempt, event: RecordedEvent, context: DeliveryContext): void {
  let result: unknown;
  try {
    result = desk.scope.runInAsyncScope(enter, undefined, desk, event, context, attempt);
  } catch (error) {
    return desk.finished(attempt, thrown(attempt, error, desk.host.now()), undefined);
  }
  if (!isThenable(result)) return returned(desk, attempt, context);
  result.then(
    () => returned(desk, attempt, context),
    (error: unknown) => desk.finished(attempt, thrown(attempt, error, desk.host.now()), undefined),
  );
}

/** Inside the scope, which is left as it was: half of what `handling.run` costs, and it is paid for every event. */
function enter(desk: HandlerDesk, event: RecordedEvent, context: DeliveryContext, attempt: Attempt): unknown {
  handling.enterWith(event);
  if (!handleBeginning.hasSubscribers) return desk.spec.handler(event, context);
  const { delivery } = attempt;
  const facts = { delivery, subscription: desk.spec.name, event, attempt: context.attempt };
  return handleTold(facts, ({ traceparent, tracestate }) => {
    if (traceparent !== undefined) context.trace = { traceparent, tracestate };
    return desk.spec.handler(event, context);
  });
}

interface TransactionRun {
  readonly attempt: Attempt;
  readonly event: RecordedEvent;
  readonly context: DeliveryContext;
  readonly store: TransactionSource;
  readonly run: number;
}

/** Calls the handler in a transaction. */
interface TransactedCall {
  readonly run: Transact["run"];
  /** Resolves when user code has returned. */
  readonly returned: () => Promise<unknown>;
}

/** Within a transaction that may be held over an await. */
function waiting(desk: HandlerDesk, { attempt, event, context }: TransactionRun): TransactedCall {
  const { signal } = context;
  let ran: Promise<unknown> | undefined;
  const run = async (tx: unknown): Promise<readonly OwnSettle[]> => {
    signal.throwIfAborted();
    context.openTransaction(tx);
    ran = desk.scope.runInAsyncScope(async () => enter(desk, event, context, attempt));
    await Promise.race([ran, aborted(signal)]);
    if (attempt.timedOut) throw timeoutError(desk.spec);
    attempt.settling = true;
    return [ownSettle(attempt.delivery, context.effects())];
  };
  return { run, returned: async () => ran?.catch(() => undefined) };
}

/** Within one that ends when the handler returns; after a transaction that came to nothing, with a context of its own. */
function synchronously(desk: HandlerDesk, { attempt, event, context }: TransactionRun): TransactedCall {
  let current = context;
  let ran = false;
  const run = (tx: unknown): readonly OwnSettle[] => {
    if (current.isOver) throw current.signal.reason as Error;
    if (ran) {
      const next = current.again();
      current.end("SETTLED");
      attempt.context = current = next;
    }
    ran = true;
    current.openTransaction(tx);
    const result = desk.scope.runInAsyncScope(enter, undefined, desk, event, current, attempt);
    if (isThenable(result)) throw asynchronous(desk.spec, result);
    return [ownSettle(attempt.delivery, current.effects())];
  };
  return { run, returned: async () => undefined };
}

export function asynchronous(spec: SubscriptionSpec, result: PromiseLike<unknown>): FactlogError {
  // What it does after this is nobody's: its transaction is closed, and its end of no account.
  result.then(undefined, () => undefined);
  return new FactlogError(
    "HANDLER_ASYNC",
    `the handler of ${spec.name} returned a promise, but ${spec.store?.name}'s transaction ends with the handler: make it synchronous, or leave \`store\` out and use ctx.write.`,
  );
}

/** The same within a transaction that the settle of the delivery ends. Never rejects. */
async function transact(
  desk: HandlerDesk,
  { attempt, event, context, store, run }: TransactionRun,
  call: TransactedCall,
): Promise<void> {
  let answer: Transacted;
  try {
    answer = await desk.transact({ source: store, run: call.run });
  } catch (error) {
    return desk.fail(attempt, error);
  } finally {
    attempt.settling = false;
  }
  // What was aborted is rolled back; its key stays busy until user code has returned, as ever.
  await call.returned();
  if (!("error" in answer))
    return answer.status === "lost" ? desk.lost(attempt) : desk.finished(attempt, done, undefined);
  if (answer.status === "again" && run < limits.transactionRunsMax && !context.isOver) {
    context.end("SETTLED");
    return begin(desk, attempt, event, run + 1);
  }
  desk.finished(attempt, unfinished(attempt, answer, desk.host.now()), undefined);
}

function unfinished(attempt: Attempt, answer: Extract<Transacted, { error: unknown }>, nowMs: number): Outcome {
  if (answer.status !== "not begun" || attempt.timedOut) return thrown(attempt, answer.error, nowMs);
  return deferred(answer.error);
}

/** The store was in the way: tried again soon, uncharged. */
export const deferred = (error: unknown): Outcome => ({ kind: "deferred", error, waitMs: limits.transactionDeferMs });

export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** As the delivery stands when its handler has returned: it may have got its row meanwhile. */
export function ownSettle({ slot, event, row }: Delivery, effects: Effects | undefined): OwnSettle {
  return {
    lease: slot.lease,
    position: event.position,
    ...(row === undefined ? {} : { rowToken: row.token }),
    ...(effects === undefined ? {} : { effects }),
  };
}

export const done: Outcome = { kind: "done" };

function returned(desk: HandlerDesk, attempt: Attempt, context: DeliveryContext): void {
  if (attempt.timedOut) return desk.finished(attempt, timeout(desk.spec), undefined);
  if (!context.hasWaits) return desk.finished(attempt, done, context.effects());
  context.dropWaits().then(
    () => desk.finished(attempt, done, context.effects()),
    (error: unknown) => desk.finished(attempt, thrown(attempt, error, desk.host.now()), undefined),
  );
}

export function thrown(attempt: Attempt, error: unknown, nowMs: number): Outcome {
  if (attempt.timedOut) return { kind: "failed", class: "timeout", error };
  const verdict = verdictOf(error);
  if (verdict === undefined) return { kind: "failed", class: "error", error };
  if (verdict.kind === "non-retryable") return { kind: "non-retryable", error };
  if (verdict.kind === "unavailable") return { kind: "unavailable", error, waitMs: 0 };
  return { kind: verdict.kind === "defer" ? "deferred" : "retry-after", error, waitMs: verdict.waitMs(nowMs) };
}

export function timeout(spec: SubscriptionSpec): Outcome {
  return { kind: "failed", class: "timeout", error: timeoutError(spec) };
}

function timeoutError(spec: SubscriptionSpec): FactlogError {
  return new FactlogError(
    "HANDLER_TIMEOUT",
    `the handler of ${spec.name} ran past its timeout of ${spec.timeoutMs} ms: raise \`timeout\`, or heed ctx.signal.`,
  );
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
