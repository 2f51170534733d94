import type { EncodedEvent } from "../event/stored-event.ts";

/** An event that becomes a fact at its time (`dueMs`, wall clock), unless it is withdrawn before. */
export interface DelayedEvent {
  readonly event: EncodedEvent;
  readonly dueMs: number;
}
export interface Identity {
  readonly source: string;
  readonly id: string;
}
export interface DelayedQuery {
  readonly correlationId?: string;
  /** Behind this one, in the order of the answer. */
  readonly after?: Identity & { readonly dueMs: number };
  readonly limit: number;
}
export interface Fired {
  /** Delayed events that waited no longer, those that were known already included. */
  readonly fired: number;
  /** Of these, who was known already with other content: the first stands. */
  readonly conflicts: readonly Identity[];
}

/** A schedule moves on: from the tick that was seen last to another, with the facts of all that lie between. */
export interface Tick {
  readonly schedule: string;
  /** The last tick as `ticked` told it; undefined: there was none. */
  readonly seenMs: number | undefined;
  readonly tickMs: number;
  readonly events: readonly EncodedEvent[];
}

/** What waits for its time. The part of the ledger that knows no subscription and needs no session. */
export interface Timetable {
  /**
   * All or none; durable. An identity that waits already with the same content answers `duplicate: true`, and the first
   * time stands; with other content the call rejects with ID_CONFLICT (details: index, id). Where `sharesLog`, an identity
   * that stands in the log is answered the same way.
   */
  delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]>;
  /** Withdraws a delayed event; false where none of this identity waits. Of `cancel` and `fire` one wins. */
  cancel(identity: Identity): Promise<boolean>;
  /**
   * Delayed events whose time has come (`dueMs` <= `nowMs`) become facts in one transaction, in the order of their times,
   * then of their delays; at most `limit`. They go to the log where it is ours, else to the outbox. Anyone may call it.
   */
  fire(nowMs: number, limit: number): Promise<Fired>;
  /** Delayed events in the order of their times, source and id. */
  delayed(query: DelayedQuery): Promise<readonly DelayedEvent[]>;
  /** The last tick of a schedule. */
  ticked(schedule: string): Promise<number | undefined>;
  /** Moves a schedule on and states its facts, in one durable transaction. False, and nothing happens, where another was first. */
  tick(tick: Tick): Promise<boolean>;
}
