import { FactlogError } from "../../errors.ts";
import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import { idConflict, sameContent } from "../../event/codec.ts";
import { correlationIdOf } from "../../event/envelope.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { emit, requireEmittable, type Context } from "./facts.ts";
import { identityOf } from "./store.ts";

/** Throws ID_CONFLICT where one of these may not be delayed beside what is there. Changes nothing. */
export function requireDelayable({ store, sharesLog }: Context, events: readonly DelayedEvent[]): void {
  const first = new Map<string, EncodedEvent>(store.delayed.map(({ event }) => [identityOf(event), event]));
  for (const [index, { event }] of events.entries()) {
    const logged = sharesLog ? store.byIdentity.get(identityOf(event)) : undefined;
    const other = first.get(identityOf(event)) ?? logged;
    if (other !== undefined && !sameContent(other, event)) throw idConflict(event, index);
    first.set(identityOf(event), event);
  }
}

/** What is known already is left as it stands. */
export function delay({ store, sharesLog }: Context, events: readonly DelayedEvent[]): { duplicate: boolean }[] {
  return events.map(({ event, dueMs }) => {
    const identity = identityOf(event);
    const waits = store.delayed.some((other) => identityOf(other.event) === identity);
    const duplicate = waits || (sharesLog && store.byIdentity.has(identity));
    if (!duplicate) store.delayed.push({ event, dueMs });
    return { duplicate };
  });
}

export function cancel({ store }: Context, identity: Identity): boolean {
  const before = store.delayed.length;
  store.delayed = store.delayed.filter(({ event }) => identityOf(event) !== identityOf(identity));
  return store.delayed.length < before;
}

export function fire(context: Context, nowMs: number, limit: number): Fired {
  const { store } = context;
  const due = store.delayed.filter(({ dueMs }) => dueMs <= nowMs).toSorted((a, b) => a.dueMs - b.dueMs);
  const fired = due.slice(0, limit);
  store.delayed = store.delayed.filter((one) => !fired.includes(one));
  const conflicts = fired.flatMap(({ event }) =>
    emitted(context, event) ? [] : [{ source: event.source, id: event.id }],
  );
  return { fired: fired.length, conflicts };
}

/** False where other content stands under this identity. */
function emitted(context: Context, event: EncodedEvent): boolean {
  try {
    requireEmittable(context, [event]);
  } catch (error) {
    if (error instanceof FactlogError && error.code === "ID_CONFLICT") return false;
    throw error;
  }
  emit(context, [event]);
  return true;
}

export function delayed({ store }: Context, { correlationId, after, limit }: DelayedQuery): DelayedEvent[] {
  const isAfter = (one: DelayedEvent): boolean => after === undefined || compare(placeOf(one), after) > 0;
  return store.delayed
    .filter(({ event }) => correlationId === undefined || correlationIdOf(event) === correlationId)
    .filter(isAfter)
    .toSorted((a, b) => compare(placeOf(a), placeOf(b)))
    .slice(0, limit);
}

type Place = NonNullable<DelayedQuery["after"]>;
const placeOf = ({ event: { source, id }, dueMs }: DelayedEvent): Place => ({ dueMs, source, id });
const compare = (a: Place, b: Place): number =>
  a.dueMs - b.dueMs ||
  Buffer.compare(Buffer.from(a.source), Buffer.from(b.source)) ||
  Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));

export function tick(context: Context, { schedule, seenMs, tickMs, events }: Tick): boolean {
  const { ticks } = context.store;
  if (ticks.get(schedule) !== seenMs) return false;
  requireEmittable(context, events);
  ticks.set(schedule, tickMs);
  emit(context, events);
  return true;
}
