import type { EventLog } from "../engine/event-log.ts";
import type { SubscriptionTally } from "../engine/ledger.ts";
import type { PositionNumber, Slot } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { passedBy } from "./outstanding.ts";

/** Matching events that no worker has settled or put aside yet: counted from the counters, not from the log. */
export function pendingOf(subscription: SubscriptionTally, appended: ReadonlyMap<string, number>): number {
  const current = subscription.types.filter((each) => subscription.definition.types.includes(each.type));
  const open = current.reduce((sum, each) => sum + (appended.get(each.type) ?? 0) - each.baseline - each.matched, 0);
  return Math.max(0, open);
}

/** How far the log was looked through for a subscription's oldest pending event without finding it. */
interface Looked {
  readonly revision: number;
  readonly to: Map<Slot, PositionNumber>;
}

/**
 * Finds the recorded time of what a subscription has owed for longest. Where little of the log matches, one look goes
 * `limits.lagPagesMax` pages far and the next goes on from there; until it is found, the time of the next event not yet
 * looked at stands for it: then the lag is at most what is said, and never too small.
 */
export class OldestOpen {
  readonly #log: EventLog;
  readonly #looked = new Map<string, Looked>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Recorded time of the oldest open delivery that is not dead. */
  async timeMs(subscription: SubscriptionTally, pending: number): Promise<number | undefined> {
    const pendingMs = pending === 0 ? undefined : await this.#oldestPending(subscription);
    const times = [subscription.oldestRowMs, pendingMs].filter((each) => each !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }
  async #oldestPending(subscription: SubscriptionTally): Promise<number | undefined> {
    const { definition } = subscription;
    const types = new Set(definition.types);
    const whole = definition.slots === "one";
    const progress = new Map(subscription.slots.map((slot) => [slot.slot, slot]));
    const after = this.#start(subscription);
    for (let page = 0; page < limits.lagPagesMax; page++) {
      const { events, scannedTo, atHead } = await this.#log.read({
        after,
        types,
        limit: limits.pageEvents,
        scanMax: limits.scanMax,
      });
      const open = events.find((event) => {
        const slot = progress.get(whole ? 0 : event.slot);
        const type = subscription.types.find((each) => each.type === event.type);
        const since = type?.since.get(whole ? 0 : event.slot) ?? 0;
        return slot !== undefined && event.position > since && !passedBy(slot, event.position);
      });
      if (open !== undefined) return open.recordedMs;
      for (const [slot, to] of scannedTo) after.set(slot, Math.max(to, after.get(slot) ?? 0));
      if (atHead) return undefined;
    }
    const next = await this.#log.read({ after, limit: 1, scanMax: limits.scanMax });
    return next.events[0]?.recordedMs;
  }
  /** Behind `low`, and behind what an earlier look at this revision has passed. The map is the one that is kept. */
  #start({ sub, gen, revision, definition, slots }: SubscriptionTally): Map<Slot, PositionNumber> {
    const name = `${sub}.${gen}`;
    const known = this.#looked.get(name);
    const looked = known?.revision === revision ? known : { revision, to: new Map<Slot, PositionNumber>() };
    this.#looked.set(name, looked);
    const lows = new Map(slots.map((slot) => [slot.slot, slot.low]));
    for (let slot = 0; slot < this.#log.capabilities.slots; slot++) {
      const low = lows.get(definition.slots === "one" ? 0 : slot) ?? 0;
      looked.to.set(slot, Math.max(low, looked.to.get(slot) ?? 0));
    }
    return looked.to;
  }
}
