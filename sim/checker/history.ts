/**
 * What a run leaves behind for the checker: operations in the order in which they began, and what the store held at the
 * end. Plain data, told by whoever drove the run; the checker knows nothing of the code under test.
 */
export type Outcome = "ok" | "fail" | "unknown";

export interface Publish {
  readonly op: "publish";
  readonly process: string;
  readonly t: number;
  readonly events: readonly { readonly id: string; readonly type: string; readonly data: string }[];
  /** "unknown" until an answer came. */
  outcome: Outcome;
  code?: string;
  receipts?: readonly { readonly position: number; readonly duplicate: boolean }[];
  end?: number;
}
/** One run of a handler. */
export interface Deliver {
  readonly op: "deliver";
  readonly process: string;
  readonly t: number;
  readonly run: number;
  readonly sub: string;
  readonly id: string;
  readonly type: string;
  readonly key: string | undefined;
  readonly position: number;
  readonly attempt: number;
  /** The handler returned, threw, or was never heard of again. */
  outcome: Outcome;
  end?: number;
  /** Its attempt was declared over while it ran, and when. */
  aborted?: string;
  abortedAt?: number;
  /** The process died while it ran. */
  died?: boolean;
}
/** Something done to the world outside, under an idempotency key. */
export interface Effect {
  readonly op: "effect";
  readonly process: string;
  readonly t: number;
  readonly run: number;
  readonly sub: string;
  readonly id: string;
  readonly key: string;
}
/** A page of the log as a process saw it: per slot from after `after` to `to`. */
export interface Poll {
  readonly op: "poll";
  readonly process: string;
  readonly t: number;
  readonly spans: readonly (readonly [slot: number, after: number, to: number])[];
  readonly types: readonly string[] | undefined;
  readonly events: readonly (readonly [slot: number, position: number, content: string])[];
}
/** Slots that the store granted to a session, at the moment of its commit. */
export interface Grant {
  readonly op: "grant";
  readonly process: string;
  readonly t: number;
  readonly session: number;
  readonly held: readonly { readonly slot: string; readonly token: number }[];
}
/** Progress of a slot that the store took, at the moment of its commit. */
export interface Settle {
  readonly op: "settle";
  readonly process: string;
  readonly t: number;
  readonly session: number;
  readonly slot: string;
  readonly token: number;
  readonly low: number;
  readonly outcome: Outcome;
}
export interface Operate {
  readonly op: "operate";
  readonly process: string;
  readonly t: number;
  readonly act: "redrive" | "discard";
  readonly sub: string;
  readonly position: number;
  outcome: Outcome;
  code?: string;
}
export interface Crash {
  readonly op: "crash";
  readonly process: string;
  readonly t: number;
}
/** All counters and dead rows of one moment. */
export interface Sample {
  readonly op: "sample";
  readonly t: number;
  readonly subs: readonly SubState[];
  readonly dead: readonly { readonly sub: string; readonly slot: number; readonly position: number }[];
}
/** Facts that a live reader was shown, in order. */
export interface Followed {
  readonly op: "follow";
  readonly process: string;
  readonly t: number;
  readonly after: number;
  readonly positions: number[];
}
export type Op = Publish | Deliver | Effect | Poll | Grant | Settle | Operate | Crash | Sample | Followed;

/** What a subscription promises. */
export interface SubPlan {
  readonly name: string;
  readonly types: readonly string[];
  readonly order: "key" | "none" | "log";
  readonly onExhausted: "hold-key" | "skip-event" | "stop";
  readonly attemptsMax: number;
  readonly crashesMax: number;
  /** What its handler does when it is done. */
  readonly writes: boolean;
  readonly emits: boolean;
  readonly announces: boolean;
  readonly state: boolean;
  /** Its filter leaves out facts whose number is a multiple. 0: none. */
  readonly filterEvery: number;
}
export interface SubState {
  readonly name: string;
  readonly state: string;
  readonly matched: number;
  readonly outcomes: Readonly<Record<"done" | "skipped" | "discarded" | "expired" | "duplicate", number>>;
  readonly rows: Readonly<Record<"held" | "ready" | "running" | "retrying" | "dead" | "deferred", number>>;
  readonly types: readonly {
    readonly type: string;
    readonly matched: number;
    readonly baseline: number;
    /** Positions at or below which it does not count, per slot. */
    readonly since: readonly (readonly [slot: number, position: number])[];
    /** The newest definition names it. */
    readonly wanted: boolean;
  }[];
  readonly progress: readonly (readonly [slot: number, low: number])[];
}
export interface StoredFact {
  readonly slot: number;
  readonly position: number;
  readonly source: string;
  readonly id: string;
  readonly type: string;
  readonly key: string | undefined;
  readonly data: string;
  readonly content: string;
}
export interface Row {
  readonly sub: string;
  /** The event's. */
  readonly slot: number;
  readonly position: number;
  readonly key: string;
  readonly holds: boolean;
  readonly state: "held" | "ready" | "running" | "retrying" | "dead" | "deferred";
  readonly failures: number;
  readonly crashes: number;
  /** Class of the last failure. */
  readonly class: string | undefined;
}
export interface Final {
  readonly events: readonly StoredFact[];
  readonly subs: readonly SubState[];
  readonly rows: readonly Row[];
  /** Rows of the effects table: written through the settle. */
  readonly effects: readonly { readonly sub: string; readonly id: string; readonly run: number }[] | undefined;
  /** `ctx.state` at the end: the positions that made it, in the order of their commits. */
  readonly states: readonly { readonly sub: string; readonly key: string; readonly positions: readonly number[] }[];
  readonly sessions: number;
  /** What the store's own doctor complains of. */
  readonly findings: readonly string[];
  /** All was worked off within the bound. */
  readonly drained: boolean;
  readonly drainDetail: string;
}
export interface History {
  /** The log knows its identities: no fact stands there twice. */
  readonly dedupes: boolean;
  /** Positions are comparable over the whole log. */
  readonly totalOrder: boolean;
  /** Definitions changed during the run: which events were owed is known from the store alone. */
  readonly redefined: boolean;
  /** Processes may have gone on after others took them for dead. */
  readonly zombies: boolean;
  /** An outage was seen: attempts that it had cost were given back. */
  readonly refunds: boolean;
  readonly plan: readonly SubPlan[];
  readonly ops: readonly Op[];
  readonly final: Final;
  /** Ids of events whose handlers never succeed, by design. */
  readonly hopeless: ReadonlySet<string>;
  /** Ids of events that kill the process that runs them, by design. */
  readonly killers: ReadonlySet<string>;
}

/** `anomaly`: in the words of Jepsen's Kafka workload where one fits. */
export interface Violation {
  readonly invariant: string;
  readonly anomaly: string;
  readonly detail: string;
}
