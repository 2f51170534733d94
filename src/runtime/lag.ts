import type { EventLog } from "../engine/event-log.ts";
import type { SubscriptionTally } from "../engine/ledger.ts";
import { limits } from "../limits.ts";
import { passedBy } from "./outstanding.ts";

/** Matching events that no worker has settled or put aside yet: counted from the counters, not from the log. */
export async function pendingOf(log: EventLog, subscription: SubscriptionTally): Promise<number> {
  const current = subscription.types.filter((each) => subscription.definition.types.includes(each.type));
  if (current.length === 0) return 0;
  const { appended } = await log.count(current.map((each) => each.type));
  const open = current.reduce((sum, each) => sum + (appended.get(each.type) ?? 0) - each.baseline - each.matched, 0);
  return Math.max(0, open);
}

/** Recorded time of the oldest open delivery that is not dead. Where little matches, at most one scan deep. */
export async function oldestOpenMs(
  log: EventLog,
  subscription: SubscriptionTally,
  pending: number,
): Promise<number | undefined> {
  const oldestPendingMs = pending === 0 ? undefined : await oldestPending(log, subscription);
  const times = [subscription.oldestRowMs, oldestPendingMs].filter((each) => each !== undefined);
  return times.length === 0 ? undefined : Math.min(...times);
}

async function oldestPending(log: EventLog, subscription: SubscriptionTally): Promise<number | undefined> {
  const whole = subscription.definition.slots === "one";
  const progress = new Map(subscription.slots.map((slot) => [slot.slot, slot]));
  const after = new Map<number, number>();
  for (let slot = 0; slot < log.capabilities.slots; slot++) after.set(slot, progress.get(whole ? 0 : slot)?.low ?? 0);
  const page = await log.read({
    after,
    types: new Set(subscription.definition.types),
    limit: limits.pageEvents,
    scanMax: limits.scanMax,
  });
  const open = page.events.find((event) => {
    const slot = progress.get(whole ? 0 : event.slot);
    const since = subscription.types.find((each) => each.type === event.type)?.since.get(whole ? 0 : event.slot) ?? 0;
    return slot !== undefined && event.position > since && !passedBy(slot, event.position);
  });
  return open?.recordedMs;
}
