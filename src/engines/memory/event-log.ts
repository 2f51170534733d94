import type { Env } from "../../env.ts";
import type { LogCapabilities } from "../../engine/capabilities.ts";
import type { Appended, EventLog, EventRef, HeadCount, ReadPage, ReadRequest } from "../../engine/event-log.ts";
import { idConflict, sameContent, slotOf } from "../../event/codec.ts";
import type { EncodedEvent, StoredEvent } from "../../event/stored-event.ts";
import { Waker } from "./bell.ts";
import { closed, identityOf, type Store } from "./store.ts";

/** Where a batch would go, found out before anything is stored. Throws ID_CONFLICT (details: index, id). */
export function stage(
  store: Store,
  batch: readonly EncodedEvent[],
  nowMs: number,
): { places: Appended[]; fresh: StoredEvent[] } {
  const staged = new Map<string, StoredEvent>();
  const places = batch.map((event, index): Appended => {
    const identity = identityOf(event);
    const known = store.byIdentity.get(identity) ?? staged.get(identity);
    if (known !== undefined) {
      if (!sameContent(known, event)) throw idConflict(event, index);
      return { slot: known.slot, position: known.position, duplicate: true };
    }
    const place = { slot: slotOf(event, store.slots), position: store.events.length + staged.size + 1 };
    staged.set(identity, Object.freeze({ ...event, ...place, recordedMs: nowMs }));
    return { ...place, duplicate: false };
  });
  return { places, fresh: [...staged.values()] };
}

/** Stores the batch and tells everyone who waits. */
export function append(store: Store, batch: readonly EncodedEvent[], nowMs: number): readonly Appended[] {
  const { places, fresh } = stage(store, batch, nowMs);
  for (const event of fresh) {
    store.events.push(event);
    store.byIdentity.set(identityOf(event), event);
    store.appended.set(event.type, (store.appended.get(event.type) ?? 0) + 1);
  }
  if (fresh.length > 0) store.bell.ring();
  return places;
}

export class MemoryLog implements EventLog {
  readonly capabilities: LogCapabilities;
  readonly epoch = "memory";
  readonly #store: Store;
  readonly #env: Env;
  readonly #waker: Waker;

  constructor(store: Store, env: Env) {
    this.#store = store;
    this.#env = env;
    this.#waker = new Waker(store.bell, env);
    this.capabilities = {
      totalOrder: true,
      dedupe: "retained",
      retention: "ours",
      counts: "exact",
      outbox: false,
      slots: store.slots,
    };
  }

  async append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    this.#requireOpen();
    return append(this.#store, batch, this.#env.now());
  }

  async read(request: ReadRequest): Promise<ReadPage> {
    this.#requireOpen();
    const { after, types, limit, scanMax } = request;
    const head = this.#store.events.length;
    const events: StoredEvent[] = [];
    const from = Math.min(head, ...after.values());
    let looked = from;
    while (looked < head && looked < from + scanMax && events.length < limit) {
      const event = this.#store.events[looked++]!;
      const start = after.get(event.slot) ?? Infinity;
      if (event.position > start && (types?.has(event.type) ?? true)) events.push(event);
    }
    const scannedTo = new Map([...after].map(([slot, start]) => [slot, Math.max(start, looked)]));
    return { events, scannedTo, atHead: looked >= head };
  }

  async fetch(refs: readonly EventRef[]): Promise<readonly (StoredEvent | undefined)[]> {
    this.#requireOpen();
    return refs.map(({ slot, position }) => {
      const event = this.#store.events[position - 1];
      return event?.slot === slot ? event : undefined;
    });
  }

  async locate(id: string): Promise<readonly EventRef[]> {
    this.#requireOpen();
    return this.#store.events.filter((event) => event.id === id).map(({ slot, position }) => ({ slot, position }));
  }

  wake(maxMs: number, signal: AbortSignal): Promise<void> {
    return this.#waker.wait(maxMs, signal);
  }

  async count(types: readonly string[] = []): Promise<HeadCount> {
    this.#requireOpen();
    const { appended, events, slots } = this.#store;
    const named = types.length > 0 ? types : [...appended.keys()];
    return {
      heads: new Map(Array.from({ length: slots }, (_, slot) => [slot, events.length])),
      appended: new Map(named.map((type) => [type, appended.get(type) ?? 0])),
    };
  }

  async close(): Promise<void> {
    this.#waker.close();
  }

  #requireOpen(): void {
    if (this.#waker.closed) throw closed();
  }
}
