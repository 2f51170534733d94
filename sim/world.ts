import { Random } from "./random.ts";
import { Trace } from "./trace.ts";

/** Whose task it is: it does not run once its owner is gone, and waits while its owner stands still. */
export interface Owner {
  readonly number: number;
  readonly gone: boolean;
  /** Virtual time until which it stands still. */
  readonly frozenUntilMs: number;
}
export interface Task {
  cancelled: boolean;
  readonly owner: Owner | undefined;
  readonly name: string;
  readonly run: () => void;
  atMs: number;
  /** Drawn: among tasks due at one moment the lowest runs first. */
  turn: number;
}

/** Tasks of one virtual millisecond; more is a loop that time cannot leave. */
const tasksPerMsMax = 200_000;
/** Tasks handed to Node at once: between two immediates all microtasks run. */
const immediates = 64;

/**
 * Virtual time and one thread: tasks run one after the other in the order of their time, and in drawn order where they
 * are due together; after each, everything that follows from it without waiting runs to its end.
 */
export class World {
  readonly trace = new Trace();
  readonly random: Random;
  nowMs = 0;
  /** Called before each task that has an owner. */
  beforeTask: ((task: Task) => void) | undefined;
  readonly #heap: Task[] = [];
  #taskCount = 0;
  #sinceTick = 0;
  readonly #turns: Random;

  constructor(seed: number) {
    this.random = new Random(seed, 1);
    this.#turns = new Random(seed, 2);
  }

  /** Tasks run so far: a clock of its own, finer than milliseconds. */
  get step(): number {
    return this.#taskCount;
  }

  after(delayMs: number, owner: Owner | undefined, name: string, run: () => void): Task {
    const atMs = this.nowMs + Math.max(0, Math.ceil(delayMs));
    const task: Task = { cancelled: false, owner, name, run, atMs, turn: this.#turns.bits() };
    this.#push(task);
    return task;
  }

  /** Runs until `done` holds after some task, or until the time is `untilMs`. Says whether it held. */
  run(done: () => boolean, untilMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let over = false;
      let waiting = 0;
      const turn = (): void => {
        waiting--;
        if (over) return;
        try {
          if (done()) {
            over = true;
            return resolve(true);
          }
          if (!this.#next(untilMs)) {
            over = true;
            return resolve(false);
          }
        } catch (error) {
          over = true;
          return reject(error as Error);
        }
        if (waiting === 0) refill();
      };
      const refill = (): void => {
        for (; waiting < immediates; waiting++) setImmediate(turn);
      };
      refill();
    });
  }

  /** Runs one task; false where none is due by then. */
  #next(untilMs: number): boolean {
    for (;;) {
      const task = this.#heap[0];
      if (task === undefined || task.atMs > untilMs) return false;
      this.#pop();
      if (task.cancelled || task.owner?.gone === true) continue;
      if (task.owner !== undefined && task.owner.frozenUntilMs > task.atMs) {
        task.atMs = task.owner.frozenUntilMs;
        this.#push(task);
        continue;
      }
      this.#perform(task);
      return true;
    }
  }
  #perform(task: Task): void {
    this.#sinceTick = task.atMs === this.nowMs ? this.#sinceTick + 1 : 0;
    if (this.#sinceTick > tasksPerMsMax) throw new Error(`livelock at ${this.nowMs} ms: ${task.name}`);
    this.nowMs = task.atMs;
    this.#taskCount++;
    if (this.beforeTask !== undefined) {
      this.beforeTask(task);
      if (task.owner?.gone === true) return;
    }
    this.trace.number(task.atMs);
    this.trace.number(task.owner?.number ?? 0);
    this.trace.text(task.name);
    task.run();
  }

  // ── a binary heap ──
  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(task, heap[parent] as Task)) break;
      heap[at] = heap[parent] as Task;
      at = parent;
    }
    heap[at] = task;
  }
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Task;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Task, heap[child] as Task)) child++;
      if (!before(heap[child] as Task, last)) break;
      heap[at] = heap[child] as Task;
      at = child;
    }
    heap[at] = last;
  }
}

const before = (a: Task, b: Task): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.turn < b.turn);
