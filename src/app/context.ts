import type { Duration } from "../duration.ts";
import type { AnyEventType, EventAttributes, EventOf, NewEventOf } from "../event/define.ts";
import type { Position } from "../event/position.ts";
import type { Statement } from "./sql.ts";
import type { StepVerbs } from "./steps.ts";
import type { Store, TxOf } from "./store.ts";

export interface Logger {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

export interface EmitOptions {
  /** Distinguishes several events of one type from one delivery; default: the occurrence. Part of the event's id. */
  readonly name?: string;
  /** `emit` only: the fact is stated this long after the delivery is done. `log.cancel` withdraws it before. At most 10 years. */
  readonly after?: Duration;
  /** `emit` only: the fact is stated at this time. */
  readonly at?: Date;
  /** Laid over the event's own. */
  readonly attributes?: EventAttributes;
}

/** What publishing answers. */
export interface Receipt {
  readonly id: string;
  readonly correlationId: string;
  /** The same (source, id) was there before; `position` is the first one's. */
  readonly duplicate: boolean;
  /** Absent where the event waits, for its time or in an outbox: its place is given when it is appended. */
  readonly position?: Position;
}

/** What every handler may do, whatever its engine. All verbs throw EMIT_TOO_LATE after the attempt has ended. */
export interface HandlerContext<Emits extends AnyEventType = AnyEventType> extends StepVerbs {
  /** 1 for the first run. Counts failures + 1; not crashes, shutdowns or deferrals. */
  readonly attempt: number;
  readonly mode: "live" | "backfill" | "replay" | "redrive";
  /**
   * Aborted on lost lease, timeout and shutdown, and after every end of the attempt; `signal.reason.code` says which:
   * LEASE_LOST, HANDLER_TIMEOUT, SHUTDOWN, SUSPENDED, SETTLED. Give it to fetch.
   */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Give it to a receiver that knows idempotency keys. Stable over attempts and redrives of this delivery. */
  idempotencyKey(name: string): string;
  /**
   * Queues a fact: it is appended when, and only when, this delivery is done. Checked at once: throws as `publish` does,
   * and EMIT_NOT_DECLARED where `emits` does not name the type.
   */
  emit(event: NewEventOf<Emits>, options?: EmitOptions): void;
  /**
   * Queues a row change in the ledger's database, committed when, and only when, this delivery is done. NOT_SUPPORTED with
   * `store`: use `ctx.tx`.
   */
  write(statement: Statement): void;
  /**
   * Appends now: a progress fact that stays even if this attempt fails. On a second run of the same delivery the FIRST
   * content stands; a different second one is dropped and counted, never an error.
   */
  announce(event: NewEventOf<Emits>, options?: Omit<EmitOptions, "after" | "at">): Promise<Receipt>;
  /**
   * Shows text to whoever follows the correlation now. Gathered for 100 ms, bounded, kept nowhere, and lost where nobody
   * listens: what has to arrive is an event.
   */
  delta(text: string): void;
}

/** What can be done without waiting: what a handler on a synchronous store may do. */
export type SyncHandlerContext<Emits extends AnyEventType = AnyEventType> = Omit<
  HandlerContext<Emits>,
  keyof StepVerbs | "announce"
>;
/** What a handler of batches may do. What it queues belongs to the whole batch. */
export interface BatchVerbs<
  Emits extends AnyEventType = AnyEventType,
  On extends AnyEventType = AnyEventType,
> extends Pick<HandlerContext<Emits>, "mode" | "signal" | "logger" | "emit" | "write"> {
  /**
   * This event has failed: it is tried again, or becomes a dead letter, alone, by the retry policy. Later events of its key
   * in this batch are handled again after it.
   */
  fail(event: EventOf<On>, error: unknown): void;
}
/** The context that goes with a store. */
export type ContextOn<St, Emits extends AnyEventType> = [St] extends [never]
  ? HandlerContext<Emits>
  : // oxlint-disable-next-line typescript/no-explicit-any -- a store of any transaction
    ([St] extends [Store<any, "sync">] ? SyncHandlerContext<Emits> : HandlerContext<Emits>) &
      TransactionContext<TxOf<St>>;

/** Added by `store`. `tx` throws TX_CLOSED once the handler has ended, and wherever the transaction is over. */
export interface TransactionContext<Tx> {
  /** Its writes commit when, and only when, this delivery is done: in one commit with the settle. */
  readonly tx: Tx;
}

/** Added by `state`: one value per key, read before the handler, written when the delivery is done. At most 64 KiB. */
export interface StateContext<V> {
  readonly state: {
    /** The value as last set, or `initial`. A copy: changing it changes nothing until `set`. */
    get(): V;
    /** Throws STATE_INVALID where the value is no JSON, too large or refused by the schema. */
    set(next: V): void;
    /** Back to `initial`. */
    delete(): void;
  };
}
