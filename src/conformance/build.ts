import assert from "node:assert/strict";
import { realEnv } from "../env.ts";
import type { Engine } from "../engine/engine.ts";
import type { EventLog, ReadRequest } from "../engine/event-log.ts";
import type {
  Closing,
  Command,
  CommandResult,
  Definition,
  DeliveryRef,
  DeliveryRow,
  Effects,
  FailureRecord,
  Ledger,
  Outcomes,
  ProgressChange,
  RowChange,
  RowInsert,
  RowState,
  SlotLease,
  StartChange,
  SubscriptionTally,
} from "../engine/ledger.ts";
import { FactlogError } from "../errors.ts";
import { checksum } from "../event/codec.ts";
import type { EncodedEvent, PositionNumber, Slot, StoredEvent } from "../event/stored-event.ts";
import type { Subject } from "./check.ts";

let serial = 0;

/** An event of its own identity. Fields not given do not matter to the check. */
export function event(fields: Partial<EncodedEvent> = {}): EncodedEvent {
  const draft = {
    source: "conformance",
    id: `e-${++serial}`,
    type: "Placed",
    key: "k",
    group: undefined,
    timeMs: 1_700_000_000_000,
    attributes: "",
    data: '{"n":1}',
    version: 1,
    schema: "",
    plain: true,
    ...fields,
  };
  return { ...draft, crc: checksum(draft) };
}

/** The same identity, other content. */
export const differing = (first: EncodedEvent): EncodedEvent => event({ ...first, data: '{"n":"other"}' });

/** `count` events over many keys, so that many slots take part. */
export const spread = (count: number, fields: Partial<EncodedEvent> = {}): EncodedEvent[] =>
  Array.from({ length: count }, (_, i) => event({ key: `key-${i % 40}`, ...fields }));

export function encodedPart(stored: StoredEvent): EncodedEvent {
  const { slot: _slot, position: _position, recordedMs: _recordedMs, ...encoded } = stored;
  return encoded;
}

// ── reading ──
export const everySlot = (log: EventLog, after: PositionNumber = 0): Map<Slot, PositionNumber> =>
  new Map(Array.from({ length: log.capabilities.slots }, (_, slot) => [slot, after]));

/** Reads page after page until the head, checking that each page gets somewhere. */
export async function readAll(log: EventLog, request: Partial<ReadRequest> = {}): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  let after = request.after ?? everySlot(log);
  for (;;) {
    const page = await log.read({ limit: 1_000, scanMax: 10_000, ...request, after });
    events.push(...page.events);
    if (page.atHead) return events;
    const moved = [...page.scannedTo].some(([slot, to]) => to > (after.get(slot) ?? 0));
    if (!moved) throw new Error("a page that is not at the head looked at nothing");
    after = page.scannedTo;
  }
}

export const idsOf = (events: readonly EncodedEvent[]): string[] => events.map(({ id }) => id);

/** Fails where the promise takes longer than the subject's patience. */
export async function within<T>(subject: Subject, promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = realEnv.after(subject.patienceMs, () =>
    reject(new Error(`not within ${subject.patienceMs} ms: ${what}`)),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.cancel();
  }
}

/** The code of the error with which the promise rejects; "resolved" where it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (error) {
    return error instanceof FactlogError ? error.code : `not a FactlogError: ${String(error)}`;
  }
}

// ── subscriptions ──
type Define = Extract<Command, { kind: "define" }>;

export function definition(fields: Partial<Definition> = {}): Definition {
  return { types: ["Placed", "Paid"], order: "key", onExhausted: "hold-key", crashesMax: 3, slots: "all", ...fields };
}

export function define(
  ledger: Ledger,
  fields: Partial<Definition> = {},
  request: Partial<Omit<Define, "kind" | "definition">> = {},
): Promise<CommandResult> {
  const given = { name: "warehouse", start: new Map(), baseline: new Map(), ...request };
  return ledger.command({ kind: "define", definition: definition(fields), ...given });
}

// ── changes ──
const noOutcomes: Outcomes = { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 };

/** Progress to `low`. What was matched follows from what was closed and inserted, all of type Placed, unless it is given. */
export function progress(
  lease: SlotLease,
  fields: Partial<Omit<ProgressChange, "kind" | "lease" | "outcomes">> & { readonly outcomes?: Partial<Outcomes> } = {},
): ProgressChange {
  const outcomes = { ...noOutcomes, ...fields.outcomes };
  const ended = Object.values(outcomes).reduce((sum, count) => sum + count, 0) + (fields.insert?.length ?? 0);
  const matched = new Map(ended === 0 ? [] : [["Placed", ended]]);
  const nothing = { low: 0, ranges: [], claim: 0, matched, insert: [], effects: [], seen: [] };
  return { kind: "progress", lease, ...nothing, ...fields, outcomes };
}

export function row(position: PositionNumber, fields: Partial<RowInsert> = {}): RowInsert {
  const identity = { eventId: `event-${position}`, correlationId: `correlation-${position}`, atMs: 1_000 + position };
  return {
    position,
    eventSlot: 0,
    key: "k",
    holds: true,
    state: "ready",
    dueMs: 0,
    failures: 0,
    ...identity,
    ...fields,
  };
}

export const failure = (text: string, fields: Partial<FailureRecord> = {}): FailureRecord => ({
  atMs: 5_000,
  class: "error",
  fingerprint: "f",
  error: text,
  ...fields,
});

export const at = ({ sub, gen, slot }: SlotLease, position: PositionNumber): DeliveryRef => ({
  sub,
  gen,
  slot,
  position,
});

/** The end of the attempt that runs under `rowToken`. */
export function ending(delivery: DeliveryRef, rowToken: number, to: RowChange["to"], effects?: Effects): RowChange {
  return { kind: "row", delivery, rowToken, to, ...(effects === undefined ? {} : { effects }) };
}

export const closedAs = (as: Closing = "done"): RowChange["to"] => ({ state: "closed", as });
export const retryAt = (dueMs: number, failures = 1): RowChange["to"] => ({
  state: "retrying",
  dueMs,
  failures,
  failure: failure(`failure ${failures}`),
});
export const deadWith = (fields: { readonly holds?: boolean; readonly stop?: boolean } = {}): RowChange["to"] => ({
  state: "dead",
  failures: 8,
  holds: true,
  stop: false,
  failure: failure("given up"),
  ...fields,
});

export const starting = (lease: SlotLease, position: PositionNumber, rowToken: number): StartChange => ({
  kind: "start",
  lease,
  position,
  rowToken,
});

export const effects = (position: PositionNumber, fields: Partial<Effects> = {}): Effects => ({
  position,
  emits: [],
  writes: [],
  ...fields,
});

// ── looking ──
/** `found` has these fields, and perhaps others. */
export function assertHas<T extends object>(found: T, fields: Partial<T>): void {
  for (const name of Object.keys(fields) as (keyof T)[]) assert.deepEqual(found[name], fields[name], String(name));
}

export const rowStates: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];

export async function rowAt(ledger: Ledger, delivery: DeliveryRef): Promise<DeliveryRow | undefined> {
  return (await ledger.deliveries({ kind: "one", delivery }))[0];
}

/** The states of the rows of a slot by position: `{ 5: "running", 7: "held" }`. */
export async function statesOf(ledger: Ledger, sub: number): Promise<Record<PositionNumber, RowState>> {
  return Object.fromEntries((await rowsOf(ledger, sub)).map(({ position, state }) => [position, state]));
}

export async function rowsOf(ledger: Ledger, sub: number): Promise<DeliveryRow[]> {
  const pages = await Promise.all(
    rowStates.map((state) => ledger.deliveries({ kind: "state", state, sub, limit: 10_000 })),
  );
  return pages.flat();
}

export async function tallyOf(ledger: Ledger, sub: number): Promise<SubscriptionTally> {
  const found = (await ledger.tally()).find((tally) => tally.sub === sub);
  if (found === undefined) throw new Error(`the tally does not know subscription ${sub}`);
  return found;
}

/** All that a ledger shows of a subscription, to prove that a refused call changed nothing. */
export async function everythingOf({ ledger }: Engine, { sub, gen }: CommandResult): Promise<unknown> {
  const tally = await tallyOf(ledger, sub);
  const loaded = await ledger.load(tally.slots.map(({ slot }) => ({ sub, gen, slot })));
  const slots = loaded.map((state) => ({ ...state, busy: state.busy.toSorted(), seen: state.seen.toSorted() }));
  return { tally, slots, rows: await rowsOf(ledger, sub), outbox: await ledger.outbox(10_000) };
}
