import { FactlogError } from "../errors.ts";
import type { Env } from "../env.ts";
import type { LogCapabilities } from "../engine/capabilities.ts";
import type { Engine, EngineHandle } from "../engine/engine.ts";
import type { Appended, EventLog, EventRef, HeadCount, ReadPage, ReadRequest } from "../engine/event-log.ts";
import { Bell, Waker } from "../engines/memory/bell.ts";
import { slotOf } from "../event/codec.ts";
import type { EncodedEvent, PositionNumber, Slot, StoredEvent } from "../event/stored-event.ts";

/** A log that is not ours, kept in memory. It outlives the processes that are opened on it. */
export interface ForeignLog {
  open(env: Env): Promise<EventLog>;
  /** What the log's own retention does: drops all events appended so far. Heads stay. */
  dropEvents(): Promise<void>;
}

interface ForeignStore {
  readonly slots: readonly StoredEvent[][];
  readonly heads: PositionNumber[];
  readonly bell: Bell;
}

/** Positions of a slot are this far apart: nobody may think that a gap is an event to come. */
const stride = 3;

/**
 * Stands for NATS and Kafka in tests: every slot has positions of its own, with gaps; a known identity is appended again;
 * retention is theirs; what was appended per type is known as a bound only.
 */
export function foreignLog(options: { readonly slots?: number } = {}): ForeignLog {
  const slots = Array.from({ length: options.slots ?? 8 }, (): StoredEvent[] => []);
  const store: ForeignStore = { slots, heads: slots.map(() => 0), bell: new Bell() };
  return {
    open: async (env) => new OpenForeignLog(store, env),
    async dropEvents() {
      for (const events of slots) events.length = 0;
    },
  };
}

/** One engine of a foreign log and another engine's ledger. NOT_SUPPORTED where that engine's ledger cannot stand alone. */
export function pairing(foreign: ForeignLog, ledgerOf: EngineHandle): EngineHandle {
  return {
    identity: `foreign+${ledgerOf.identity}`,
    async open(env): Promise<Engine> {
      if (ledgerOf.openLedger === undefined) {
        throw new FactlogError(
          "NOT_SUPPORTED",
          `${ledgerOf.identity} keeps no ledger beside a foreign log: use an SQL engine.`,
        );
      }
      const log = await foreign.open(env);
      const ledger = await ledgerOf.openLedger(env, log);
      return {
        log,
        ledger,
        description: `foreign log in memory, ledger: ${ledgerOf.identity}`,
        inspect: async () => [],
      };
    },
  };
}

class OpenForeignLog implements EventLog {
  readonly capabilities: LogCapabilities;
  readonly epoch = "foreign";
  readonly #store: ForeignStore;
  readonly #env: Env;
  readonly #waker: Waker;

  constructor(store: ForeignStore, env: Env) {
    this.#store = store;
    this.#env = env;
    this.#waker = new Waker(store.bell, env);
    const slots = store.slots.length;
    this.capabilities = {
      totalOrder: false,
      dedupe: "none",
      retention: "theirs",
      counts: "bound",
      outbox: false,
      slots,
    };
  }

  async append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    this.#requireOpen();
    const { slots, heads, bell } = this.#store;
    const places = batch.map((event): Appended => {
      const slot = slotOf(event, slots.length);
      const position = heads[slot]! + stride;
      heads[slot] = position;
      slots[slot]!.push(Object.freeze({ ...event, slot, position, recordedMs: this.#env.now() }));
      return { slot, position, duplicate: false };
    });
    if (batch.length > 0) bell.ring();
    return places;
  }

  async read({ after, types, limit, scanMax }: ReadRequest): Promise<ReadPage> {
    this.#requireOpen();
    const events: StoredEvent[] = [];
    const scannedTo = new Map(after);
    let scanned = 0;
    for (const [slot, start] of after) {
      const waiting = this.#store.slots[slot]!.filter(({ position }) => position > start);
      for (const event of waiting) {
        if (events.length >= limit || scanned >= scanMax) return { events, scannedTo, atHead: false };
        if (types?.has(event.type) ?? true) events.push(event);
        scannedTo.set(slot, event.position);
        scanned++;
      }
      scannedTo.set(slot, Math.max(start, this.#store.heads[slot]!));
    }
    return { events, scannedTo, atHead: true };
  }

  async fetch(refs: readonly EventRef[]): Promise<readonly (StoredEvent | undefined)[]> {
    this.#requireOpen();
    return refs.map(({ slot, position }) => this.#store.slots[slot]?.find((event) => event.position === position));
  }

  wake(maxMs: number, signal: AbortSignal): Promise<void> {
    return this.#waker.wait(maxMs, signal);
  }

  /** Such a log knows how much it took, not of which type: that is the bound. */
  async count(types: readonly string[] = []): Promise<HeadCount> {
    this.#requireOpen();
    const bound = this.#appendedSoFar();
    return {
      heads: new Map(this.#store.heads.map((head, slot): [Slot, PositionNumber] => [slot, head])),
      appended: new Map(types.map((type) => [type, bound])),
    };
  }

  async close(): Promise<void> {
    this.#waker.close();
  }

  #appendedSoFar(): number {
    return this.#store.heads.reduce((sum, head) => sum + head / stride, 0);
  }

  #requireOpen(): void {
    if (this.#waker.closed) throw new FactlogError("CLOSED", "the log was closed: open it again.");
  }
}
