import type { RecordedEvent } from "../event/define.ts";
import { formatPosition, type Position } from "../event/position.ts";
import type { ReadOptions } from "../runtime/read.ts";
import type { OpenedLog } from "./open.ts";

/** Which events a reader of the command line wants. */
export interface Wanted {
  readonly types: readonly string[];
  readonly key: string | undefined;
  readonly correlationId: string | undefined;
}

export const wants = (wanted: Wanted, event: RecordedEvent): boolean =>
  wanted.types.length === 0 || wanted.types.includes(event.type);

export function readOptions({ key, correlationId }: Wanted): Pick<ReadOptions, "key" | "correlationId"> {
  return { ...(key === undefined ? {} : { key }), ...(correlationId === undefined ? {} : { correlationId }) };
}

export interface Head {
  readonly position: Position;
  /** Its plain number. */
  readonly place: number;
}

/** Where the log has a total order, all that is there now lies at or before it. */
export const headOf = ({ log }: OpenedLog): Promise<Head> => log.head();

/** Reads no further than this head, where it says something of all slots. */
export function upTo({ store }: OpenedLog, head: Head): Pick<ReadOptions, "to"> {
  return store.engine.log.capabilities.totalOrder ? { to: head.position } : {};
}

/** The newest `most` events at or before `head` that are wanted, oldest first: looks back further and further. */
export async function newest(
  opened: OpenedLog,
  wanted: Wanted,
  most: number,
  head: Head,
): Promise<readonly RecordedEvent[]> {
  const { log, store } = opened;
  if (most === 0) return [];
  for (let span = most; ; span *= 8) {
    const start = store.engine.log.capabilities.totalOrder ? Math.max(0, head.place - span) : 0;
    const from = start === 0 ? "beginning" : formatPosition(store.engine.log.epoch, 0, start);
    const found: RecordedEvent[] = [];
    for await (const event of log.read({ ...readOptions(wanted), from, ...upTo(opened, head) })) {
      if (wants(wanted, event)) found.push(event);
      if (found.length > 2 * most) found.splice(0, found.length - most);
    }
    if (found.length >= most || start === 0) return found.slice(-most);
  }
}
