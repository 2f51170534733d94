import type { PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import type { Names } from "./names.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;
const uuidBytes = 16;

/**
 * An id as it is stored, in hex: a canonical UUID as its 16 bytes, any other as its UTF-8. One of those that has 16 bytes
 * gets a zero byte at its end, which no id may hold.
 */
export function idHex(id: string): string {
  if (id.length === 36 && uuid.test(id)) return id.replaceAll("-", "");
  const hex = Buffer.from(id, "utf8").toString("hex");
  return hex.length === 2 * uuidBytes ? `${hex}00` : hex;
}

export function idOfHex(hex: string): string {
  if (hex.length === 2 * uuidBytes) {
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
  const text = Buffer.from(hex, "hex").toString("utf8");
  return text.endsWith("\0") ? text.slice(0, -1) : text;
}

export type EventRow = readonly [
  position: PositionNumber,
  source: number,
  id: string,
  schema: number,
  slot: number,
  key: string | null,
  group: string | null,
  timeMs: number,
  recordedMs: number,
  attributes: string,
  data: string,
  crc: number,
];
export const eventColumns: string =
  "e.position, e.source, encode(e.id, 'hex'), e.schema, e.slot, e.key, e.grp, e.time_ms, e.recorded_ms, e.attributes, e.data, e.crc";

/** The row's names must be known: see `Names.know`. */
export function toEvent(row: EventRow, names: Names): StoredEvent {
  const schema = names.schema(row[3]);
  return {
    source: names.sourceName(row[1]),
    id: idOfHex(row[2]),
    type: schema.type,
    key: row[5] ?? undefined,
    group: row[6] ?? undefined,
    timeMs: row[7],
    attributes: row[9],
    data: row[10],
    version: schema.version,
    schema: schema.fingerprint,
    plain: schema.plain,
    crc: row[11],
    slot: row[4],
    position: row[0],
    recordedMs: row[8],
  };
}
