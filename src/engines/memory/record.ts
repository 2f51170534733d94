import { FactlogError, assert } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { firstRowToken } from "../../engine/ledger.ts";
import type { StepChange } from "../../engine/journal.ts";
import type {
  AnnounceChange,
  Change,
  DeliveryRef,
  Effects,
  FailureRecord,
  Outcomes,
  ProgressChange,
  Recorded,
  RelayChange,
  RowChange,
  RowInsert,
  RowState,
  SlotLease,
  StartChange,
} from "../../engine/ledger.ts";
import { sameContent } from "../../event/codec.ts";
import { append } from "./event-log.ts";
import { emit, enqueue, requireEmittable, waiting, type Context } from "./facts.ts";
import { moveStep } from "./journal.ts";
import { delay, requireDelayable } from "./timetable.ts";
import {
  bury,
  holders,
  identityOf,
  makeReady,
  promote,
  slotRowOf,
  type Row,
  type SlotRow,
  type Store,
} from "./store.ts";

const lost: Recorded = { status: "lost", freed: [], promoted: false };
const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0);

/** Looks for impossible changes before the first one is applied: together they are one transaction. */
export function requireSound(changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind !== "progress") continue;
    const ended = total(Object.values(change.outcomes)) + change.insert.length;
    assert(total(change.matched.values()) === ended, "a progress change matched other than it closed and inserted");
  }
}

/** Applies one change, or nothing of it. */
export function apply(context: Context, session: number, change: Change): Recorded {
  switch (change.kind) {
    case "progress":
      return progress(context, session, change);
    case "row":
      return endRow(context, session, change);
    case "start":
      return start(context, session, change);
    case "step":
      return step(context, session, change);
    case "announce":
      return announce(context, session, change);
    case "relay":
      return relay(context, session, change);
  }
}

function progress(context: Context, session: number, change: ProgressChange): Recorded {
  const slot = leasedSlot(context.store, session, change.lease);
  if (slot === undefined || change.low < slot.low) return lost;
  const refused = refusalOf(context, change.effects);
  if (refused !== undefined) return refused;
  const { types } = context.store.subscriptions.get(slot.sub)!;
  for (const type of change.matched.keys()) assert(types.has(type), `the subscription never named the type ${type}`);
  for (const { position } of change.insert) assert(!slot.rows.has(position), `position ${position} has a row already`);
  slot.low = change.low;
  slot.ranges = change.ranges;
  slot.claim = Math.max(slot.claim, change.claim);
  if (slot.low >= slot.suspect) slot.suspect = 0;
  for (const [type, count] of change.matched) {
    types.get(type)!.matched += count;
    slot.matched += count;
  }
  for (const name of Object.keys(change.outcomes) as (keyof Outcomes)[]) slot.outcomes[name] += change.outcomes[name];
  for (const insert of change.insert) insertRow(slot, session, insert);
  enact(context, slot, change.effects);
  for (const { identity, atMs } of change.seen) slot.seen.set(identity, atMs);
  for (const position of slot.settled)
    if (position <= slot.low && !slot.rows.has(position)) slot.settled.delete(position);
  return recorded(
    slot,
    change.insert.map((insert) => insert.key),
    false,
  );
}

function insertRow(slot: SlotRow, session: number, insert: RowInsert): void {
  const { failure, stop, group, ...fields } = insert;
  const behind = holders(slot, insert.key).some((row) => row.position < insert.position);
  const state = behind && insert.holds && insert.state !== "running" ? "held" : insert.state;
  slot.rows.set(insert.position, {
    ...fields,
    sub: slot.sub,
    gen: slot.gen,
    slot: slot.slot,
    state,
    dueMs: state === "ready" || state === "retrying" ? insert.dueMs : undefined,
    rowToken: firstRowToken,
    session: state === "running" ? session : undefined,
    scope: 0,
    crashes: 0,
    redriven: false,
    waits: false,
    woken: false,
    group: state === "deferred" ? (group ?? "") : undefined,
    event: insert.event,
    stop: state === "dead" && stop === true,
    history: failure === undefined ? [] : [failure],
  });
}

function endRow(context: Context, session: number, change: RowChange): Recorded {
  const { to, delivery, effects } = change;
  const row = runningRow(context.store, session, delivery, change.rowToken);
  if (row === undefined) return lost;
  const slot = slotRowOf(context.store, delivery)!;
  if (to.state === "closed") {
    const wanted = effects === undefined ? [] : [effects];
    const refused = refusalOf(context, wanted);
    if (refused !== undefined) return refused;
    enact(context, slot, wanted);
    return recorded(slot, [row.key], closeRow(slot, row, to.as));
  }
  row.failures = to.failures;
  if (to.failure !== undefined) remember(row, to.failure);
  if (to.state === "dead") return recorded(slot, [row.key], bury(slot, row, to));
  if (to.state === "deferred") {
    makeReady(row, 0);
    row.state = "deferred";
    row.dueMs = undefined;
    row.group = to.group;
    return recorded(slot, [row.key], promote(slot, row.key));
  }
  const due = to.waits === true && row.woken ? ({ state: "ready", dueMs: 0 } as const) : to;
  makeReady(row, due.dueMs);
  row.state = due.state;
  row.waits = to.waits === true && due === to;
  row.holds = to.holds ?? row.holds;
  return recorded(slot, [row.key], promote(slot, row.key) || due !== to);
}

function step(context: Context, session: number, change: StepChange): Recorded {
  const row = runningRow(context.store, session, change.delivery, change.rowToken);
  if (row === undefined) return lost;
  const stood = moveStep(context.store, row, change);
  return { status: "ok", freed: [], promoted: false, ...(stood === undefined ? {} : { stood }) };
}

/** Removes a row and counts how it ended. True where the next of its key became ready. */
export function closeRow(slot: SlotRow, row: Row, as: keyof Outcomes): boolean {
  slot.rows.delete(row.position);
  if (row.position <= slot.low) slot.settled.delete(row.position);
  slot.outcomes[as]++;
  return promote(slot, row.key);
}

/** The first failure and the newest ones stay. */
export function remember(row: Row, failure: FailureRecord): void {
  row.history.push(failure);
  if (row.history.length > limits.failuresKeptMax) row.history.splice(1, 1);
}

const startable: ReadonlySet<RowState> = new Set(["ready", "retrying", "deferred"]);
function start(context: Context, session: number, change: StartChange): Recorded {
  const slot = leasedSlot(context.store, session, change.lease);
  const row = slot?.rows.get(change.position);
  if (slot === undefined || row?.rowToken !== change.rowToken) return lost;
  if (!startable.has(row.state)) return lost;
  const holds = row.holds || change.holds === true;
  if (holds && holders(slot, row.key).some((other) => other !== row && other.state === "running")) return lost;
  row.holds = holds;
  row.state = "running";
  row.dueMs = undefined;
  row.session = session;
  row.waits = false;
  row.woken = false;
  row.rowToken++;
  return recorded(slot, [row.key], false);
}

function announce(context: Context, session: number, change: AnnounceChange): Recorded {
  const { fence, event } = change;
  const { store, env, sharesLog } = context;
  const good =
    "lease" in fence
      ? leasedSlot(store, session, fence.lease)
      : runningRow(store, session, fence.delivery, fence.rowToken);
  if (good === undefined) return lost;
  const first = sharesLog ? store.byIdentity.get(identityOf(event)) : waiting(store, event);
  const diverged = first !== undefined && !sameContent(first, event);
  if (!sharesLog && first === undefined) enqueue(store, [event]);
  const appended = sharesLog ? append(store, [first ?? event], env.now())[0] : undefined;
  return { status: "ok", freed: [], promoted: false, announced: { appended, diverged } };
}

function relay(context: Context, session: number, change: RelayChange): Recorded {
  const slot = leasedSlot(context.store, session, change.lease);
  if (slot === undefined) return lost;
  context.store.outbox = context.store.outbox.filter((row) => !change.done.includes(row.seq));
  return recorded(slot, [], false);
}

// ── fences ──
export function leasedSlot(store: Store, session: number, lease: SlotLease): SlotRow | undefined {
  const slot = slotRowOf(store, lease);
  const mine = store.sessions.has(session) && slot?.session === session && slot.token === lease.token;
  return mine ? slot : undefined;
}

export function runningRow(store: Store, session: number, delivery: DeliveryRef, rowToken: number): Row | undefined {
  const row = slotRowOf(store, delivery)?.rows.get(delivery.position);
  const mine = store.sessions.has(session) && row?.session === session && row.rowToken === rowToken;
  return mine && row.state === "running" ? row : undefined;
}

// ── effects ──
/** Whether, and because of whom, these effects cannot take place. Changes nothing. */
export function refusalOf(context: Context, effects: readonly Effects[]): Recorded | undefined {
  const refuse = (position: number, error: unknown): Recorded => ({
    ...lost,
    status: "refused",
    refused: { position, error },
  });
  const writer = effects.find(({ writes }) => writes.length > 0);
  if (writer !== undefined) {
    const reason = "the memory engine has no SQL: use an SQLite or PostgreSQL engine for ctx.write.";
    return refuse(writer.position, new FactlogError("NOT_SUPPORTED", reason));
  }
  const emits = effects.flatMap(({ position, emits }) => emits.map((event) => ({ position, event })));
  try {
    requireEmittable(
      context,
      emits.map(({ event }) => event),
    );
  } catch (error) {
    const index = (error as FactlogError).details["index"] as number;
    return refuse(emits[index]!.position, error);
  }
  const later = effects.flatMap(({ position, delayed = [] }) => delayed.map((one) => ({ position, ...one })));
  try {
    requireDelayable(context, later);
  } catch (error) {
    const index = (error as FactlogError).details["index"] as number;
    return refuse(later[index]!.position, error);
  }
  return undefined;
}

export function enact(context: Context, slot: SlotRow, effects: readonly Effects[]): void {
  const { states } = context.store.subscriptions.get(slot.sub)!;
  emit(
    context,
    effects.flatMap(({ emits }) => emits),
  );
  delay(
    context,
    effects.flatMap(({ delayed = [] }) => delayed),
  );
  for (const { state } of effects) {
    if (state?.value !== undefined) states.set(state.key, state.value);
    else if (state !== undefined) states.delete(state.key);
  }
}

function recorded(slot: SlotRow, keys: readonly string[], promoted: boolean): Recorded {
  const freed = [...new Set(keys)].filter((key) => holders(slot, key).length === 0);
  return { status: "ok", freed, promoted };
}
