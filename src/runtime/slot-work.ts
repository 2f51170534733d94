import type { Outcome } from "../delivery/outcome.ts";
import type {
  Closing,
  DeliveryRef,
  Effects,
  ProgressChange,
  Ranges,
  RowInsert,
  SlotLease,
  SlotState,
} from "../engine/ledger.ts";
import type { PositionNumber, StoredEvent } from "../event/stored-event.ts";
import { Fifo } from "./fifo.ts";

/** One subscription's debt to one event, as this process holds it. */
export interface Delivery {
  readonly slot: SlotWork;
  readonly event: StoredEvent;
  /** What it is ordered by: the event's key, "" under order "log", undefined where it waits for nothing. */
  readonly key: string | undefined;
  /** Absent where it never was to run here. */
  lane: Lane | undefined;
  /** Closed, or has a row: it pins `low` no longer. */
  settled: boolean;
  row: RowHold | undefined;
  /** Failures and crashes before this attempt. */
  failures: number;
  crashes: number;
  scope: number;
  redriven: boolean;
  /** Its row was deferred. */
  isDeferred?: boolean;
  /** It waited for the end of an outage. */
  frozen?: boolean;
  /** A dead session may have been running it. */
  suspect?: true;
  /** It was handled in a batch before its turn, which this is told at. */
  foretold?: { readonly outcome: Outcome; readonly startedMs: number };
  /** User code has it, and no row says so. */
  inHand?: boolean;
}
/** Of an event that nobody has tried to deliver yet. */
export function freshDelivery(slot: SlotWork, event: StoredEvent, key: string | undefined): Delivery {
  return {
    slot,
    event,
    key,
    lane: undefined,
    settled: false,
    row: undefined,
    failures: 0,
    crashes: 0,
    scope: 0,
    redriven: false,
  };
}
/** Whom it belongs to; "" where it is nobody's. */
export const groupOf = ({ event }: Delivery): string => event.group ?? "";

export function refOf(delivery: Delivery): DeliveryRef {
  const { sub, gen, slot } = delivery.slot.lease;
  return { sub, gen, slot, position: delivery.event.position };
}
/** The right to a row. `started`: its row says running, under this token. */
export interface RowHold {
  token: number;
  started: boolean;
}

/** Deliveries of one key in order; an unkeyed delivery is a lane of its own. At most one of a lane runs. */
export interface Lane {
  readonly slot: SlotWork;
  readonly key: string | undefined;
  current: Delivery | undefined;
  waiting: Fifo<Delivery> | undefined;
}

/** What a slot owes to the ledger since its last record. */
export interface Batch {
  readonly matched: Map<string, number>;
  readonly outcomes: Record<Closing, number>;
  readonly inserts: { readonly row: RowInsert; readonly delivery: Delivery }[];
  readonly effects: { readonly effects: Effects; readonly delivery: Delivery }[];
  readonly seen: { readonly identity: string; readonly atMs: number }[];
}
const emptyBatch = (): Batch => ({
  matched: new Map(),
  outcomes: { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 },
  inserts: [],
  effects: [],
  seen: [],
});

/**
 * A slot that this process holds: how far it was read, which deliveries above `low` are open, and what must be recorded.
 * Every matching event at or below `low` is closed or has a row.
 */
export class SlotWork {
  readonly lease: SlotLease;
  readonly heldSinceMs: number;
  scanned: PositionNumber;
  claim: PositionNumber;
  /** Unreported events at or below it run one at a time, with a row. */
  suspect: PositionNumber;
  /** `suspect` as it was loaded: rows made of suspects wait for their turn as well. */
  readonly suspectedTo: PositionNumber;
  /** Highest position that waited for a claim. */
  wantedTo: PositionNumber = 0;
  /** Highest position handed to user code. */
  startedTo: PositionNumber;
  /** No new work; given back once at rest. */
  leaving = false;
  /** The lease is gone: nothing of this slot may be recorded. */
  dropped = false;
  #inHand = 0;
  /** A record of this slot is on its way. */
  recording = false;
  dirty = false;
  /** When mere reading was last recorded, monotonic. */
  passedMs = 0;
  readonly lanes: Map<string, Lane> = new Map();
  /** Keys that rows hold, with the number of this process's row inserts not recorded yet. */
  readonly busy: Map<string, number> = new Map();
  readonly seen: Set<string>;
  /** Positions at or below which a type does not count. */
  readonly since: SlotState["since"];
  #low: PositionNumber;
  readonly #open = new Fifo<Delivery>();
  #loaded: Ranges;
  /** Settled in a transaction of an earlier holder, who died before it said so. */
  readonly #settled: Set<PositionNumber>;
  #batch: Batch = emptyBatch();

  /** `heldSinceMs`: wall clock. */
  constructor(lease: SlotLease, state: SlotState, heldSinceMs: number) {
    this.lease = lease;
    this.heldSinceMs = heldSinceMs;
    this.#low = state.low;
    this.scanned = state.low;
    this.startedTo = state.low;
    this.claim = state.claim;
    this.suspect = state.suspect;
    this.suspectedTo = state.suspect;
    this.#loaded = state.ranges;
    this.#settled = new Set(state.settled);
    this.seen = new Set(state.seen);
    this.since = state.since;
    for (const key of state.busy) this.busy.set(key, 0);
  }

  get low(): PositionNumber {
    return this.#low;
  }
  get batch(): Batch {
    return this.#batch;
  }
  /** User code gets a delivery that has no row. */
  hand(delivery: Delivery): void {
    delivery.inHand = true;
    this.#inHand++;
  }
  /** User code is through with it, or its row says that it runs. Idempotent. */
  unhand(delivery: Delivery): void {
    if (delivery.inHand !== true) return;
    delivery.inHand = false;
    this.#inHand--;
  }
  /** Nothing runs here and nothing waits to be recorded. */
  get atRest(): boolean {
    return this.#inHand === 0 && !this.recording && !this.dirty;
  }

  /** Whether an earlier holder closed this event already (it lies in the ranges that were loaded). */
  closedBefore(position: PositionNumber): boolean {
    while (this.#loaded.length > 0 && (this.#loaded[0]?.[1] ?? 0) < position) this.#loaded = this.#loaded.slice(1);
    const run = this.#loaded[0];
    return run !== undefined && run[0] <= position;
  }
  /** Whether an earlier holder's transaction has done this event. */
  settledBefore(position: PositionNumber): boolean {
    return this.#settled.delete(position);
  }
  /** Whether this identity was delivered here already; remembers it. */
  repeats(event: StoredEvent): boolean {
    const identity = identityOf(event);
    if (this.seen.has(identity)) return true;
    this.seen.add(identity);
    return false;
  }
  /** Deliveries must be added in order of position. */
  add(delivery: Delivery): void {
    this.#open.push(delivery);
  }
  countClosed(type: string, as: Closing): void {
    this.#batch.outcomes[as]++;
    this.#match(type);
    this.#forgetSettled();
  }
  /** Takes one back that turned out not to be closed. */
  uncountClosed(type: string, as: Closing): void {
    this.#batch.outcomes[as]--;
    this.#batch.matched.set(type, (this.#batch.matched.get(type) ?? 0) - 1);
  }
  insert(delivery: Delivery, row: RowInsert): void {
    delivery.settled = true;
    this.#batch.inserts.push({ row, delivery });
    this.#match(delivery.event.type);
    if (row.holds) this.busy.set(row.key, (this.busy.get(row.key) ?? 0) + 1);
  }
  #match(type: string): void {
    this.#batch.matched.set(type, (this.#batch.matched.get(type) ?? 0) + 1);
  }
  /** A row of this key was recorded; `freed`: the ledger says that none holds it now. */
  recordedInsert(key: string): void {
    const pending = this.busy.get(key);
    if (pending !== undefined && pending > 0) this.busy.set(key, pending - 1);
  }
  freed(key: string): void {
    if (this.busy.get(key) === 0) this.busy.delete(key);
  }

  /** Takes what is owed. The caller records it, or gives it back by `restore`. */
  take(claim: PositionNumber): { readonly change: ProgressChange; readonly batch: Batch } {
    const batch = this.#batch;
    this.#batch = emptyBatch();
    this.#advance();
    this.dirty = false;
    this.recording = true;
    const change: ProgressChange = {
      kind: "progress",
      lease: this.lease,
      low: this.#low,
      ranges: this.#ranges(),
      claim: Math.max(this.claim, claim),
      matched: batch.matched,
      outcomes: batch.outcomes,
      insert: batch.inserts.map((entry) => entry.row),
      effects: batch.effects.map((entry) => entry.effects),
      seen: batch.seen,
    };
    return { change, batch };
  }
  /** Puts an unrecorded batch back in front of what has come since. */
  restore(batch: Batch): void {
    const newer = this.#batch;
    this.#batch = batch;
    for (const [type, count] of newer.matched) batch.matched.set(type, (batch.matched.get(type) ?? 0) + count);
    for (const as of Object.keys(newer.outcomes) as Closing[]) batch.outcomes[as] += newer.outcomes[as];
    batch.inserts.push(...newer.inserts);
    batch.effects.push(...newer.effects);
    batch.seen.push(...newer.seen);
    this.dirty = true;
  }
  /** The change was recorded. */
  recorded(change: ProgressChange): void {
    this.claim = change.claim;
    if (change.low >= this.suspect) this.suspect = 0;
  }

  /** What is settled with nothing open before it is not looked at again: its memory is free before the next record. */
  #forgetSettled(): void {
    while (this.#open.first?.settled === true) this.#open.shift();
  }
  #advance(): void {
    this.#forgetSettled();
    const oldest = this.#open.first;
    this.#low = Math.max(this.#low, oldest === undefined ? this.scanned : oldest.event.position - 1);
  }
  /** Runs of settled deliveries above `low`; and what an earlier holder closed beyond what was read. */
  #ranges(): Ranges {
    const runs: (readonly [number, number])[] = [];
    let from = 0;
    let to = 0;
    for (const delivery of this.#open) {
      if (delivery.settled) {
        if (from === 0) from = delivery.event.position;
        to = delivery.event.position;
      } else if (from !== 0) {
        runs.push([from, to]);
        from = 0;
      }
    }
    if (from !== 0) runs.push([from, to]);
    for (const [first, last] of this.#loaded) {
      if (last > this.scanned) runs.push([Math.max(first, this.scanned + 1), last]);
    }
    return runs;
  }
}

/** By what a repeat is known. */
export const identityOf = (event: StoredEvent): string => `${event.source}\n${event.id}`;

export function laneOf(slot: SlotWork, key: string | undefined): Lane {
  if (key === undefined) return { slot, key, current: undefined, waiting: undefined };
  let lane = slot.lanes.get(key);
  if (lane === undefined) {
    lane = { slot, key, current: undefined, waiting: undefined };
    slot.lanes.set(key, lane);
  }
  return lane;
}
