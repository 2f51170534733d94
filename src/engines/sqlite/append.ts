import type { Env } from "../../env.ts";
import type { Appended } from "../../engine/event-log.ts";
import { idConflict, sameContent, slotOf } from "../../event/codec.ts";
import type { EncodedEvent, PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import { headSql, type AppendedCounts } from "./counts.ts";
import type { Database } from "./database.ts";
import { type EventReader, idCell } from "./event-row.ts";
import type { Names } from "./names.ts";
import { isKnown } from "./sqlite-error.ts";

/**
 * Inserts events inside the open transaction. Positions run on from the head read at its beginning.
 */
export class Appender {
  readonly #sql;
  readonly #env: Env;
  readonly #names: Names;
  readonly #reader: EventReader;
  readonly #slots: number;
  readonly #counts: AppendedCounts;
  /** Head when the open transaction began, and types (by number) of the events that it has appended. */
  #head: PositionNumber = 0;
  readonly #appended: number[] = [];
  #nowMs = 0;

  constructor(db: Database, env: Env, names: Names, reader: EventReader, counts: AppendedCounts, slots: number) {
    this.#env = env;
    this.#names = names;
    this.#reader = reader;
    this.#counts = counts;
    this.#slots = slots;
    this.#sql = {
      head: db.prepare<[number]>(headSql),
      insert: db.prepare(
        `INSERT INTO factlog_event(position, source, id, schema, slot, key, grp, time_ms, recorded_ms, attributes, data, crc)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      find: db.prepare<[number]>("SELECT position FROM factlog_event WHERE source = ? AND id = ?"),
    };
  }

  begin(): void {
    this.#appended.length = 0;
    this.#head = this.#sql.head.get()![0];
    this.#counts.begin(this.#head);
    this.#nowMs = this.#env.now();
  }

  /** How many were appended since `begin`. */
  get count(): number {
    return this.#appended.length;
  }

  /** The highest position of the open transaction. */
  get head(): PositionNumber {
    return this.#head + this.#appended.length;
  }

  /** Forgets the events appended after a mark (a `count`), whose rows were rolled back. */
  rewind(mark: number): void {
    this.#appended.length = mark;
  }

  /** One event. Throws ID_CONFLICT (details: index, id) and has then changed nothing. */
  append(event: EncodedEvent, index = 0): Appended {
    const slot = slotOf(event, this.#slots);
    const known = this.#insert(event, slot);
    if (known === undefined) return { slot, position: this.head, duplicate: false };
    if (!sameContent(known, event)) throw idConflict(event, index);
    return { slot: known.slot, position: known.position, duplicate: true };
  }

  /** One event, where the first content stands: says whether that is another. */
  announce(event: EncodedEvent): { appended: Appended; diverged: boolean } {
    const slot = slotOf(event, this.#slots);
    const known = this.#insert(event, slot);
    if (known === undefined) return { appended: { slot, position: this.head, duplicate: false }, diverged: false };
    const appended = { slot: known.slot, position: known.position, duplicate: true };
    return { appended, diverged: !sameContent(known, event) };
  }

  /** What stands under this event's identity. */
  known(event: EncodedEvent): StoredEvent | undefined {
    const place = this.#sql.find.get(this.#names.sourceId(event.source), idCell(event.id));
    return place === undefined ? undefined : this.#reader.at(place[0]);
  }

  /** Before COMMIT. */
  flush(): void {
    if (this.#appended.length > 0) this.#counts.appended(this.head, this.#appended);
  }

  /** After COMMIT. */
  committed(): void {
    if (this.#appended.length > 0) this.#counts.committed(this.head, this.#appended);
  }

  /** Inserts; gives the event that stood there before under this identity, and has then changed nothing. */
  #insert(event: EncodedEvent, slot: number): StoredEvent | undefined {
    const source = this.#names.sourceId(event.source);
    const schema = this.#names.schemaOf(event);
    const id = idCell(event.id);
    try {
      // `get` makes no object of the result, as `run` would; that a known identity throws is paid by those alone.
      this.#sql.insert.get(
        this.head + 1,
        source,
        id,
        schema.id,
        slot,
        event.key ?? null,
        event.group ?? null,
        event.timeMs,
        this.#nowMs,
        event.attributes,
        event.data,
        event.crc,
      );
    } catch (error) {
      if (!isKnown(error)) throw error;
      return this.#reader.at(this.#sql.find.get(source, id)![0]);
    }
    this.#appended.push(schema.typeId);
    return undefined;
  }
}
