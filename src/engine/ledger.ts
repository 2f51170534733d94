import type { TransactionSource } from "../app/store.ts";
import type { EncodedEvent, PositionNumber, Slot, StoredEvent } from "../event/stored-event.ts";
import type { LedgerCapabilities } from "./capabilities.ts";
import type { Appended } from "./event-log.ts";
import type { SubscriptionTally } from "./tally.ts";
import type { Journal, StepChange } from "./journal.ts";
import type { Projections } from "./projections.ts";
import type { Register } from "./register.ts";
import type { DelayedEvent, Timetable } from "./timetable.ts";
import type { Transact, Transacted } from "./transact.ts";

/**
 * The second port: what subscriptions owe the facts. The runtime decides, the ledger records: every verb is one atomic
 * transaction, fenced by session and token where it is a worker's. A stale worker changes nothing. After `close` all
 * reject with CLOSED. OUTCOME_UNKNOWN on a write means: stop, reopen, load again.
 */
export interface Ledger extends Timetable, Journal, Projections, Register {
  readonly capabilities: LedgerCapabilities;

  /**
   * Join, beat, declare dead, give back, take: the wanted state in, what holds now out. In this order:
   * 1. without `session` a new session row is made; with it the beat grows by one, or, where the row is gone (others
   *    declared me dead), the call rejects with LEASE_LOST and nothing else happens;
   * 2. each of `dead` whose beat still is what the caller saw is removed: its running rows are charged one crash
   *    (`ready` again at `crashDueMs`, or dead at the newest definition's `crashesMax`, with a failure of class "crash";
   *    the dead row goes on holding its key unless `onExhausted` is "skip-event"; "stop" stops the subscription), its
   *    slots become free with `suspect = max(suspect, claim)` and a new token;
   * 3. `giveBack` frees slots that I still hold under that token, uncharged: `claim = low`;
   *    `release` makes running rows of mine ready again, due at once (`dueMs` 0), uncharged;
   * 4. of each subscription in `want` (where `revision` is the newest) I take free slots until I hold that many;
   * 5. `leave` removes my session row; slots and rows still mine are freed uncharged as in 3.
   */
  lease(request: LeaseRequest): Promise<LeaseState>;

  /** Progress, claims and busy keys of slots, in the order asked. Anyone may look. */
  load(slots: readonly SlotRef[]): Promise<readonly SlotState[]>;

  /**
   * THE settle. Applies the changes in order, each atomic, together one durable transaction (see `durable` of the
   * engine's notes: what appends, makes dead or removes a dead letter is synced; mere progress need only survive the
   * process). A change whose fence fails is answered `lost` and changes nothing; one whose own effect was refused by the
   * database is answered `refused` and changes nothing; the others stand.
   */
  record(session: number, changes: readonly Change[]): Promise<readonly Recorded[]>;

  /** Resolves where transactions of this source settle here; else NOT_SUPPORTED, or STORE_MISMATCH: another database. */
  bind(source: TransactionSource): Promise<void>;

  /**
   * A handler's writes and the settle of its deliveries as ONE commit. `run` gets the transaction; what it gives is
   * settled last in it, each fenced by my session and the slot's or the row's token, with its effects and an entry in the
   * list of settled deliveries. That list is what a later holder learns from `load` where I die before I have recorded the
   * closing; a running row with an entry is closed as done, never charged, by whatever takes it from its session (`lease`).
   * An entry goes when `low` has reached it and no row stands there.
   * A delivery has at most one entry: where one is there already, this transaction is rolled back and answered "stood".
   * Where `run` is async, transactions of one process do not wait for each other; sync ones share a commit, each with a
   * savepoint of its own. Rejects with OUTCOME_UNKNOWN where it cannot be found out
   * whether it stands.
   */
  transact(session: number, request: Transact): Promise<Transacted>;

  /** Delivery rows in a stable order: see DeliveryQuery. */
  deliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]>;

  /** Failures of one delivery, oldest first. */
  failures(delivery: DeliveryRef): Promise<readonly FailureRecord[]>;

  /** Values of `ctx.state` (JSON text), in the order asked; undefined where the key has none. */
  states(sub: number, keys: readonly string[]): Promise<readonly (string | undefined)[]>;

  /** Rows waiting in the outbox, in order of their insertion. Always empty where `sharesLog`. Removed by `record`. */
  outbox(limit: number): Promise<readonly OutboxRow[]>;

  /** Acts from outside, as compare-and-set: CONFLICT when what they saw has moved on, NOT_FOUND when it is not there. */
  command(command: Command): Promise<CommandResult>;

  /** All counters of all subscriptions in one snapshot: O(subscriptions x slots), whatever the log's length. */
  tally(): Promise<readonly SubscriptionTally[]>;

  /** Waits for calls in flight, then releases everything. Idempotent. */
  close(): Promise<void>;
}

// ── references ──
/** A slot of a subscription's generation. Subscriptions with `order: "log"` and the relay have the one slot 0. */
export interface SlotRef {
  readonly sub: number;
  readonly gen: number;
  readonly slot: Slot;
}
/** The right to a slot: good while the slot row carries this token and my session. Tokens only grow. */
export interface SlotLease extends SlotRef {
  readonly token: number;
}
/** `slot` is the slot row's (0 for one-slot subscriptions); `eventSlot` is the event's own. */
export interface DeliveryRef extends SlotRef {
  readonly position: PositionNumber;
}

// ── lease ──
export interface LeaseRequest {
  readonly session?: number;
  readonly leaseMs: number;
  readonly serves: readonly Served[];
  readonly dead: readonly { readonly session: number; readonly beat: number }[];
  readonly crashDueMs: number;
  readonly giveBack: readonly SlotLease[];
  readonly release: readonly (DeliveryRef & { readonly rowToken: number })[];
  readonly want: readonly {
    readonly sub: number;
    readonly gen: number;
    readonly revision: number;
    readonly slots: number;
  }[];
  readonly leave?: boolean;
}
export interface Served {
  readonly sub: number;
  readonly revision: number;
  /** A gauge for `status`. */
  readonly inFlight: number;
}
export interface SessionView {
  readonly session: number;
  readonly beat: number;
  readonly leaseMs: number;
  readonly serves: readonly Served[];
  /** Its process is certainly dead (`instantDeath`). False proves nothing. */
  readonly gone: boolean;
}
export interface LeaseState {
  readonly session: number;
  /** All sessions, mine included (but after `leave`), ascending. */
  readonly sessions: readonly SessionView[];
  readonly held: readonly SlotLease[];
  readonly subscriptions: readonly {
    readonly sub: number;
    readonly gen: number;
    readonly revision: number;
    readonly state: SubscriptionState;
  }[];
}
/** Stopped while a dead row that was made with `stop` stands: redrive or discard of the last one makes it active again. */
export type SubscriptionState = "active" | "stopped" | "retired";

// ── progress ──
/** Closed runs above `low`, ascending: every matching event in [from, to] is closed or has a row. */
export type Ranges = readonly (readonly [from: PositionNumber, to: PositionNumber])[];
export interface SlotState {
  readonly slot: SlotRef;
  readonly low: PositionNumber;
  readonly ranges: Ranges;
  readonly claim: PositionNumber;
  /** Unreported events at or below it may have been running when a session died. 0: none. */
  readonly suspect: PositionNumber;
  /** Position at or below which a type does not count in this slot; 0 where absent. Renewed only while nobody holds it. */
  readonly since: ReadonlyMap<string, PositionNumber>;
  /** Keys with at least one row that holds them. */
  readonly busy: readonly string[];
  /** Groups of which rows are deferred, in the order of their names (code points). */
  readonly deferred: readonly string[];
  /** Where the log does not dedupe: (source, id) settled in this slot within the window. */
  readonly seen: readonly string[];
  /** Above `low`, without a row: settled by `transact`, and not reported closed. Ascending. */
  readonly settled: readonly PositionNumber[];
}

// ── record ──
export type Change = ProgressChange | RowChange | StartChange | StepChange | AnnounceChange | RelayChange;
export interface Outcomes {
  readonly done: number;
  readonly skipped: number;
  readonly discarded: number;
  readonly expired: number;
  readonly duplicate: number;
}
export type Closing = keyof Outcomes;
/**
 * Progress of one slot, fenced by its lease. Invariants the ledger holds: low and claim never fall (a change whose `low`
 * is below the stored one is `lost`; a lower `claim` is ignored); matched = closed + rows at every commit (a change whose
 * counts do not add up rejects the whole call with ASSERTION, and nothing is changed). `suspect` becomes 0 with the change
 * whose `low` reaches it.
 */
export interface ProgressChange {
  readonly kind: "progress";
  readonly lease: SlotLease;
  readonly low: PositionNumber;
  readonly ranges: Ranges;
  readonly claim: PositionNumber;
  /** Events met since the last progress change of this slot, by type; = outcomes + inserts of this change. */
  readonly matched: ReadonlyMap<string, number>;
  readonly outcomes: Outcomes;
  readonly insert: readonly RowInsert[];
  /** Effects of deliveries that this change closes. Refused together with the whole change: `refused.position` says whose. */
  readonly effects: readonly Effects[];
  /** Where the log does not dedupe: identities of the deliveries that this change closes or gives a row. */
  readonly seen: readonly { readonly identity: string; readonly atMs: number }[];
}
/**
 * A new delivery row. `held` is not said: the ledger decides it in SQL, with the slot row locked: where a row of the key
 * with `holds` stands at a lower position, the new row is held, whatever `state` says (a running row is never held: its
 * handler already runs, and the dispatcher runs only a key's lowest; a row inserted with `holds: false` takes no part in
 * its key's order and is never held). Rows of one change come in ascending order. A held row that becomes ready is due at
 * once (`dueMs` 0).
 */
export interface RowInsert {
  readonly position: PositionNumber;
  readonly eventSlot: Slot;
  readonly key: string;
  readonly holds: boolean;
  readonly state: "ready" | "running" | "retrying" | "dead" | "deferred";
  /** Of a deferred row: what it is found by. "" where its event belongs to no group. */
  readonly group?: string;
  readonly dueMs: number;
  readonly failures: number;
  readonly eventId: string;
  readonly correlationId: string;
  readonly atMs: number;
  /** With `dead`: the subscription stops (`onExhausted: "stop"`). */
  readonly stop?: boolean;
  readonly failure?: FailureRecord;
  /** The event itself, where the log's retention is theirs. */
  readonly event?: StoredEvent;
}
/** First token of an inserted row. A running row's holder settles it with this one. */
export const firstRowToken = 1;

/** The end of an attempt of a delivery that has a row, fenced by the row's token and `running` state. */
export interface RowChange {
  readonly kind: "row";
  readonly delivery: DeliveryRef;
  readonly rowToken: number;
  readonly to:
    | { readonly state: "closed"; readonly as: Closing }
    | {
        readonly state: "retrying" | "ready";
        readonly dueMs: number;
        readonly failures: number;
        readonly failure?: FailureRecord;
        /** Its handler was left waiting: a signal or an answer makes it due at once, and one that came meanwhile has. */
        readonly waits?: boolean;
        /** False: it lets go of its key until it starts again. Default: as it stands. */
        readonly holds?: boolean;
      }
    /** Not due at any time: found by its group, when its turn comes. It holds what it held. */
    | { readonly state: "deferred"; readonly group: string; readonly failures: number; readonly failure?: undefined }
    /** `holds`: the key stays blocked (`hold-key`); else the next of the key goes on. `stop` also stops the subscription. */
    | {
        readonly state: "dead";
        readonly failures: number;
        readonly holds: boolean;
        readonly stop: boolean;
        readonly failure: FailureRecord;
      };
  /** Looked at only where the row is closed. */
  readonly effects?: Effects;
}
/**
 * A due or deferred row begins to run: fenced by my lease of its slot and by the row's token; the row's token grows by one. Of the
 * rows that hold one key at most one runs: while another does (a detached one, in whatever session), the answer is `lost`.
 */
export interface StartChange {
  readonly kind: "start";
  readonly lease: SlotLease;
  readonly position: PositionNumber;
  readonly rowToken: number;
  /** From here on it holds its key, as a redriven row that was overtaken did not. Default: as it stands. */
  readonly holds?: boolean;
}
/**
 * A progress fact: appended at once under the fence of the running delivery. The first content stands; where there is an
 * outbox: the first of those that wait in it.
 */
export interface AnnounceChange {
  readonly kind: "announce";
  readonly fence: { readonly lease: SlotLease } | { readonly delivery: DeliveryRef; readonly rowToken: number };
  readonly event: EncodedEvent;
}
/** The relay has appended these rows of the outbox. */
export interface RelayChange {
  readonly kind: "relay";
  readonly lease: SlotLease;
  readonly done: readonly number[];
}
/** What a delivery does in the ledger's database when, and only when, it closes. */
export interface Effects {
  readonly position: PositionNumber;
  readonly emits: readonly EncodedEvent[];
  /** Emitted for later: as `delay`. */
  readonly delayed?: readonly DelayedEvent[];
  readonly writes: readonly SqlStatement[];
  readonly state?: { readonly key: string; readonly value: string | undefined };
}
/** `text` has one piece more than there are values; the engine puts its placeholders between. */
export interface SqlStatement {
  readonly text: readonly string[];
  readonly values: readonly unknown[];
}
export interface Recorded {
  readonly status: "ok" | "lost" | "refused";
  /** With `refused`: whose effects, and why. */
  readonly refused?: { readonly position: PositionNumber; readonly error: unknown };
  /** Keys named by this change (row closed, inserted or changed) that no row holds any more. */
  readonly freed: readonly string[];
  /** A row became ready and is due now: look for due rows. */
  readonly promoted: boolean;
  /** Of an announce: its place (absent where it went to the outbox), and whether other content stood there first. */
  /** Of a step that was to be done: the value that stood there already, JSON text. */
  readonly stood?: string;
  readonly announced?: { readonly appended: Appended | undefined; readonly diverged: boolean };
}

// ── rows ──
export type RowState = "held" | "ready" | "running" | "retrying" | "dead" | "deferred";
export interface DeliveryRow extends DeliveryRef {
  readonly eventSlot: Slot;
  readonly key: string;
  readonly holds: boolean;
  readonly state: RowState;
  readonly dueMs: number | undefined;
  readonly rowToken: number;
  readonly session: number | undefined;
  /** Effect scope: 0, but where an operator asked for fresh effects. */
  readonly scope: number;
  readonly failures: number;
  readonly crashes: number;
  readonly redriven: boolean;
  /** Retrying, but for what its handler waits for. */
  readonly waits: boolean;
  readonly eventId: string;
  readonly correlationId: string;
  /** Recorded time of the event. */
  readonly atMs: number;
  readonly failure: FailureRecord | undefined;
  readonly event: StoredEvent | undefined;
}
export interface FailureRecord {
  readonly atMs: number;
  /** "error" (thrown), "timeout", "crash", "schema" (stored data unreadable), "non-retryable". */
  readonly class: string;
  /** Groups failures that look alike: class, normalised message, top frame. */
  readonly fingerprint: string;
  /** Safe text, at most `limits.errorBytesMax`. */
  readonly error: string;
}
export type DeliveryQuery =
  /** Ready or retrying rows due at `dueMs`, of these slots, by due time. */
  | { readonly kind: "due"; readonly slots: readonly SlotRef[]; readonly dueMs: number; readonly limit: number }
  /** Deferred rows of a group, of these slots of one subscription, by position. */
  | { readonly kind: "deferred"; readonly slots: readonly SlotRef[]; readonly group: string; readonly limit: number }
  /** Rows in a state, by (sub, slot, position), after the given one. */
  | {
      readonly kind: "state";
      readonly state: RowState;
      readonly sub?: number;
      readonly key?: string;
      readonly correlationId?: string;
      readonly after?: DeliveryRef;
      readonly limit: number;
    }
  | { readonly kind: "one"; readonly delivery: DeliveryRef };

export interface OutboxRow {
  readonly seq: number;
  readonly event: EncodedEvent;
}

// ── commands ──
/** What a subscription is, as stored. Workers with another definition than the newest hand back. */
export interface Definition {
  readonly types: readonly string[];
  readonly order: "key" | "none" | "log";
  readonly onExhausted: "hold-key" | "skip-event" | "stop";
  readonly crashesMax: number;
  /** "all": one slot row per slot of the log; "one": a single row 0 (`order: "log"`, the relay). */
  readonly slots: "all" | "one";
}
export type Command =
  /**
   * Creates the subscription at `start` (per slot; 0 where absent; one-slot subscriptions: the entry of slot 0) with
   * `baseline` events per type lying at or before it; or finds it. Another definition than the newest makes a new
   * revision, unless an older revision is the same: then that one's number is answered, and the newest stays newest.
   * `reinstate` makes it the newest all the same. Added types count from `start` on, but nowhere from behind what
   * workers of the older revision have reached (where the ledger has the log, `baseline` is corrected for it); so that no worker of the older
   * revision passes their events unseen, a newest revision that adds types frees all slots, uncharged (as `giveBack`).
   * A type that comes back counts as added; its `baseline` is then lessened by what it matched before, which stays
   * counted. Types are compared as a set. `slots` never changes: CONFLICT. With `sub` it is this one, whatever it is
   * called now: NOT_FOUND where it is gone.
   */
  | {
      readonly kind: "define";
      readonly name: string;
      readonly sub?: number;
      readonly definition: Definition;
      readonly start: ReadonlyMap<Slot, PositionNumber>;
      readonly baseline: ReadonlyMap<string, number>;
      readonly reinstate?: boolean;
    }
  /** Removes the subscription with its progress and rows from every answer. CONFLICT while a session serves it. */
  | { readonly kind: "retire"; readonly name: string; readonly audit: EncodedEvent }
  /** CONFLICT where `to` is taken. */
  | { readonly kind: "rename"; readonly name: string; readonly to: string; readonly audit: EncodedEvent }
  /**
   * Dead -> ready, due at `nowMs`: same event, position, identity, scope, `holds`; failures and crashes start at 0; the
   * history stays; the row's token grows, so that of two redrives that saw the same row one gets CONFLICT.
   */
  | {
      readonly kind: "redrive";
      readonly delivery: DeliveryRef;
      readonly rowToken: number;
      readonly nowMs: number;
      /** Another scope: no step of before counts, and receivers see other idempotency keys. */
      readonly fresh?: boolean;
      /** Steps of its scope that are forgotten: they run again, under the same idempotency keys. */
      readonly drop?: readonly string[];
      readonly audit: EncodedEvent;
    }
  /** Dead -> closed as discarded; the next of the key goes on. */
  | {
      readonly kind: "discard";
      readonly delivery: DeliveryRef;
      readonly rowToken: number;
      readonly audit: EncodedEvent;
    }
  /**
   * The answer to an approval that waits: its step is done with this value, and its delivery due at once. CONFLICT where
   * it was answered or has expired, NOT_FOUND where it never waited.
   */
  | {
      readonly kind: "answer";
      readonly delivery: DeliveryRef;
      readonly scope: number;
      readonly step: string;
      /** JSON text. */
      readonly value: string;
      readonly nowMs: number;
      readonly audit: EncodedEvent;
    };
export interface CommandResult {
  readonly sub: number;
  readonly gen: number;
  readonly revision: number;
  readonly newest: number;
  readonly created: boolean;
  /** Positions after which each type counts, per slot (define). */
  readonly since: ReadonlyMap<string, ReadonlyMap<Slot, PositionNumber>>;
}

export type { SubscriptionTally } from "./tally.ts";
