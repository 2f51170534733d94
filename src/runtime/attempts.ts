import type { DeliveryRef } from "../engine/ledger.ts";
import type { Env, Timer } from "../env.ts";
import { limits } from "../limits.ts";
import type { Attempt } from "./handle.ts";

export interface AttemptTimes {
  readonly timeoutMs: number;
  /** It ran past its timeout and did not return in time: it is given up, and keeps its place in flight. */
  abandon(attempt: Attempt): void;
  /** It runs long: it should not pin its slot. */
  detach(attempt: Attempt): void;
}

/** The attempts that run in user code, and the clock over them. One timer for all, and none where nothing runs. */
export class Attempts {
  readonly #env: Env;
  readonly #times: AttemptTimes;
  /**
   * No Set: one in which much comes and goes is rebuilt all the time, each of its tables keeps the next one alive, and
   * with it all that they ever held, until the old generation is collected.
   */
  readonly #running: Attempt[] = [];
  readonly #everyMs: number;
  #timer: Timer | undefined;

  constructor(env: Env, times: AttemptTimes) {
    this.#env = env;
    this.#times = times;
    this.#everyMs = Math.min(250, Math.max(5, Math.min(times.timeoutMs, limits.detachAfterMs) / 4));
  }
  [Symbol.iterator](): Iterator<Attempt> {
    return [...this.#running].values();
  }
  /** Rows that say running in my name. */
  runningRows(): (DeliveryRef & { readonly rowToken: number })[] {
    return [...this].flatMap(({ delivery }) => {
      const { sub, gen, slot } = delivery.slot.lease;
      return delivery.row === undefined
        ? []
        : [{ sub, gen, slot, position: delivery.event.position, rowToken: delivery.row.token }];
    });
  }
  add(attempt: Attempt): void {
    attempt.place = this.#running.push(attempt) - 1;
    this.#timer ??= this.#env.after(this.#everyMs, () => this.#look());
  }
  /** Whether it was running. */
  remove(attempt: Attempt): boolean {
    const { place } = attempt;
    if (place === -1) return false;
    attempt.place = -1;
    const last = this.#running.pop();
    if (last === undefined || last === attempt) return true;
    this.#running[place] = last;
    last.place = place;
    return true;
  }
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = this.#env.monotonic();
    for (const attempt of this) this.#check(attempt, nowMs - attempt.startedMs);
    if (this.#running.length > 0) this.#timer = this.#env.after(this.#everyMs, () => this.#look());
  }
  #check(attempt: Attempt, ranMs: number): void {
    if (attempt.told || attempt.settling) return;
    const { timeoutMs } = this.#times;
    if (ranMs >= timeoutMs && !attempt.timedOut) {
      attempt.timedOut = true;
      attempt.context?.end("HANDLER_TIMEOUT");
    }
    if (ranMs >= timeoutMs + limits.abandonAfterMs) this.#times.abandon(attempt);
    else if (ranMs >= limits.detachAfterMs) this.#times.detach(attempt);
  }
}
