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
  readonly #running = new Set<Attempt>();
  readonly #everyMs: number;
  #timer: Timer | undefined;

  constructor(env: Env, times: AttemptTimes) {
    this.#env = env;
    this.#times = times;
    this.#everyMs = Math.min(250, Math.max(5, Math.min(times.timeoutMs, limits.detachAfterMs) / 4));
  }
  [Symbol.iterator](): Iterator<Attempt> {
    return this.#running.values();
  }
  add(attempt: Attempt): void {
    this.#running.add(attempt);
    this.#timer ??= this.#env.after(this.#everyMs, () => this.#look());
  }
  /** Whether it was running. */
  remove(attempt: Attempt): boolean {
    return this.#running.delete(attempt);
  }
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = this.#env.monotonic();
    for (const attempt of this.#running) this.#check(attempt, nowMs - attempt.startedMs);
    if (this.#running.size > 0) this.#timer = this.#env.after(this.#everyMs, () => this.#look());
  }
  #check(attempt: Attempt, ranMs: number): void {
    if (attempt.told) return;
    const { timeoutMs } = this.#times;
    if (ranMs >= timeoutMs && !attempt.timedOut) {
      attempt.timedOut = true;
      attempt.context?.end("HANDLER_TIMEOUT");
    }
    if (ranMs >= timeoutMs + limits.abandonAfterMs) this.#times.abandon(attempt);
    else if (ranMs >= limits.detachAfterMs) this.#times.detach(attempt);
  }
}
