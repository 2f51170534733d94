import type { Receipt } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Settlement } from "../delivery/outcome.ts";
import type { Position } from "../event/position.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { type DeliveryMessage, deliveryStage, publishStage } from "../observe/channels.ts";
import { describeFailure } from "./failure.ts";
import type { Delivery } from "./slot-work.ts";

/** An attempt has ended, and this was decided at `nowMs`. Call only while `deliveryStage` has subscribers. */
export function tellDelivery(
  spec: SubscriptionSpec,
  delivery: Delivery,
  settlement: Settlement,
  nowMs: number,
  durationMs: number,
): void {
  const { event, failures, crashes, suspect } = delivery;
  const failed = settlement.kind === "retry" || settlement.kind === "dead";
  deliveryStage.publish({
    subscription: spec.name,
    type: event.type,
    id: event.id,
    key: event.key,
    outcome: outcomeOf(settlement),
    attempt: failures + 1,
    attemptsMax: spec.retry.attemptsMax,
    durationMs,
    dueInMs:
      settlement.kind === "retry" || settlement.kind === "wait" ? Math.max(0, settlement.dueMs - nowMs) : undefined,
    error: failed ? describeFailure(settlement.class, settlement.error).error : undefined,
    again: suspect === true || crashes > 0,
  });
}

function outcomeOf(settlement: Settlement): DeliveryMessage["outcome"] {
  if (settlement.kind === "close") return settlement.as;
  if (settlement.kind === "dead") return "dead";
  if (settlement.kind === "wait") return "waiting";
  return settlement.class === "deferred" || settlement.class === "await-deploy" ? settlement.class : "retry";
}

/** Call only while `publishStage` has subscribers. */
export function tellPublished(event: EncodedEvent, receipt: Receipt, durationMs: number): void {
  publishStage.publish({
    type: event.type,
    id: event.id,
    key: event.key,
    position: receipt.position as Position,
    duplicate: receipt.duplicate,
    durationMs,
  });
}
