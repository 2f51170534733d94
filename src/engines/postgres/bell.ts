import { limits } from "../../limits.ts";
import type { Env, Timer } from "../../env.ts";
import type { PositionNumber } from "../../event/stored-event.ts";

/** Shortest wait between two looks; doubles while nothing comes. */
const pollFirstMs = 2;

interface Waiter {
  readonly wake: () => void;
}

/**
 * Who waits for events is woken by appends of this process at once, by those of others through NOTIFY. A hint may be
 * lost with its connection: the head is looked at beside it, with a growing interval up to `limits.wakeMaxMs`.
 */
export class Bell {
  readonly #env: Env;
  readonly #readHead: () => Promise<PositionNumber>;
  readonly #waiters = new Set<Waiter>();
  /** The head that each caller, known by its signal, had when its last `wake` resolved. */
  readonly #heard = new WeakMap<AbortSignal, PositionNumber>();
  #lastHeard: PositionNumber;
  #pollMs: number = pollFirstMs;
  #pollTimer: Timer | undefined;
  #looking = false;
  #closed = false;
  /** The highest head seen. */
  head: PositionNumber;

  constructor(env: Env, head: PositionNumber, readHead: () => Promise<PositionNumber>) {
    this.#env = env;
    this.#readHead = readHead;
    this.head = head;
    this.#lastHeard = head;
  }

  /** The log has come to this head, whoever says so. */
  ring(head: PositionNumber): void {
    if (!(head > this.head)) return;
    this.head = head;
    this.#pollMs = pollFirstMs;
    this.wakeAll();
  }

  wakeAll(): void {
    for (const waiter of this.#waiters) waiter.wake();
  }

  wait(maxMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        timer?.cancel();
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", finish);
        this.#heard.set(signal, this.head);
        this.#lastHeard = this.head;
        if (this.#waiters.size === 0) this.#stopPolling();
        resolve();
      };
      const waiter: Waiter = { wake: finish };
      const now = signal.aborted || this.#closed || this.head > (this.#heard.get(signal) ?? this.#lastHeard);
      const timer = now ? undefined : this.#env.after(maxMs, finish, { upkeep: true });
      if (now) return finish();
      this.#waiters.add(waiter);
      signal.addEventListener("abort", finish, { once: true });
      this.#poll();
    });
  }

  close(): void {
    this.#closed = true;
    this.#stopPolling();
    this.wakeAll();
  }

  #poll(): void {
    if (this.#pollTimer !== undefined || this.#looking || this.#closed) return;
    this.#pollTimer = this.#env.after(
      this.#pollMs,
      () => {
        this.#pollTimer = undefined;
        void this.#look();
      },
      { upkeep: true },
    );
  }

  /** A look that fails is made again: the truth comes with the next that succeeds. */
  async #look(): Promise<void> {
    this.#looking = true;
    this.#pollMs = Math.min(2 * this.#pollMs, limits.wakeMaxMs);
    try {
      this.ring(await this.#readHead());
    } catch {
      // The connection is being made again.
    }
    this.#looking = false;
    if (this.#waiters.size > 0) this.#poll();
  }

  #stopPolling(): void {
    this.#pollTimer?.cancel();
    this.#pollTimer = undefined;
  }
}
