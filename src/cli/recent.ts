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

/** The head as a position: where the log has a total order, all that is there lies at or before it. */
export async function headOf({ store }: OpenedLog): Promise<{ readonly position: Position; readonly place: number }> {
  const { heads } = await store.engine.log.count([]);
  const place = Math.max(0, ...heads.values());
  return { position: formatPosition(store.engine.log.epoch, 0, place), place };
}

/** The newest `most` events that are wanted, oldest first: looks back from the head further and further. */
export async function newest(opened: OpenedLog, wanted: Wanted, most: number): Promise<readonly RecordedEvent[]> {
  const { log, store } = opened;
  const head = await headOf(opened);
  const { totalOrder } = store.engine.log.capabilities;
  for (let span = Math.max(most, 1); ; span *= 8) {
    const start = totalOrder ? Math.max(0, head.place - span) : 0;
    const from = formatPosition(store.engine.log.epoch, 0, start);
    const found: RecordedEvent[] = [];
    for await (const event of log.read({ ...readOptions(wanted), from: totalOrder ? from : "beginning" })) {
      if (wants(wanted, event)) found.push(event);
      if (found.length > 2 * most) found.splice(0, found.length - most);
    }
    if (found.length >= most || start === 0) return most === 0 ? [] : found.slice(-most);
  }
}
