import { FactlogError } from "../../errors.ts";
import type { LogCapabilities } from "../../engine/capabilities.ts";
import type { Appended, EventLog, EventRef, HeadCount, ReadPage, ReadRequest } from "../../engine/event-log.ts";
import type { EncodedEvent, PositionNumber, StoredEvent } from "../../event/stored-event.ts";
import { AppendGroup } from "./append-group.ts";
import { Pages, type Page } from "./pages.ts";
import type { Store } from "./store.ts";

/** The log over one file. Appends share commits, synced before they resolve; positions are dense and in commit order. */
export class SqliteLog implements EventLog {
  readonly capabilities: LogCapabilities;
  readonly epoch: string;
  readonly #store: Store;
  readonly #pages: Pages;
  readonly #group: AppendGroup;
  #closing: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
    this.epoch = store.identity.epoch;
    this.capabilities = {
      totalOrder: true,
      dedupe: "retained",
      retention: "ours",
      counts: "exact",
      outbox: false,
      slots: store.identity.slots,
    };
    this.#pages = new Pages(store.db, store.reader, store.bell);
    this.#group = new AppendGroup(store, () => this.#requireOpen());
    store.use();
  }

  append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    return this.#group.append(batch);
  }

  async read(request: ReadRequest): Promise<ReadPage> {
    this.#requireOpen();
    return this.#store.read(() => this.#read(request));
  }

  async fetch(refs: readonly EventRef[]): Promise<readonly (StoredEvent | undefined)[]> {
    this.#requireOpen();
    return this.#store.read(() =>
      refs.map(({ slot, position }) => {
        const event = this.#store.reader.at(position);
        return event?.slot === slot ? event : undefined;
      }),
    );
  }

  async locate(id: string): Promise<readonly EventRef[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#store.reader.locate(id));
  }

  async wake(maxMs: number, signal: AbortSignal): Promise<void> {
    if (this.#closing !== undefined) return;
    await this.#store.bell.wait(maxMs, signal);
  }

  async count(types: readonly string[] = []): Promise<HeadCount> {
    this.#requireOpen();
    const { head, appended: all } = await this.#store.read(() => this.#store.counts.read());
    const named = types.length > 0 ? types : [...all.keys()];
    return {
      heads: new Map(Array.from({ length: this.capabilities.slots }, (_, slot) => [slot, head])),
      appended: new Map(named.map((type) => [type, all.get(type) ?? 0])),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#store.leave();
    this.#store.bell.wakeAll();
    return this.#closing;
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closed(this.#store.location.path);
    this.#store.requireSound();
  }

  #read({ after, types, limit, scanMax }: ReadRequest): ReadPage {
    const starts = new Float64Array(this.capabilities.slots).fill(Infinity);
    let from = Infinity;
    for (const [slot, position] of after) {
      starts[slot] = position;
      if (position < from) from = position;
    }
    const walk: Walk = { starts, types, limit, looks: scanMax, at: from, events: [] };
    const atHead = after.size === 0 || this.#walk(walk);
    const scannedTo = new Map<number, PositionNumber>();
    for (const [slot, position] of after) scannedTo.set(slot, Math.max(position, walk.at));
    return { events: walk.events, scannedTo, atHead };
  }

  /** Looks from page to page until the limit, or the head: true where nothing further was there. */
  #walk(walk: Walk): boolean {
    while (walk.events.length < walk.limit && walk.looks > 0) {
      const page = this.#pages.after(walk.at);
      if (page.lookedTo <= walk.at) return true;
      this.#walkPage(walk, page);
    }
    return false;
  }

  #walkPage(walk: Walk, page: Page): void {
    const { starts, types, events, limit } = walk;
    const { names } = this.#store;
    const { rows } = page;
    for (let index = firstAfter(rows, walk.at); index < rows.length; index++) {
      if (events.length >= limit || walk.looks === 0) return;
      const row = rows[index]!;
      walk.at = row[0];
      walk.looks--;
      if (row[0] <= starts[row[4]]!) continue;
      if (types === undefined || types.has(names.schema(row[3]).type)) events.push(this.#pages.event(page, index));
    }
    walk.at = page.lookedTo;
  }
}

interface Walk {
  /** Position after which each slot is read, Infinity where it is not. */
  readonly starts: Float64Array;
  readonly types: ReadonlySet<string> | undefined;
  readonly limit: number;
  /** Positions that may still be looked at. */
  looks: number;
  /** Looked at up to here. */
  at: PositionNumber;
  readonly events: StoredEvent[];
}

/** Index of the first row after a position. Positions are dense unless something was dropped. */
function firstAfter(rows: Page["rows"], position: PositionNumber): number {
  const guess = rows.length === 0 ? 0 : Math.max(0, position + 1 - rows[0]![0]);
  let index = Math.min(guess, rows.length);
  while (index > 0 && rows[index - 1]![0] > position) index--;
  return index;
}

export function closed(path: string): FactlogError {
  return new FactlogError("CLOSED", `${path} was closed: open it again.`);
}
