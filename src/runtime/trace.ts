import type { From } from "../app/subscription.ts";
import type { Engine } from "../engine/engine.ts";
import type { DeliveryRow } from "../engine/ledger.ts";
import { decodeUnknown } from "../event/decode.ts";
import type { RecordedEvent } from "../event/define.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { deadLetterId } from "./dead-letter-id.ts";
import { type DeliveryOf, deliveriesOf } from "./outstanding.ts";
import { walk } from "./read.ts";
import { stepsOf, type TraceStep } from "./trace-steps.ts";

/** What became of a correlation: its events as a tree of causes, each with its deliveries. */
export interface Trace {
  readonly correlationId: string;
  /** Events that nothing in this correlation has caused, oldest first. Empty: there are no such events. */
  readonly roots: readonly TraceNode[];
  readonly events: number;
  /** Deliveries that are neither closed nor dead. */
  readonly open: number;
  readonly dead: number;
  /** From the first event to the last. */
  readonly durationMs: number;
  /** There are more events than are shown: the oldest `limits.traceEventsMax` are. */
  readonly truncated: boolean;
}
export interface TraceNode {
  /** Its data as stored. */
  readonly event: RecordedEvent;
  /** From the recording of its cause to its own; of a root: undefined. */
  readonly afterMs: number | undefined;
  readonly deliveries: readonly TraceDelivery[];
  readonly caused: readonly TraceNode[];
}
export interface TraceDelivery {
  readonly subscription: string;
  /** "pending": no worker has looked at it yet. "ready": due, and not yet begun. */
  readonly state: "pending" | "held" | "ready" | "running" | "retrying" | "dead" | "deferred" | "closed";
  readonly failures: number;
  readonly crashes: number;
  /** Of a retrying one: its next attempt. */
  readonly dueAt: Date | undefined;
  /** The newest failure, of one that has failed and is not closed. */
  readonly failure: { readonly at: Date; readonly class: string; readonly error: string } | undefined;
  /** Of a dead one: what `factlog dead show` takes. */
  readonly deadLetter: string | undefined;
  /** It waits: `steps` tell for what. */
  readonly waits: boolean;
  /** What its handler has remembered, oldest first; at most `limits.traceStepsMax`. */
  readonly steps: readonly TraceStep[];
}

/** Reads the log through from `from` on: a correlation is found by looking at every event. */
export async function trace(engine: Engine, correlationId: string, from: From): Promise<Trace> {
  const { events, truncated } = await eventsOf(engine, correlationId, from);
  const deliveries = await deliveriesOf(engine.ledger, events);
  const states = deliveries.map(stateOf);
  const shownBy = new Map<DeliveryOf, TraceDelivery>();
  for (const each of deliveries) shownBy.set(each, await shown(engine, each));
  const [first, last] = [events[0], events.at(-1)];
  return {
    correlationId,
    roots: treeOf(engine, events, shownBy),
    events: events.length,
    open: states.filter((state) => state !== "closed" && state !== "dead").length,
    dead: states.filter((state) => state === "dead").length,
    durationMs: first === undefined || last === undefined ? 0 : last.recordedMs - first.recordedMs,
    truncated,
  };
}

async function eventsOf(
  engine: Engine,
  correlationId: string,
  from: From,
): Promise<{ readonly events: readonly StoredEvent[]; readonly truncated: boolean }> {
  const steps = await walk(engine.log, { correlationId, types: undefined }, from);
  const events: StoredEvent[] = [];
  while (!steps.atHead && events.length <= limits.traceEventsMax) events.push(...(await steps.next()));
  events.sort((a, b) => a.recordedMs - b.recordedMs || a.position - b.position);
  return { events: events.slice(0, limits.traceEventsMax), truncated: events.length > limits.traceEventsMax };
}

/** Oldest first, so that whatever caused an event stands before it; what names itself or a later one is a root. */
function treeOf(
  { log }: Engine,
  events: readonly StoredEvent[],
  deliveries: ReadonlyMap<DeliveryOf, TraceDelivery>,
): readonly TraceNode[] {
  const roots: TraceNode[] = [];
  const nodes = new Map<string, { readonly node: TraceNode; readonly caused: TraceNode[] }>();
  const byEvent = Map.groupBy(deliveries, ([{ event }]) => event);
  for (const stored of events) {
    const event = decodeUnknown(stored, log.epoch);
    const cause = event.causationId === undefined ? undefined : nodes.get(event.causationId);
    const caused: TraceNode[] = [];
    const node: TraceNode = {
      event,
      afterMs: cause === undefined ? undefined : event.recordedTime.getTime() - cause.node.event.recordedTime.getTime(),
      deliveries: (byEvent.get(stored) ?? []).map(([, delivery]) => delivery),
      caused,
    };
    (cause?.caused ?? roots).push(node);
    // Identity is (source, id), and a cause is named by its id alone: of two with one id the first is taken.
    if (!nodes.has(event.id)) nodes.set(event.id, { node, caused });
  }
  return roots;
}

const stateOf = ({ status }: DeliveryOf): TraceDelivery["state"] =>
  typeof status === "string" ? status : status.state;

async function shown({ ledger }: Engine, delivery: DeliveryOf): Promise<TraceDelivery> {
  const { subscription, status, place } = delivery;
  const row: DeliveryRow | undefined = typeof status === "string" ? undefined : status;
  const { failure } = row ?? {};
  return {
    subscription,
    state: stateOf(delivery),
    failures: row?.failures ?? 0,
    crashes: row?.crashes ?? 0,
    dueAt: row?.state === "retrying" && row.dueMs !== undefined ? new Date(row.dueMs) : undefined,
    failure:
      failure === undefined ? undefined : { at: new Date(failure.atMs), class: failure.class, error: failure.error },
    deadLetter: row?.state === "dead" ? deadLetterId(subscription, row) : undefined,
    waits: row?.waits === true,
    // What nobody has looked at, and what never had a row, has none.
    steps: status === "pending" ? [] : await stepsOf(ledger, place, row?.scope),
  };
}
