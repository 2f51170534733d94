import type { EventRef } from "../../engine/event-log.ts";
import type { PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import type { Database, Statement } from "./database.ts";
import type { Names } from "./names.ts";

/** Where the bytes of a UUID stand in its text. */
const byteAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const dash = 0x2d;
const noDigit = 0x10;
const digitOf = new Uint8Array(128).fill(noDigit);
for (let value = 0; value < noDigit; value++) digitOf[value.toString(16).charCodeAt(0)] = value;
const uuidBytes = new Uint8Array(16);

/**
 * An id as it is stored: a canonical UUID as 16 bytes, which halves the index, any other as text. The bytes are good
 * until the next call: SQLite copies what is bound.
 */
export function idCell(id: string): string | Uint8Array {
  if (id.length !== 36) return id;
  let wrong = (id.charCodeAt(8) ^ dash) | (id.charCodeAt(13) ^ dash);
  wrong |= (id.charCodeAt(18) ^ dash) | (id.charCodeAt(23) ^ dash);
  for (let byte = 0; byte < 16; byte++) {
    const at = byteAt[byte]!;
    const high = id.charCodeAt(at);
    const low = id.charCodeAt(at + 1);
    const first = digitOf[high & 0x7f]!;
    const second = digitOf[low & 0x7f]!;
    wrong |= ((first | second) & noDigit) | ((high | low) >> 7);
    uuidBytes[byte] = (first << 4) | second;
  }
  return wrong === 0 ? uuidBytes : id;
}

/** SQL gives bytes as text, which is cheaper than a `Uint8Array` for each row; other ids with "=" before them. */
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
  readonly #ofId: Statement<[number, number]>;

  constructor(db: Database, names: Names) {
    this.#names = names;
    this.#at = db.prepare(`SELECT ${eventColumns} FROM factlog_event WHERE position = ?`);
    // The sources are few, and lead the index of ids.
    this.#ofId = db.prepare(
      "SELECT e.slot, e.position FROM factlog_source s CROSS JOIN factlog_event e ON e.source = s.id AND e.id = ? ORDER BY 2",
    );
  }

  locate(id: string): readonly EventRef[] {
    return this.#ofId.all(idCell(id)).map(([slot, position]) => ({ slot, position }));
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
