import type { EncodedEvent, PositionNumber, Slot, StoredEvent } from "../event/stored-event.ts";
import type { LogCapabilities } from "./capabilities.ts";

/**
 * The first port: an append-only log of events in slots. All methods may be called concurrently, and after `close` they
 * reject with CLOSED (but `wake`). A rejection with a definite code stored nothing; OUTCOME_UNKNOWN may have stored all
 * or nothing.
 */
export interface EventLog {
  readonly capabilities: LogCapabilities;
  /** Name of this log's life: changes with a restore or failover. Part of every position outside the process. */
  readonly epoch: string;

  /**
   * Appends all or none, in order; durable when it resolves. A known (source, id) with the same content (see
   * `sameContent`) answers its first place and `duplicate: true`; with other content the call rejects with ID_CONFLICT
   * (details: index, id). May be called again after OUTCOME_UNKNOWN. Concurrent calls may share one commit.
   * An event's slot is the engine's choice, a function of the key (of the id where there is no key).
   */
  append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]>;

  /**
   * Events of the named slots, each slot after its own position, ascending within a slot (over all slots where
   * `totalOrder`); at most `limit` events. `scannedTo` says for each named slot how far this call has looked: no
   * matching event at or below it was left out, and none will ever newly appear at or below it. `atHead`: nothing
   * further was there. An engine may stop early after looking at `scanMax` positions.
   */
  read(request: ReadRequest): Promise<ReadPage>;

  /** Point reads, in the order asked; undefined where retention took the event. May be slow. */
  fetch(refs: readonly EventRef[]): Promise<readonly (StoredEvent | undefined)[]>;

  /** Places of the events of this id, one for each source that has it. Absent: the log cannot tell. */
  locate?(id: string): Promise<readonly EventRef[]>;

  /**
   * Resolves when something may have been appended (by anyone) since the last call resolved, or after `maxMs` in any
   * case: a hint, not the truth. Resolves at once when the signal aborts; never rejects. `close` ends the waiting calls;
   * after it the call resolves at once.
   */
  wake(maxMs: number, signal: AbortSignal): Promise<void>;

  /** Head of every slot and the events ever appended of each named type (of all types when none is named), one snapshot. */
  count(types?: readonly string[]): Promise<HeadCount>;

  /**
   * With the capability `outbox`, and only then. Moves events that committed transactions of the user have left in the
   * store into the log, in the order in which they were inserted, some at a time; wakes who waits for them. What is moved
   * leaves the outbox in the same commit. A known identity with the same content is dropped; one with other content
   * stays there as refused and holds up nothing. May be called again whatever became of it, and by every process: while
   * one is at it, the others are answered `carried: 0`.
   */
  relay?(): Promise<Relayed>;

  /** With the capability `outbox`, and only then: what waits for `relay`. */
  outbox?(): Promise<OutboxState>;

  /** Waits for calls in flight, then releases everything. Idempotent. */
  close(): Promise<void>;
}

export interface Appended {
  readonly slot: Slot;
  readonly position: PositionNumber;
  readonly duplicate: boolean;
}
export interface Relayed {
  /** Events that have left the outbox. */
  readonly carried: number;
  /** Others still wait. */
  readonly more: boolean;
}
export interface OutboxState {
  /** Events that wait, counted up to `limits.outboxCountedMax`. */
  readonly depth: number;
  /** For how long the oldest of them has been there, by the store's clock; 0 where none waits. */
  readonly oldestMs: number;
  /** Events that cannot be appended, counted likewise. */
  readonly refused: number;
}
export interface EventRef {
  readonly slot: Slot;
  readonly position: PositionNumber;
}
export interface ReadRequest {
  /** Slots that are not named are not read. */
  readonly after: ReadonlyMap<Slot, PositionNumber>;
  /** Only these types; all when absent. Others count as looked at. */
  readonly types?: ReadonlySet<string>;
  readonly limit: number;
  readonly scanMax: number;
}
export interface ReadPage {
  readonly events: readonly StoredEvent[];
  readonly scannedTo: ReadonlyMap<Slot, PositionNumber>;
  readonly atHead: boolean;
}
export interface HeadCount {
  /** Highest position per slot, 0 where empty; where `totalOrder`, the log's head for every slot. */
  readonly heads: ReadonlyMap<Slot, PositionNumber>;
  readonly appended: ReadonlyMap<string, number>;
}
