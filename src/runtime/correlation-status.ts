import type { Engine } from "../engine/engine.ts";
import { formatPosition, justBefore, type Position } from "../event/position.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { deadLetterId } from "./dead-letter-id.ts";
import type { FollowOptions } from "./follow.ts";
import { outstanding } from "./outstanding.ts";
import { walk } from "./read.ts";

/** What has become of a correlation. */
export interface Correlation {
  readonly correlationId: string;
  /** "pending" as long as anything of it is; then "dead" where something of it is a dead letter. */
  readonly status: "pending" | "settled" | "dead";
  /** Deliveries that are neither closed nor dead. */
  readonly pending: number;
  readonly dead: readonly { readonly id: string; readonly subscription: string; readonly eventId: string }[];
  /** The first 1,000 of its events, in order. */
  readonly events: readonly {
    readonly id: string;
    readonly source: string;
    readonly type: string;
    readonly position: Position;
    readonly recordedTime: Date;
  }[];
}

/** One look. What is owed is asked for before the last events are read, as in `follow`: an answer in between is seen. */
export async function correlationOf(
  engine: Engine,
  correlationId: string,
  { since, group }: Pick<FollowOptions, "since" | "group">,
): Promise<Correlation | undefined> {
  const { epoch } = engine.log;
  const filter = { correlationId, types: undefined, ...(group === undefined ? {} : { group }) };
  const steps = await walk(engine.log, filter, since === undefined ? "beginning" : justBefore(since, epoch));
  const seen: StoredEvent[] = [];
  const more = async (): Promise<void> => {
    do seen.push(...(await steps.next()));
    while (!steps.atHead);
  };
  await more();
  for (;;) {
    const { length } = seen;
    const { pending, dead } = await outstanding(engine.ledger, seen);
    await more();
    if (seen.length === 0) return undefined;
    if (seen.length > length && pending === 0) continue;
    return {
      correlationId,
      status: pending > 0 ? "pending" : dead.length > 0 ? "dead" : "settled",
      pending,
      dead: dead.map(({ subscription, row }) => ({
        id: deadLetterId(subscription, row),
        subscription,
        eventId: row.eventId,
      })),
      events: seen.slice(0, limits.listMax).map((event) => ({
        id: event.id,
        source: event.source,
        type: event.type,
        position: formatPosition(epoch, event.slot, event.position),
        recordedTime: new Date(event.recordedMs),
      })),
    };
  }
}
