import { closeSync, constants, openSync, watch, writeSync, type FSWatcher } from "node:fs";
import { limits } from "../../limits.ts";
import type { Env, Timer } from "../../env.ts";
import type { PositionNumber } from "../../event/stored-event.ts";
import { headSql } from "./counts.ts";
import type { Database, Statement } from "./database.ts";
import type { Location } from "./location.ts";

/** Shortest wait between two looks where the bell cannot be heard; doubles while nothing comes. */
const pollFirstMs = 1;
const oneByte = new Uint8Array([0]);

interface Waiter {
  readonly wake: () => void;
}

/**
 * Who waits for events is woken by appends of this process at once, by those of others through `<db>-bell`: a file into
 * which a byte is written after a commit that appended, and which the others watch. A hint may be lost, and watching
 * may be impossible (inotify has its limits): the head is looked at beside it, with a growing interval.
 */
export class Bell {
  readonly #env: Env;
  readonly #path: string | undefined;
  readonly #readHead: Statement<[number]>;
  readonly #waiters = new Set<Waiter>();
  /** The head that each caller, known by its signal, had when its last `wake` resolved. */
  readonly #heard = new WeakMap<AbortSignal, PositionNumber>();
  #lastHeard: PositionNumber;
  #file: number | undefined;
  #watcher: FSWatcher | undefined;
  #watching: "not yet" | "yes" | "impossible" = "not yet";
  #pollMs: number = pollFirstMs;
  #pollTimer: Timer | undefined;
  #closed = false;
  /** The highest head seen. */
  head: PositionNumber;

  constructor(db: Database, env: Env, location: Location) {
    this.#env = env;
    this.#path = location.inMemory ? undefined : `${location.path}-bell`;
    this.#readHead = db.prepare(headSql);
    this.head = this.#readHead.get()![0];
    this.#lastHeard = this.head;
  }

  /** After a commit of this process that appended up to `head`. */
  ring(head: PositionNumber): void {
    this.head = head;
    this.wakeAll();
    if (this.#path === undefined) return;
    try {
      this.#file ??= openBell(this.#path);
      writeSync(this.#file, oneByte, 0, 1, 0);
    } catch {
      // Others will find the events by looking.
    }
  }

  /** Looks at the head, whoever moved it. */
  look(): PositionNumber {
    const head = this.#readHead.get()![0];
    if (head > this.head) {
      this.head = head;
      this.#pollMs = pollFirstMs;
      this.wakeAll();
    }
    return this.head;
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
        this.#stopPolling();
        resolve();
      };
      const waiter: Waiter = { wake: finish };
      this.#listen();
      if (!this.#closed && this.#path !== undefined) this.#lookSafely();
      const now = signal.aborted || this.#closed || this.head > (this.#heard.get(signal) ?? this.#lastHeard);
      const timer = now ? undefined : this.#env.after(maxMs, finish, { upkeep: true });
      if (now) return finish();
      this.#waiters.add(waiter);
      signal.addEventListener("abort", finish, { once: true });
      this.#poll();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wakeAll();
    this.#watcher?.close();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #listen(): void {
    if (this.#watching !== "not yet" || this.#closed) return;
    this.#watching = "impossible";
    if (this.#path === undefined) return;
    try {
      this.#file ??= openBell(this.#path);
      this.#watcher = watch(this.#path, { persistent: false }, () => this.#heardBell());
      this.#watcher.on("error", () => this.#deaf());
      this.#watching = "yes";
    } catch {
      this.#deaf();
    }
  }

  #heardBell(): void {
    if (!this.#closed && this.#waiters.size > 0) this.#lookSafely();
  }

  #deaf(): void {
    this.#watching = "impossible";
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /** Beside a bell that can be heard one look at the end of each wait is enough. */
  #poll(): void {
    if (this.#path === undefined || this.#pollTimer !== undefined || this.#waiters.size === 0) return;
    const waitMs = this.#watching === "yes" ? limits.wakeMaxMs : this.#pollMs;
    const look = (): void => {
      this.#pollTimer = undefined;
      this.#pollMs = Math.min(this.#pollMs * 2, limits.wakeMaxMs);
      this.#lookSafely();
      this.#poll();
    };
    this.#pollTimer = this.#env.after(waitMs, look, { upkeep: true });
  }

  #stopPolling(): void {
    if (this.#waiters.size > 0) return;
    this.#pollTimer?.cancel();
    this.#pollTimer = undefined;
  }

  /** An error here is met, and told, by whoever reads next. */
  #lookSafely(): void {
    try {
      this.look();
    } catch {
      this.wakeAll();
    }
  }
}

/** Always its first byte is written: the file does not grow. */
const openBell = (path: string): number => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o666);
