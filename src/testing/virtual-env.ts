import { type Env, realEnv, type Timer } from "../env.ts";

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  readonly upkeep: boolean;
}

/**
 * An environment whose clock stands still until it is advanced. What waits for time waits for `advance`; what waits for
 * other work goes on by itself. `kill` ends the process that lives in it: nothing of it runs any more.
 */
export class VirtualEnv implements Env {
  readonly #tasks = new Set<Task>();
  #nowMs: number;
  #order = 0;
  #alive = true;

  /** `startMs`: the wall clock at the beginning. Default 2026-01-01, so that runs look alike. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }
  now(): number {
    return this.#nowMs;
  }
  monotonic(): number {
    return this.#nowMs;
  }
  random(): number {
    return realEnv.random();
  }
  uuid(): string {
    return realEnv.uuid();
  }
  after(delayMs: number, run: () => void, options: { readonly upkeep?: boolean } = {}): Timer {
    const task: Task = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      run,
      upkeep: options.upkeep === true,
    };
    this.#tasks.add(task);
    return { cancel: () => void this.#tasks.delete(task) };
  }
  soon(task: () => void): void {
    realEnv.soon(() => {
      if (this.#alive) task();
    });
  }
  get alive(): boolean {
    return this.#alive;
  }
  kill(): void {
    this.#alive = false;
    this.#tasks.clear();
  }

  /** Moves the clock on; timers fire in order, and what they started goes on between them. Upkeep runs once, at the end. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      await turn();
      const next = this.#next(untilMs);
      if (next === undefined) break;
      this.#tasks.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = untilMs;
    for (const task of [...this.#tasks].filter((each) => each.upkeep && each.atMs <= untilMs)) {
      if (this.#tasks.delete(task)) task.run();
    }
    await turn();
  }
  #next(untilMs: number): Task | undefined {
    let first: Task | undefined;
    for (const task of this.#tasks) {
      if (task.upkeep || task.atMs > untilMs) continue;
      if (first === undefined || task.atMs < first.atMs || (task.atMs === first.atMs && task.order < first.order))
        first = task;
    }
    return first;
  }
}

/** Lets waiting work and I/O go on for a few turns of the event loop. */
export async function turn(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => realEnv.soon(resolve));
}
