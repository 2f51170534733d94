import type { Outcomes, RowState, SubscriptionTally } from "../../engine/ledger.ts";
import { stateOf } from "./lease.ts";
import { newestOf, type Row, type Store, type Subscription } from "./store.ts";

/** Counts anew each time: the memory engine is there to be right, not fast. */
export function tally(store: Store): readonly SubscriptionTally[] {
  return [...store.subscriptions.values()].map((subscription) => tallyOf(store, subscription));
}

function tallyOf(store: Store, subscription: Subscription): SubscriptionTally {
  const { sub, gen, name, newest } = subscription;
  const slots = [...subscription.slots.values()];
  const rows = slots.flatMap((slot) => [...slot.rows.values()]);
  const served = [...store.sessions.values()].flatMap(({ serves }) => serves.filter((one) => one.sub === sub));
  return {
    sub,
    gen,
    name,
    revision: newest,
    state: stateOf(subscription),
    definition: newestOf(subscription),
    types: [...subscription.types].map(([type, entry]) => ({ type, ...entry })),
    slots: slots.map(({ slot, session, low, ranges, matched, outcomes }) => ({
      slot,
      session,
      low,
      ranges,
      matched,
      outcomes: { ...outcomes } satisfies Outcomes,
    })),
    rows: countByState(rows),
    waiting: rows.filter((row) => row.waits).length,
    blockedKeys: rows.filter((row) => row.state === "dead" && row.holds).length,
    oldestRowMs: oldest(rows.filter((row) => row.state !== "dead")),
    inFlight: served.reduce((sum, one) => sum + one.inFlight, 0),
  };
}

function countByState(rows: readonly Row[]): Record<RowState, number> {
  const counts: Record<RowState, number> = { held: 0, ready: 0, running: 0, retrying: 0, dead: 0, deferred: 0 };
  for (const row of rows) counts[row.state]++;
  return counts;
}

const oldest = (rows: readonly Row[]): number | undefined =>
  rows.length === 0 ? undefined : Math.min(...rows.map((row) => row.atMs));
