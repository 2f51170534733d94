import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Appended } from "../../engine/event-log.ts";
import { idConflict, sameContent, slotOf } from "../../event/codec.ts";
import type { EncodedEvent, StoredEvent } from "../../event/stored-event.ts";
import { Lost } from "./connection.ts";
import { eventColumns, idHex, toEvent, type EventRow } from "./event-row.ts";
import { isKnown, isOfTheValues, unknownOutcome } from "./postgres-error.ts";
import type { Store } from "./store.ts";

/** One call of `append`, waiting for its commit. */
interface Call {
  readonly batch: readonly EncodedEvent[];
  readonly resolve: (places: readonly Appended[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Where an event of a call goes: among the new ones, or where it is already. */
type Place = { readonly fresh: number } | { readonly known: StoredEvent };
interface Plan {
  readonly fresh: EncodedEvent[];
  readonly calls: { readonly call: Call; readonly places: readonly { place: Place; repeat: boolean }[] }[];
}

const identityOf = ({ source, id }: EncodedEvent): string => `${source}\0${id}`;

/** Appends that wait together share a transaction of one statement. One is under way at a time. */
export class AppendGroup {
  readonly #store: Store;
  readonly #text: string;
  readonly #findText: string;
  #waiting: Call[] = [];
  #events = 0;
  #scheduled = false;
  #running = false;
  #idle: (() => void)[] = [];

  constructor(store: Store) {
    this.#store = store;
    this.#text = store.sql("SELECT S.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    this.#findText = store.sql(
      `SELECT ${eventColumns} FROM unnest($1::integer[], $2::bytea[]) AS u(source, id)
       JOIN S.event e ON e.source = u.source AND e.id = u.id`,
    );
  }

  append(batch: readonly EncodedEvent[]): Promise<readonly Appended[]> {
    return new Promise((resolve, reject) => {
      if (this.#events > 0 && this.#events + batch.length > limits.publishesWaitingMax) throw tooMany();
      if (batch.length === 0) return resolve([]);
      this.#events += batch.length;
      this.#waiting.push({ batch, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#running || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#store.env.soon(() => {
      this.#scheduled = false;
      void this.#turn();
    });
  }

  async #turn(): Promise<void> {
    this.#running = true;
    const calls = this.#take();
    await this.#flush(calls);
    for (const { batch } of calls) this.#events -= batch.length;
    this.#running = false;
    this.#schedule();
    if (this.#waiting.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The next calls in order, as many as one transaction may hold. */
  #take(): Call[] {
    let weight = 0;
    let count = 0;
    for (const { batch } of this.#waiting) {
      weight += weightOf(batch);
      if (count > 0 && weight > limits.commitEventsMax) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #flush(calls: readonly Call[]): Promise<void> {
    try {
      await this.#append(calls);
    } catch (error) {
      // One call's values may be what the server refuses: then the others go on without it.
      if (calls.length > 1 && isOfTheValues(error)) {
        for (const call of calls) await this.#flush([call]);
        return;
      }
      const mapped =
        error instanceof Lost ? unknownOutcome(error.cause, this.#store.location) : this.#store.error(error);
      for (const { reject } of calls) reject(mapped);
    }
  }

  /** Inserts what is new; where some turn out to be known, looks them up and goes on with the rest. */
  async #append(calls: readonly Call[]): Promise<void> {
    const known = new Map<string, StoredEvent>();
    for (;;) {
      const plan = makePlan(calls, known);
      try {
        this.#settle(plan, plan.fresh.length > 0 ? await this.#insert(plan.fresh) : 0);
        return;
      } catch (error) {
        if (!isKnown(error)) throw error;
      }
      for (const event of await this.#find(plan.fresh)) known.set(identityOf(event), event);
    }
  }

  #settle({ fresh, calls }: Plan, base: number): void {
    const { identity, bell } = this.#store;
    for (const { call, places } of calls) {
      call.resolve(
        places.map(({ place, repeat }) =>
          "known" in place
            ? { slot: place.known.slot, position: place.known.position, duplicate: true }
            : {
                slot: slotOf(fresh[place.fresh]!, identity.slots),
                position: base + place.fresh + 1,
                duplicate: repeat,
              },
        ),
      );
    }
    if (fresh.length > 0) bell.ring(base + fresh.length);
  }

  /** Gives the head before them. */
  #insert(events: readonly EncodedEvent[]): Promise<number> {
    this.#store.requireSound();
    const { names, appends } = this.#store;
    return appends.run(async (run) => {
      await names.ensure(run, events);
      const [row] = await run<[number]>(this.#text, this.#values(events), "append");
      return row![0];
    });
  }

  #values(events: readonly EncodedEvent[]): unknown[] {
    const { names, identity, env, channel } = this.#store;
    return [
      events.map((event) => names.sourceId(event.source)),
      events.map((event) => names.schemaId(event)),
      events.map((event) => slotOf(event, identity.slots)),
      events.map((event) => event.crc),
      events.map((event) => event.timeMs),
      events.map((event) => `\\x${idHex(event.id)}`),
      events.map((event) => event.key ?? null),
      events.map((event) => event.group ?? null),
      events.map((event) => event.attributes),
      events.map((event) => event.data),
      env.now(),
      channel,
    ];
  }

  async #find(events: readonly EncodedEvent[]): Promise<StoredEvent[]> {
    const { names } = this.#store;
    const values = [
      events.map((event) => names.sourceId(event.source)),
      events.map((event) => `\\x${idHex(event.id)}`),
    ];
    const rows = await this.#store.read((run) => run<EventRow>(this.#findText, values, "find"));
    await names.know(rows);
    return rows.map((row) => toEvent(row, names));
  }
}

/** Which events are new, call by call; a call that contradicts what is there, or an earlier one, is rejected here. */
function makePlan(calls: readonly Call[], known: ReadonlyMap<string, StoredEvent>): Plan {
  const plan: Plan = { fresh: [], calls: [] };
  const staged = new Map<string, number>();
  for (const call of calls) {
    const mark = plan.fresh.length;
    const places: { place: Place; repeat: boolean }[] = [];
    const refused = call.batch.findIndex((event) => !place(event));
    if (refused < 0) {
      plan.calls.push({ call, places });
      continue;
    }
    for (const event of plan.fresh.splice(mark)) staged.delete(identityOf(event));
    call.reject(idConflict(call.batch[refused]!, refused));

    function place(event: EncodedEvent): boolean {
      const identity = identityOf(event);
      const stored = known.get(identity);
      const earlier = staged.get(identity);
      const first = stored ?? (earlier === undefined ? undefined : plan.fresh[earlier]!);
      if (first !== undefined && !sameContent(first, event)) return false;
      if (stored !== undefined) places.push({ place: { known: stored }, repeat: true });
      else if (earlier !== undefined) places.push({ place: { fresh: earlier }, repeat: true });
      else {
        staged.set(identity, plan.fresh.length);
        places.push({ place: { fresh: plan.fresh.length }, repeat: false });
        plan.fresh.push(event);
      }
      return true;
    }
  }
  return plan;
}

/** In events of an average size: so that many, or so many bytes, fill a transaction. */
function weightOf(batch: readonly EncodedEvent[]): number {
  let chars = 0;
  for (const { data } of batch) chars += data.length;
  return Math.max(batch.length, (chars * limits.commitEventsMax) / limits.commitBytesMax);
}

function tooMany(): FactlogError {
  return new FactlogError(
    "BUSY",
    `more than ${limits.publishesWaitingMax} events wait for their commit: nothing was stored; wait for earlier publishes first.`,
    { retryable: true, details: { limit: limits.publishesWaitingMax } },
  );
}
