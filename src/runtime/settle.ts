import type { Change, Ledger, ProgressChange, Recorded } from "../engine/ledger.ts";
import type { Env, Timer } from "../env.ts";
import { mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Batch, SlotWork } from "./slot-work.ts";

/** Who owns slots: told how their records went. */
export interface SlotOwner {
  /** How far claims may run ahead in this slot. */
  claimFor(slot: SlotWork): number;
  progressed(slot: SlotWork, change: ProgressChange, batch: Batch, result: Recorded): void;
}
const lostMeanwhile: Recorded = { status: "lost", freed: [], promoted: false };
type OtherChange = Exclude<Change, ProgressChange>;

/**
 * Gathers what this process owes to the ledger and records it, one record at a time: at once where effects or rows wait,
 * at the next checkpoint where deliveries are simply done.
 */
export class Settler {
  readonly #env: Env;
  readonly #ledger: Ledger;
  readonly #session: () => number;
  readonly #fail: (error: unknown) => void;
  readonly #dirty = new Map<SlotWork, SlotOwner>();
  #others: { readonly change: OtherChange; readonly done: (result: Recorded) => void }[] = [];
  #scheduled = false;
  /** Something was urged since the last record began. */
  #hurry = false;
  #running: Promise<void> | undefined;
  #checkpoint: Timer | undefined;
  #closedSince = 0;
  #stopped = false;

  constructor(env: Env, ledger: Ledger, session: () => number, fail: (error: unknown) => void) {
    this.#env = env;
    this.#ledger = ledger;
    this.#session = session;
    this.#fail = fail;
  }

  /** Progress of this slot waits for the next checkpoint (every 100 ms or 10,000 events). */
  touch(slot: SlotWork, owner: SlotOwner): void {
    if (!slot.dirty) {
      slot.dirty = true;
      this.#dirty.set(slot, owner);
      this.#checkpoint ??= this.#env.after(limits.checkpointMs, () => {
        this.#checkpoint = undefined;
        this.#hasten();
      });
    }
    if (++this.#closedSince >= limits.checkpointEvents) this.#hasten();
  }
  /** This slot is to be recorded at once. */
  urge(slot: SlotWork, owner: SlotOwner): void {
    slot.dirty = true;
    this.#dirty.set(slot, owner);
    this.#hasten();
  }
  /** Records one change; `done` hears how it went. Resolves never where the store has failed. */
  submit(change: OtherChange, done: (result: Recorded) => void): void {
    this.#others.push({ change, done });
    this.#schedule();
  }
  forget(slot: SlotWork): void {
    slot.dirty = false;
    this.#dirty.delete(slot);
  }
  /** Resolves when all that is owed now has been recorded. */
  async flush(): Promise<void> {
    while (!this.#stopped && (this.#running !== undefined || this.#dirty.size > 0 || this.#others.length > 0)) {
      await (this.#running ?? this.#start());
    }
  }
  stop(): void {
    this.#stopped = true;
    this.#checkpoint?.cancel();
    this.#checkpoint = undefined;
  }

  #hasten(): void {
    this.#hurry = true;
    if (this.#running === undefined) this.#schedule();
  }
  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#env.soon(() => {
      this.#scheduled = false;
      if (this.#running === undefined && !this.#stopped) void this.#start();
    });
  }
  #start(): Promise<void> {
    this.#running = this.#record().finally(() => {
      this.#running = undefined;
      if (this.#hurry || this.#others.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #record(): Promise<void> {
    const slots = [...this.#dirty].filter(([slot]) => !slot.dropped);
    this.#dirty.clear();
    const others = this.#others;
    this.#others = [];
    this.#closedSince = 0;
    this.#hurry = false;
    const taken = slots.map(([slot, owner]) => ({ slot, owner, ...slot.take(owner.claimFor(slot)) }));
    if (taken.length === 0 && others.length === 0) return;
    const changes = [...taken.map((entry) => entry.change), ...others.map((entry) => entry.change)];
    let results: readonly Recorded[];
    try {
      results = await this.#ledger.record(this.#session(), changes);
    } catch (error) {
      for (const { slot, owner, change, batch } of taken) {
        slot.recording = false;
        if (slot.dropped) owner.progressed(slot, change, batch, lostMeanwhile);
        else {
          slot.restore(batch);
          this.#dirty.set(slot, owner);
        }
      }
      this.#others = [...others, ...this.#others];
      await this.#refused(error);
      return;
    }
    for (const [i, entry] of taken.entries()) {
      entry.slot.recording = false;
      entry.owner.progressed(entry.slot, entry.change, entry.batch, results[i] as Recorded);
    }
    for (const [i, entry] of others.entries()) entry.done(results[taken.length + i] as Recorded);
  }
  /** A busy or full store is waited for; anything else stops the worker. */
  async #refused(error: unknown): Promise<void> {
    if (mayPass(error)) {
      await new Promise<void>((resolve) => void this.#env.after(limits.checkpointMs * 5, resolve));
      this.#schedule();
      return;
    }
    this.stop();
    this.#fail(error);
  }
}
