import type { DeliveryRow, Ledger, Ranges, SubscriptionTally } from "../engine/ledger.ts";
import { correlationIdOf } from "./correlation.ts";
import type { PositionNumber, StoredEvent } from "../event/stored-event.ts";

/** What is still owed to some events by all subscriptions. */
export interface Outstanding {
  /** Deliveries that are neither closed nor dead. */
  readonly pending: number;
  readonly dead: readonly { readonly subscription: string; readonly row: DeliveryRow }[];
}

/** Asks the ledger about each (subscription, event) that matches. For the few events of one correlation. */
export async function outstanding(ledger: Ledger, events: readonly StoredEvent[]): Promise<Outstanding> {
  const subscriptions = await ledger.tally();
  let pending = 0;
  const dead: { subscription: string; row: DeliveryRow }[] = [];
  for (const subscription of subscriptions) {
    for (const event of events) {
      const status = await statusOf(ledger, subscription, event);
      if (status === "pending") pending++;
      else if (status !== "closed") dead.push({ subscription: subscription.name, row: status });
    }
  }
  const correlationId = events[0] === undefined ? undefined : correlationIdOf(events[0]);
  if (correlationId !== undefined) pending += (await ledger.delayed({ correlationId, limit: 1 })).length;
  pending += ledger.capabilities.sharesLog ? 0 : (await ledger.outbox(1)).length;
  return { pending, dead };
}

async function statusOf(
  ledger: Ledger,
  subscription: SubscriptionTally,
  event: StoredEvent,
): Promise<"closed" | "pending" | DeliveryRow> {
  const slot = subscription.definition.slots === "one" ? 0 : event.slot;
  const type = subscription.types.find((each) => each.type === event.type);
  if (subscription.state === "retired" || type === undefined || !subscription.definition.types.includes(event.type))
    return "closed";
  if (event.position <= (type.since.get(slot) ?? 0)) return "closed";
  const progress = subscription.slots.find((each) => each.slot === slot);
  if (progress === undefined || !passedBy(progress, event.position)) return "pending";
  const [row] = await ledger.deliveries({
    kind: "one",
    delivery: { sub: subscription.sub, gen: subscription.gen, slot, position: event.position },
  });
  if (row === undefined) return "closed";
  return row.state === "dead" ? row : "pending";
}

/** Whether the event is closed or has a row, by the slot's progress. */
export function passedBy(
  progress: { readonly low: PositionNumber; readonly ranges: Ranges },
  position: PositionNumber,
): boolean {
  return position <= progress.low || progress.ranges.some(([from, to]) => from <= position && position <= to);
}
