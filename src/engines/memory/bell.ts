import type { Env } from "../../env.ts";

/** Rings at every append. Belongs to a store. */
export class Bell {
  #rung = 0;
  readonly #ears = new Set<() => void>();

  get rung(): number {
    return this.#rung;
  }
  ring(): void {
    this.#rung++;
    for (const ear of this.#ears) ear();
  }
  /** Calls `ear` at every ring until the returned function is called. */
  attend(ear: () => void): () => void {
    this.#ears.add(ear);
    return () => this.#ears.delete(ear);
  }
}

/** One process's waiting for the bell: the `wake` of the port. */
export class Waker {
  readonly #bell: Bell;
  readonly #env: Env;
  readonly #closing = new AbortController();
  /** Rings heard when the last `wait` resolved. */
  #heard: number;

  constructor(bell: Bell, env: Env) {
    this.#bell = bell;
    this.#env = env;
    this.#heard = bell.rung;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }
  close(): void {
    this.#closing.abort();
  }

  async wait(maxMs: number, signal: AbortSignal): Promise<void> {
    const end = AbortSignal.any([signal, this.#closing.signal]);
    if (this.#bell.rung === this.#heard && !end.aborted) await this.#ringOrEnd(maxMs, end);
    this.#heard = this.#bell.rung;
  }

  #ringOrEnd(maxMs: number, end: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        leave();
        end.removeEventListener("abort", finish);
        resolve();
      };
      const timer = this.#env.after(maxMs, finish, { upkeep: true });
      const leave = this.#bell.attend(finish);
      end.addEventListener("abort", finish);
    });
  }
}
