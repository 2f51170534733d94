import type { Env } from "../env.ts";
import type { PositionNumber } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import type { SlotWork } from "./slot-work.ts";

/**
 * How far claims run ahead of what user code was handed. Far ahead means few writes, and many suspects after a crash; so
 * the distance doubles each time that claims run out, and halves when they have lasted for a second.
 */
export class Claims {
  readonly #env: Env;
  readonly #totalOrder: boolean;
  #ahead: number = limits.claimAheadMin;
  #stalled = false;
  #steadySinceMs = 0;
  #startedTo: PositionNumber = 0;
  #wantedTo: PositionNumber = 0;
  /** Highest claim that was recorded for any slot: one record brings it to all, one after the other. */
  #grantedTo: PositionNumber = 0;

  constructor(env: Env, totalOrder: boolean) {
    this.#env = env;
    this.#totalOrder = totalOrder;
  }
  /** User code gets the event at this position. */
  started(slot: SlotWork, position: PositionNumber): void {
    if (position > this.#startedTo) this.#startedTo = position;
    slot.startedTo = position;
  }
  /** The claim that the next record of this slot is to make. */
  of(slot: SlotWork): PositionNumber {
    const started = this.#totalOrder ? this.#startedTo : slot.startedTo;
    const wanted = this.#totalOrder ? this.#wantedTo : slot.wantedTo;
    return Math.max(wanted, Math.max(started, slot.low) + this.#ahead);
  }
  /** Work at this position waits for a claim. Answers whether one was asked for already. */
  stall(slot: SlotWork, position: PositionNumber): boolean {
    slot.wantedTo = Math.max(slot.wantedTo, position);
    this.#wantedTo = Math.max(this.#wantedTo, position);
    if (this.#stalled) return true;
    this.#stalled = true;
    this.#steadySinceMs = this.#env.monotonic();
    const ranOut = !this.#totalOrder || position > this.#grantedTo;
    if (ranOut) this.#ahead = Math.min(this.#ahead * 2, limits.claimAheadMax);
    return false;
  }
  /** The claim of a slot was recorded. Answers whether it is enough: one made before work began to wait may not be. */
  granted(slot: SlotWork): boolean {
    this.#grantedTo = Math.max(this.#grantedTo, slot.claim);
    if (slot.claim < (this.#totalOrder ? this.#wantedTo : slot.wantedTo)) return !this.#stalled;
    this.#stalled = false;
    const nowMs = this.#env.monotonic();
    if (nowMs - this.#steadySinceMs >= 10 * limits.checkpointMs) {
      this.#steadySinceMs = nowMs;
      this.#ahead = Math.max(limits.claimAheadMin, Math.floor(this.#ahead / 2));
    }
    return true;
  }
}
