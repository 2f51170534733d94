import type { DeliveryRef, DeliveryRow, Ledger, Ranges, SubscriptionTally } from "../engine/ledger.ts";
import { correlationIdOf } from "./correlation.ts";
import type { PositionNumber, StoredEvent } from "../event/stored-event.ts";

/** What is still owed to some events by all subscriptions. */
export interface Outstanding {
  /** Deliveries that are neither closed nor dead. */
  readonly pending: number;
  readonly dead: readonly Standing[];
  /** Those of the pending that wait: for time, for a fact, for a person. */
  readonly waiting: readonly Standing[];
}
export interface Standing {
  readonly subscription: string;
  readonly row: DeliveryRow;
}

/** Asks the ledger about each (subscription, event) that matches. For the few events of one correlation. */
export async function outstanding(ledger: Ledger, events: readonly StoredEvent[]): Promise<Outstanding> {
  let pending = 0;
  const dead: Standing[] = [];
  const waiting: Standing[] = [];
  for (const { subscription, status } of await deliveriesOf(ledger, events)) {
    if (status === "pending") pending++;
    else if (status !== "closed" && status.state === "dead") dead.push({ subscription, row: status });
    else if (status !== "closed") {
      pending++;
      if (status.waits) waiting.push({ subscription, row: status });
    }
  }
  const correlationId = events[0] === undefined ? undefined : correlationIdOf(events[0]);
  if (correlationId !== undefined) pending += (await ledger.delayed({ correlationId, limit: 1 })).length;
  pending += ledger.capabilities.sharesLog ? 0 : (await ledger.outbox(1)).length;
  return { pending, dead, waiting };
}

/** A subscription's debt to an event: not looked at yet, closed, or as its row says. */
export interface DeliveryOf {
  readonly event: StoredEvent;
  readonly subscription: string;
  readonly status: "pending" | "closed" | DeliveryRow;
  readonly place: DeliveryRef;
}

/** The deliveries of these events, by subscription. */
export async function deliveriesOf(ledger: Ledger, events: readonly StoredEvent[]): Promise<readonly DeliveryOf[]> {
  const found: DeliveryOf[] = [];
  for (const subscription of await ledger.tally()) {
    for (const event of events) {
      const place = {
        sub: subscription.sub,
        gen: subscription.gen,
        slot: slotOf(subscription, event),
        position: event.position,
      };
      const status = await statusOf(ledger, subscription, event, place);
      if (status !== undefined) found.push({ event, subscription: subscription.name, status, place });
    }
  }
  return found;
}

const slotOf = ({ definition }: SubscriptionTally, event: StoredEvent): number =>
  definition.slots === "one" ? 0 : event.slot;

/** Undefined where the event is none of the subscription's. */
async function statusOf(
  ledger: Ledger,
  subscription: SubscriptionTally,
  event: StoredEvent,
  delivery: DeliveryRef,
): Promise<DeliveryOf["status"] | undefined> {
  const { slot } = delivery;
  const type = subscription.types.find((each) => each.type === event.type);
  if (subscription.state === "retired" || type === undefined || !subscription.definition.types.includes(event.type))
    return undefined;
  if (event.position <= (type.since.get(slot) ?? 0)) return undefined;
  const progress = subscription.slots.find((each) => each.slot === slot);
  if (progress === undefined || !passedBy(progress, event.position)) return "pending";
  const [row] = await ledger.deliveries({ kind: "one", delivery });
  return row ?? "closed";
}

/** Whether the event is closed or has a row, by the slot's progress. */
export function passedBy(
  progress: { readonly low: PositionNumber; readonly ranges: Ranges },
  position: PositionNumber,
): boolean {
  return position <= progress.low || progress.ranges.some(([from, to]) => from <= position && position <= to);
}
