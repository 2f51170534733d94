import type { PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import type { Bell } from "./bell.ts";
import type { Database, Statement } from "./database.ts";
import { eventColumns, type EventReader, type EventRow } from "./event-row.ts";

/** Positions per page. */
const pagePositions = 512;
/**
 * Text kept in memory; the page in use stays, whatever its size. More would outlive the collections of the young
 * generation and go through the old one: with four times as much a worker took 100 MB more, and a sixth more time.
 */
const cacheCharsMax = 512 * 1024;
/** What a row takes beside its data, about. */
const rowChars = 256;

/** The events of a fixed stretch of positions, as far as they are known. */
export interface Page {
  /** The highest position of its stretch. */
  readonly end: PositionNumber;
  rows: EventRow[];
  /** Made from the rows when first asked for. */
  readonly events: (StoredEvent | undefined)[];
  /** Nothing at or below it is missing from `rows`, and nothing will come. */
  lookedTo: PositionNumber;
  chars: number;
}

/**
 * The last pages read, so that several subscriptions at about one place share one SQL read and one object per event.
 * Pages lie on a fixed grid: readers that stop at different places still meet in them.
 */
export class Pages {
  readonly #select: Statement<EventRow>;
  readonly #reader: EventReader;
  readonly #bell: Bell;
  /** The oldest used first. */
  readonly #pages = new Map<number, Page>();
  #chars = 0;

  constructor(db: Database, reader: EventReader, bell: Bell) {
    this.#reader = reader;
    this.#bell = bell;
    this.#select = db.prepare(
      `SELECT ${eventColumns} FROM factlog_event WHERE position > ? AND position <= ? ORDER BY position`,
    );
  }

  /** The page that holds the position after `position`, read as far as the head. */
  after(position: PositionNumber): Page {
    const number = Math.floor(position / pagePositions);
    const page = this.#pages.get(number) ?? newPage(number);
    this.#pages.delete(number);
    this.#pages.set(number, page);
    if (page.lookedTo < page.end) this.#fill(page);
    return page;
  }

  /** The event of a row, made once. */
  event(page: Page, index: number): StoredEvent {
    return (page.events[index] ??= this.#reader.toEvent(page.rows[index]!));
  }

  /** The head is read before the rows: what it covers is committed, so the rows then show it. */
  #fill(page: Page): void {
    const head = this.#bell.head >= page.end ? page.end : Math.min(this.#bell.look(), page.end);
    if (head <= page.lookedTo) return;
    const rows = this.#select.all(page.lookedTo, head);
    let chars = rows.length * rowChars;
    for (const row of rows) chars += row[10].length;
    if (page.rows.length === 0) page.rows = rows;
    else page.rows.push(...rows);
    page.lookedTo = head;
    page.chars += chars;
    this.#chars += chars;
    this.#evict();
  }

  #evict(): void {
    for (const [number, page] of this.#pages) {
      if (this.#chars <= cacheCharsMax || this.#pages.size === 1) return;
      this.#pages.delete(number);
      this.#chars -= page.chars;
      // An old page would keep its rows from the collector of the young ones.
      page.rows.length = 0;
      page.events.length = 0;
    }
  }
}

function newPage(number: number): Page {
  const start = number * pagePositions;
  return { end: start + pagePositions, rows: [], events: [], lookedTo: start, chars: 0 };
}
