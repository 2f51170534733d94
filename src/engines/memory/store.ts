import { FactlogError } from "../../errors.ts";
import type { EncodedEvent, PositionNumber, Slot, StoredEvent } from "../../event/stored-event.ts";
import type {
  Definition,
  DeliveryRow,
  FailureRecord,
  Outcomes,
  OutboxRow,
  Ranges,
  SessionView,
  SlotRef,
} from "../../engine/ledger.ts";
import type { StepRecord } from "../../engine/journal.ts";
import type { DelayedEvent } from "../../engine/timetable.ts";
import { Bell } from "./bell.ts";
import type { Ears } from "./deltas.ts";

/** All that a store keeps. It outlives the engines that were opened on it, as a file outlives processes. */
export interface Store {
  readonly slots: number;
  /** The event at position p is at index p - 1. */
  readonly events: StoredEvent[];
  readonly byIdentity: Map<string, StoredEvent>;
  readonly appended: Map<string, number>;
  readonly bell: Bell;
  readonly ears: Ears;
  readonly sessions: Map<number, Session>;
  readonly subscriptions: Map<number, Subscription>;
  outbox: OutboxRow[];
  /** In the order of their delays. */
  delayed: DelayedEvent[];
  readonly steps: Map<string, Step>;
  /** Schedule -> its last tick. */
  readonly ticks: Map<string, number>;
  /** Kind -> name -> body. */
  readonly entries: Map<string, Map<string, string>>;
  /** Last number given to a session, a subscription, an outbox row: never given again. */
  readonly last: { session: number; sub: number; seq: number };
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

export type Session = Mutable<Omit<SessionView, "gone">>;

export interface Subscription {
  readonly sub: number;
  readonly gen: number;
  name: string;
  /** Revision r is at index r - 1. */
  readonly revisions: Definition[];
  newest: number;
  /** Every type that ever counted. */
  readonly types: Map<string, TypeEntry>;
  readonly slots: Map<Slot, SlotRow>;
  readonly states: Map<string, string>;
}
export interface TypeEntry {
  since: ReadonlyMap<Slot, PositionNumber>;
  baseline: number;
  matched: number;
}

export interface SlotRow extends SlotRef {
  token: number;
  session: number | undefined;
  low: PositionNumber;
  ranges: Ranges;
  claim: PositionNumber;
  suspect: PositionNumber;
  matched: number;
  readonly outcomes: Mutable<Outcomes>;
  readonly rows: Map<PositionNumber, Row>;
  /** Identity -> when it was handed out, where the log does not dedupe. */
  readonly seen: Map<string, number>;
  /** Settled by `transact`, and not reported closed. */
  readonly settled: Set<PositionNumber>;
}

export interface Row extends Mutable<Omit<DeliveryRow, "failure">> {
  /** Dead, and the subscription stands still until this row is redriven or discarded. */
  stop: boolean;
  history: FailureRecord[];
  /** Of a deferred row. */
  group: string | undefined;
  /** A signal came while it ran. */
  woken: boolean;
}

/** A step with its place: see `stepKey`. */
export interface Step extends Mutable<StepRecord> {
  readonly sub: number;
  readonly slot: Slot;
  readonly position: PositionNumber;
  readonly scope: number;
}

export function createStore(slots: number): Store {
  return {
    slots,
    events: [],
    byIdentity: new Map(),
    appended: new Map(),
    bell: new Bell(),
    ears: new Set(),
    sessions: new Map(),
    subscriptions: new Map(),
    outbox: [],
    delayed: [],
    steps: new Map(),
    ticks: new Map(),
    entries: new Map(),
    last: { session: 0, sub: 0, seq: 0 },
  };
}

export const identityOf = (event: Pick<EncodedEvent, "source" | "id">): string =>
  JSON.stringify([event.source, event.id]);

export function newestOf(subscription: Subscription): Definition {
  return subscription.revisions[subscription.newest - 1]!;
}

export function slotRowOf(store: Store, ref: SlotRef): SlotRow | undefined {
  const subscription = store.subscriptions.get(ref.sub);
  return subscription?.gen === ref.gen ? subscription.slots.get(ref.slot) : undefined;
}

export const slotRows = (store: Store): SlotRow[] =>
  [...store.subscriptions.values()].flatMap((subscription) => [...subscription.slots.values()]);

/** All rows in the order (sub, slot, position). */
export const deliveryRows = (store: Store): Row[] =>
  slotRows(store).flatMap((slot) => [...slot.rows.values()].toSorted((a, b) => a.position - b.position));

/** The rows that hold a key, lowest first: only the first of them may run. */
export function holders(slot: SlotRow, key: string): Row[] {
  const rows = [...slot.rows.values()].filter((row) => row.holds && row.key === key);
  return rows.toSorted((a, b) => a.position - b.position);
}

/** Makes a row ready, now run by nobody. */
export function makeReady(row: Row, dueMs: number): void {
  row.state = "ready";
  row.dueMs = dueMs;
  row.session = undefined;
  row.waits = false;
  row.rowToken++;
}

/** The lowest row of a key is never held: makes it ready if it is. True where it was. */
export function promote(slot: SlotRow, key: string): boolean {
  const head = holders(slot, key)[0];
  if (head?.state !== "held") return false;
  makeReady(head, 0);
  return true;
}

/** Ends a row as dead. The key goes on where the row does not hold it any more. */
export function bury(slot: SlotRow, row: Row, end: { readonly holds: boolean; readonly stop: boolean }): boolean {
  row.state = "dead";
  row.dueMs = undefined;
  row.session = undefined;
  row.holds = end.holds;
  row.stop = end.stop;
  return promote(slot, row.key);
}

/** Frees a slot of a living session: nothing runs beyond `low` any more. */
export function freeSlot(slot: SlotRow): void {
  slot.session = undefined;
  slot.token++;
  slot.claim = slot.low;
}

export function notThere(what: string): FactlogError {
  return new FactlogError("NOT_FOUND", `${what} is not there: list what is, and try again.`);
}

export function closed(): FactlogError {
  return new FactlogError("CLOSED", "the store was closed: open it again.");
}
