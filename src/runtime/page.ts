import type { EventLog } from "../engine/event-log.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, EventOf } from "../event/define.ts";
import { formatPosition, type Position } from "../event/position.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { type ReadOptions, View, type Walk, walk } from "./read.ts";

export interface PageOptions<E extends AnyEventType = AnyEventType> extends Omit<ReadOptions<E>, "to" | "signal"> {
  /** Events of the page, 1 to 1,000; default 100. A page of large events has fewer. */
  readonly limit?: number;
}

export interface Page<E> {
  readonly events: readonly E[];
  /** Give it as `from` for the next page. It stands even where the page is empty: so far was looked. */
  readonly next: Position;
  /** Nothing further was there. */
  readonly atHead: boolean;
}

/** Looks until the page is full, the log ends, or enough was looked at: little that matches must not hold a caller. */
export async function page<E extends AnyEventType>(log: EventLog, options: PageOptions<E>): Promise<Page<EventOf<E>>> {
  const limit = options.limit ?? limits.listDefault;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > limits.listMax)
    throw new FactlogError("INVALID_OPTION", `limit is ${limit}: give 1 to ${limits.listMax}.`);
  if (!log.capabilities.totalOrder)
    throw new FactlogError("NOT_SUPPORTED", "this log has no order between slots, so it has no pages: use log.read.");
  const view = new View(options, log.epoch);
  const steps = await walk(log, { ...options, types: view.types }, options.from ?? "beginning");
  const stored: StoredEvent[] = [];
  let bytes = 0;
  for (let looks = 0; looks < limits.pageLooksMax; looks++) {
    for (const event of await steps.next()) {
      bytes += event.data.length;
      if (stored.length === limit || (stored.length > 0 && bytes > limits.listBytesMax)) return cut(log, view, stored);
      stored.push(event);
    }
    if (steps.atHead) break;
  }
  const events = stored.map((each) => view.decode(each));
  return { events, next: formatPosition(log.epoch, 0, placeOf(steps)), atHead: steps.atHead };
}

/** Full before all that was read was taken: the next page begins behind its last event. */
function cut<E extends AnyEventType>(log: EventLog, view: View<E>, stored: readonly StoredEvent[]): Page<EventOf<E>> {
  const last = stored.at(-1) as StoredEvent;
  const events = stored.map((each) => view.decode(each));
  return { events, next: formatPosition(log.epoch, last.slot, last.position), atHead: false };
}

const placeOf = (steps: Walk): number => Math.max(0, ...steps.at.values());
