import { pause } from "../env.ts";
import { mayPass } from "../errors.ts";
import type { PositionNumber, Slot } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { Gate } from "./gate.ts";
import type { Runner } from "./runner.ts";
import type { SlotWork } from "./slot-work.ts";

/** Reads the slots that a runner holds, a page at a time, while there is room to keep what was read. */
export class Reader {
  readonly #runner: Runner;
  readonly #types: ReadonlySet<string>;
  readonly #gate = new Gate();
  #started = false;
  #reading: Promise<number> | undefined;
  #stopped = false;
  /** Waits because too much that was read has not been started. */
  #full = false;
  /** The last read found nothing beyond it. */
  atHead = false;

  constructor(runner: Runner, types: ReadonlySet<string>) {
    this.#runner = runner;
    this.#types = types;
  }
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#run().catch((error: unknown) => {
      if (!this.#stopped) this.#runner.world.fail(error);
    });
  }
  /** Something may have been appended, or slots were taken. */
  wake(): void {
    this.#gate.open();
  }
  /** There is room for what was left unread. */
  roomAgain(): void {
    this.#runner.deferrals.relieved();
    if (this.#full) this.#gate.open();
  }
  stop(): void {
    this.#stopped = true;
    this.#gate.open();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (this.#runner.mayRead) await this.#readAtItsPace();
      if (this.#stopped) return;
      this.#full = !this.#runner.mayRead;
      if (this.#full) this.#runner.deferrals.full();
      if (this.#full || this.atHead) await this.#gate.pass();
    }
  }
  /** A rebuild leaves time to the others. */
  async #readAtItsPace(): Promise<void> {
    const { env } = this.#runner.world;
    const startedMs = env.monotonic();
    await this.#readOrWait();
    // Rows are made no faster than they are recorded.
    if (this.#runner.deferrals.isPressed) await this.#runner.world.settler.flush();
    if (!this.#runner.isRebuild || this.atHead || this.#stopped) return;
    const tookMs = env.monotonic() - startedMs;
    await pause(env, Math.max(limits.rebuildPauseMs, tookMs * limits.rebuildPauseShare));
  }
  /** A busy store is waited for. */
  async #readOrWait(): Promise<void> {
    try {
      await this.read();
    } catch (error) {
      if (!mayPass(error)) throw error;
      await pause(this.#runner.world.env, limits.checkpointMs);
    }
  }
  /** One page; concurrent calls share it. Answers how many events it held. */
  read(): Promise<number> {
    this.#reading ??= this.#page().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }
  async #page(): Promise<number> {
    const slots = this.#held();
    this.atHead = slots.length === 0;
    if (this.atHead) return 0;
    const page = await this.#runner.world.log.read({
      after: this.#after(slots),
      types: this.#types,
      limit: limits.pageEvents,
      scanMax: limits.scanMax,
    });
    for (const event of page.events) {
      const slot = slots[this.#runner.whole ? 0 : event.slot];
      if (slot !== undefined && this.#isCurrent(slot)) this.#runner.accept(slot, event);
    }
    const nowMs = this.#runner.world.env.monotonic();
    for (const [number, slot] of slots.entries()) {
      const to = page.scannedTo.get(number) ?? 0;
      if (slot === undefined || to <= slot.scanned || !this.#isCurrent(slot)) continue;
      slot.scanned = to;
      this.#runner.passed(slot, nowMs);
    }
    this.atHead = page.atHead;
    this.#runner.pump();
    return page.events.length;
  }
  /** The slots to read, by number. */
  #held(): (SlotWork | undefined)[] {
    const held: (SlotWork | undefined)[] = [];
    for (const [number, slot] of this.#runner.slots) {
      while (held.length <= number) held.push(undefined);
      if (!slot.leaving) held[number] = slot;
    }
    return held.every((slot) => slot === undefined) ? [] : held;
  }
  /** A slot may have been lost, and even taken again, while its page was read. */
  #isCurrent(slot: SlotWork): boolean {
    return !slot.leaving && !slot.dropped;
  }
  #after(slots: readonly (SlotWork | undefined)[]): ReadonlyMap<Slot, PositionNumber> {
    const after = new Map<Slot, PositionNumber>();
    if (!this.#runner.whole) {
      for (const [number, slot] of slots.entries()) if (slot !== undefined) after.set(number, slot.scanned);
      return after;
    }
    const from = slots[0]?.scanned ?? 0;
    for (let number = 0; number < this.#runner.world.log.capabilities.slots; number++) after.set(number, from);
    return after;
  }
}
