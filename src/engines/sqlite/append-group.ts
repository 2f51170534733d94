import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Appended } from "../../engine/event-log.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { isOfTheStore } from "./sqlite-error.ts";
import type { Store } from "./store.ts";
import type { Write } from "./write-queue.ts";

/** One call of `append`, waiting for its commit. */
interface Call {
  readonly batch: readonly EncodedEvent[];
  readonly resolve: (places: readonly Appended[]) => void;
  readonly reject: (error: unknown) => void;
  /** Of the last run: its places, or what it threw. */
  places: readonly Appended[];
  error: unknown;
}

/** Appends that wait together: one member of the write queue, whatever their number. */
export class AppendGroup {
  readonly #store: Store;
  readonly #requireOpen: () => void;
  #open: Group | undefined;
  #waiting = 0;

  /** `requireOpen` throws where nothing may be appended any more. */
  constructor(store: Store, requireOpen: () => void) {
    this.#store = store;
    this.#requireOpen = requireOpen;
  }

  /** One promise per call and no more: they are most of what a publish costs beside its row. */
  append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    return new Promise((resolve, reject) => {
      this.#requireOpen();
      if (this.#waiting > 0 && this.#waiting + batch.length > limits.publishesWaitingMax) throw tooMany();
      this.#groupFor(batch).calls.push({ batch, resolve, reject, places: [], error: undefined });
      this.#waiting += batch.length;
    });
  }

  /** The group that still takes calls; a full one has gone its way. */
  #groupFor(batch: readonly EncodedEvent[]): Group {
    const weight = weightOf(batch);
    const open = this.#open;
    if (open !== undefined && !open.started && open.weight + weight <= limits.commitEventsMax) {
      open.events += batch.length;
      open.weight += weight;
      return open;
    }
    const group = new Group(this.#store, batch.length, weight, (settled) => (this.#waiting -= settled));
    this.#store.submit(group);
    this.#open = group;
    return group;
  }
}

/** In events of an average size: so that many, or so many bytes, fill a transaction. */
function weightOf(batch: readonly EncodedEvent[]): number {
  let chars = 0;
  for (const { data } of batch) chars += data.length;
  return Math.max(batch.length, (chars * limits.commitEventsMax) / limits.commitBytesMax);
}

class Group implements Write {
  readonly full = true;
  readonly savepoint = false;
  readonly calls: Call[] = [];
  /** Takes no more calls. */
  started = false;
  events: number;
  weight: number;
  readonly #store: Store;
  readonly #settled: (events: number) => void;

  constructor(store: Store, events: number, weight: number, settled: (events: number) => void) {
    this.#store = store;
    this.events = events;
    this.weight = weight;
    this.#settled = settled;
  }

  run(): void {
    this.started = true;
    for (const call of this.calls) {
      call.error = undefined;
      if (call.batch.length === 1) this.#runOne(call);
      else this.#runBatch(call);
    }
  }

  committed(): void {
    this.#settled(this.events);
    for (const { resolve, reject, places, error } of this.calls) {
      if (error === undefined) resolve(places);
      else reject(error);
    }
  }

  failed(error: unknown): void {
    this.started = true;
    this.#settled(this.events);
    for (const { reject } of this.calls) reject(error);
  }

  /** One event that is refused has changed nothing. */
  #runOne(call: Call): void {
    try {
      call.places = [this.#store.appender.append(call.batch[0]!)];
    } catch (error) {
      call.error = this.#own(error);
    }
  }

  #runBatch(call: Call): void {
    const { appender, db, names } = this.#store;
    const mark = appender.count;
    db.exec("SAVEPOINT batch");
    try {
      call.places = call.batch.map((event, index) => appender.append(event, index));
      db.exec("RELEASE batch");
    } catch (error) {
      call.error = this.#own(error);
      db.exec("ROLLBACK TO batch; RELEASE batch");
      appender.rewind(mark);
      names.forget();
    }
  }

  /** What is wrong with the call alone; throws what is wrong with the store. */
  #own(error: unknown): unknown {
    if (!this.#store.db.inTransaction || isOfTheStore(error)) throw error;
    return error;
  }
}

function tooMany(): FactlogError {
  return new FactlogError(
    "BUSY",
    `more than ${limits.publishesWaitingMax} events wait for their commit: nothing was stored; wait for earlier publishes first.`,
    { retryable: true, details: { limit: limits.publishesWaitingMax } },
  );
}
