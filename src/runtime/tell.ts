import type { Receipt } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Settlement } from "../delivery/outcome.ts";
import type { NewEvent } from "../event/define.ts";
import type { Position } from "../event/position.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import {
  type Beginning,
  type DeliveryMessage,
  deliveryStage,
  type HandleBeginning,
  handleBeginning,
  type PublishBeginning,
  publishBeginning,
  publishStage,
} from "../observe/channels.ts";
import { describeFailure } from "./failure.ts";
import type { Delivery } from "./slot-work.ts";

/** Runs a publish as the listeners of its beginning want. Call only while `publishBeginning` has subscribers. */
export async function publishTold<T>(
  events: readonly NewEvent[],
  run: (trace: Pick<Beginning, "traceparent" | "tracestate">) => Promise<T>,
): Promise<T> {
  const beginning: PublishBeginning = {
    types: [...new Set(events.map((event) => event.type))],
    events: events.length,
  };
  publishBeginning.publish(beginning);
  return beginning.around === undefined ? run(beginning) : (beginning.around(() => run(beginning)) as Promise<T>);
}

/** Runs a handler as the listeners of its beginning want. Call only while `handleBeginning` has subscribers. */
export function handleTold(
  facts: Omit<HandleBeginning, keyof Beginning>,
  run: (trace: Pick<Beginning, "traceparent" | "tracestate">) => unknown,
): unknown {
  const beginning: HandleBeginning = { ...facts, delivery: standInFor(facts.delivery) };
  handleBeginning.publish(beginning);
  return beginning.around === undefined ? run(beginning) : beginning.around(() => run(beginning));
}

/** What listeners see of a delivery: one object each, with nothing in it. Messages are copied and printed. */
const standIns = new WeakMap<object, object>();
function standInFor(delivery: object): object {
  const known = standIns.get(delivery);
  if (known !== undefined) return known;
  const made = Object.freeze({});
  standIns.set(delivery, made);
  return made;
}

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
    delivery: standInFor(delivery),
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
