import { FactlogError } from "../../errors.ts";
import type { LeaseRequest, LeaseState, SlotLease, SubscriptionState } from "../../engine/ledger.ts";
import { closeRow, remember, runningRow } from "./record.ts";
import type { Context } from "./facts.ts";
import {
  bury,
  deliveryRows,
  freeSlot,
  makeReady,
  newestOf,
  slotRowOf,
  slotRows,
  type Row,
  type Store,
  type Subscription,
} from "./store.ts";

/** Join, beat, declare dead, give back, take, leave: in the order of the port. */
export function lease(context: Context, request: LeaseRequest): LeaseState {
  const { store } = context;
  const session = beat(store, request);
  for (const { session: other, beat: seen } of request.dead) {
    if (store.sessions.get(other)?.beat === seen) declareDead(context, other, request.crashDueMs);
  }
  for (const given of request.giveBack) {
    const slot = slotRowOf(store, given);
    if (slot?.session === session && slot.token === given.token) freeSlot(slot);
  }
  for (const ref of request.release) {
    const row = runningRow(store, session, ref, ref.rowToken);
    if (row !== undefined) release(store, row);
  }
  for (const want of request.want) take(store, session, want);
  if (request.leave === true) leave(store, session);
  return stateFor(store, session);
}

function beat(store: Store, request: LeaseRequest): number {
  const { leaseMs, serves } = request;
  if (request.session === undefined) {
    const session = ++store.last.session;
    store.sessions.set(session, { session, beat: 1, leaseMs, serves });
    return session;
  }
  const mine = store.sessions.get(request.session);
  if (mine === undefined) {
    throw new FactlogError("LEASE_LOST", "this session was declared dead by others: join anew.");
  }
  Object.assign(mine, { beat: mine.beat + 1, leaseMs, serves });
  return mine.session;
}

function declareDead(context: Context, session: number, crashDueMs: number): void {
  const { store } = context;
  store.sessions.delete(session);
  for (const row of deliveryRows(store)) {
    if (row.state === "running" && row.session === session) takeFromDead(context, row, crashDueMs);
  }
  for (const slot of slotRows(store)) {
    if (slot.session !== session) continue;
    slot.session = undefined;
    slot.token++;
    slot.suspect = Math.max(slot.suspect, slot.claim);
  }
}

function takeFromDead(context: Context, row: Row, crashDueMs: number): void {
  const slot = slotRowOf(context.store, row)!;
  if (slot.settled.has(row.position)) closeRow(slot, row, "done");
  else chargeCrash(context, row, crashDueMs);
}

/** It goes on elsewhere, unless its own transaction has settled it. */
function release(store: Store, row: Row): void {
  const slot = slotRowOf(store, row)!;
  if (slot.settled.has(row.position)) closeRow(slot, row, "done");
  else makeReady(row, 0);
}

function chargeCrash({ store, env }: Context, row: Row, crashDueMs: number): void {
  const { crashesMax, onExhausted } = newestOf(store.subscriptions.get(row.sub)!);
  row.crashes++;
  makeReady(row, crashDueMs);
  if (row.crashes < crashesMax) return;
  remember(row, {
    atMs: env.now(),
    class: "crash",
    fingerprint: "crash",
    error: `the process died ${row.crashes} times while this delivery was running`,
  });
  const holds = row.holds && onExhausted !== "skip-event";
  bury(slotRowOf(store, row)!, row, { holds, stop: onExhausted === "stop" });
}

function take(store: Store, session: number, want: LeaseRequest["want"][number]): void {
  const subscription = store.subscriptions.get(want.sub);
  if (subscription?.gen !== want.gen || subscription.newest !== want.revision) return;
  const slots = [...subscription.slots.values()];
  const missing = want.slots - slots.filter((slot) => slot.session === session).length;
  for (const slot of slots.filter((free) => free.session === undefined).slice(0, Math.max(0, missing))) {
    slot.session = session;
    slot.token++;
  }
}

function leave(store: Store, session: number): void {
  for (const slot of slotRows(store)) if (slot.session === session) freeSlot(slot);
  for (const row of deliveryRows(store)) if (row.session === session) release(store, row);
  store.sessions.delete(session);
}

function stateFor(store: Store, session: number): LeaseState {
  return {
    session,
    sessions: [...store.sessions.values()].map((one) => ({ ...one, gone: false })),
    held: slotRows(store)
      .filter((slot) => slot.session === session)
      .map(({ sub, gen, slot, token }): SlotLease => ({ sub, gen, slot, token })),
    subscriptions: [...store.subscriptions.values()].map((subscription) => ({
      sub: subscription.sub,
      gen: subscription.gen,
      revision: subscription.newest,
      state: stateOf(subscription),
    })),
  };
}

export function stateOf(subscription: Subscription): SubscriptionState {
  const slots = [...subscription.slots.values()];
  const stopped = slots.some(({ rows }) => [...rows.values()].some((row) => row.state === "dead" && row.stop));
  return stopped ? "stopped" : "active";
}
