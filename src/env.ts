import { uuidV7 } from "./uuid.ts";

/**
 * Clock, randomness, ids and scheduling come in from outside, so that a seed can replay a run.
 * This is the only file that touches the real ones, with `uuid.ts`.
 */
export interface Timer {
  /** Idempotent. */
  cancel(): void;
}

export interface Env {
  /** Wall clock, milliseconds since 1970. May jump. */
  now(): number;
  /** Monotonic milliseconds with an arbitrary origin. Never jumps back. */
  monotonic(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** A fresh UUIDv7 in its canonical lower-case form. */
  uuid(): string;
  /**
   * Runs `task` once, not before `delayMs`. `upkeep`: a look that finds nothing where nobody else has acted; a virtual
   * clock that is advanced by hours may run it once for all.
   */
  after(delayMs: number, task: () => void, options?: { readonly upkeep?: boolean }): Timer;
  /** Runs `task` after the I/O that is due now: the point at which waiting work shares a commit. */
  soon(task: () => void): void;
}

export const realEnv: Env = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  uuid: () => uuidV7(Date.now()),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), 2 ** 31 - 1));
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (task) => void setImmediate(task),
};

/** Resolves after `delayMs`, or at once when `signal` aborts. Never rejects. */
export function pause(env: Env, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const finish = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = env.after(delayMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
