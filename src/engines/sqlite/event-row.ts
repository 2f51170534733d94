import type { PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import type { Database, Statement } from "./database.ts";
import type { Names } from "./names.ts";

/**
 * Ids that are canonical UUIDs are stored as 16 bytes: half the index. SQL takes and gives them as text, which is
 * cheaper than a `Uint8Array` for each row. Other ids are stored as text and given with "=" before them.
 */
export function isUuid(id: string): boolean {
  if (id.length !== 36) return false;
  for (let index = 0; index < 36; index++) {
    const code = id.charCodeAt(index);
    const isDash = index === 8 || index === 13 || index === 18 || index === 23;
    if (isDash ? code !== 0x2d : !isLowerHex(code)) return false;
  }
  return true;
}
const isLowerHex = (code: number): boolean => (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
/** The place of an id in SQL, by `isUuid`. */
export const uuidToSql = "unhex(?, '-')";
const idFromSql = "CASE typeof(id) WHEN 'blob' THEN lower(hex(id)) ELSE '=' || id END";

export type EventRow = [
  position: number,
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
export const eventColumns: string = `position, source, ${idFromSql}, schema, slot, key, grp, time_ms, recorded_ms, attributes, data, crc`;

/** Rows of the event table as events. */
export class EventReader {
  readonly #names: Names;
  readonly #at: Statement<EventRow>;

  constructor(db: Database, names: Names) {
    this.#names = names;
    this.#at = db.prepare(`SELECT ${eventColumns} FROM factlog_event WHERE position = ?`);
  }

  /** The event at a position, which is there. */
  at(position: PositionNumber): StoredEvent | undefined {
    const row = this.#at.get(position);
    return row === undefined ? undefined : this.toEvent(row);
  }

  toEvent(row: EventRow): StoredEvent {
    const schema = this.#names.schema(row[3]);
    return {
      source: this.#names.sourceName(row[1]),
      id: idOf(row[2]),
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
}

function idOf(text: string): string {
  if (text.startsWith("=")) return text.slice(1);
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
}
