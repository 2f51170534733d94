import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Env } from "../../env.ts";
import type { Database, Statement } from "./database.ts";
import { isBusy, isFatal, isOfTheStore, storeError } from "./sqlite-error.ts";

/** One member of a shared transaction. `run` may be called again, after a transaction that came to nothing. */
export interface Write {
  /** Needs to be synced to disk before `committed`: one such member makes the whole transaction FULL. */
  readonly full: boolean;
  /** Guarded by a savepoint of its own, so that what it throws harms no other member. Without: it leaves nothing behind. */
  readonly savepoint: boolean;
  /** Events it will append, about: the size of a transaction is bounded by their sum. */
  readonly weight: number;
  /** Does its work in the open transaction. What it throws rejects it alone. */
  run(): void;
  /** After COMMIT. */
  committed(): void;
  failed(error: unknown): void;
}

/** Thrown by a member whose statement ended the whole transaction: it remembers why, all members run again. */
export class TransactionGone extends Error {}

/** What surrounds the members of a transaction. */
export interface TransactionHooks {
  begin(): void;
  /** A mark to go back to, taken before a member runs. */
  mark(): number;
  rewind(mark: number): void;
  /** Before COMMIT: writes what the members have gathered. */
  flush(): void;
  committed(): void;
  rolledBack(): void;
  /** The file failed: the store stops. */
  failed(cause: unknown): void;
}

/**
 * The one writer of a store. Waiting members share a transaction, begun at the point that `env.soon` gives. It runs from
 * BEGIN to COMMIT without a pause, so nothing else of this process comes between. SQLite's own busy handler would block
 * the event loop and starve: BEGIN is tried at once and again by `env.after`, for `limits.busyMaxMs`.
 */
export class WriteQueue {
  readonly #db: Database;
  readonly #savepoint: Statement;
  readonly #release: Statement;
  readonly #env: Env;
  readonly #hooks: TransactionHooks;
  #waiting: Write[] = [];
  #scheduled = false;
  #busySinceMs: number | undefined;
  #synchronous: boolean | undefined;
  #idle: (() => void)[] = [];
  /** Transactions committed since the store was opened. */
  commits = 0;

  constructor(db: Database, env: Env, hooks: TransactionHooks) {
    this.#db = db;
    this.#savepoint = db.prepare("SAVEPOINT member");
    this.#release = db.prepare("RELEASE member");
    this.#env = env;
    this.#hooks = hooks;
  }

  /** Whether the open transaction is synced when it is committed. */
  get isFull(): boolean {
    return this.#synchronous === true;
  }

  submit(write: Write): void {
    this.#waiting.push(write);
    this.#schedule();
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Rejects everything that waits. */
  abandon(error: unknown): void {
    this.#reject(this.#waiting.splice(0), error);
    this.#rest();
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#env.soon(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    const members = this.#take();
    if (members.length > 0) this.#transact(members);
    this.#schedule();
    this.#rest();
  }

  #rest(): void {
    if (this.#waiting.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The next members in order, as many as one transaction may hold. */
  #take(): Write[] {
    let weight = 0;
    let count = 0;
    for (const write of this.#waiting) {
      weight += write.weight;
      if (count > 0 && weight > limits.commitEventsMax) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #transact(members: Write[]): void {
    try {
      this.#begin(members.some((write) => write.full));
    } catch (error) {
      return isBusy(error) ? this.#retry(members) : this.#fail(members, error);
    }
    this.#busySinceMs = undefined;
    try {
      this.#finish(this.#runAll(members));
    } catch (error) {
      this.#fail(members, error);
    }
  }

  /** The durability of a transaction is that of the connection when it begins. */
  #begin(full: boolean): void {
    if (this.#synchronous !== full) {
      this.#db.exec(full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
      this.#synchronous = full;
    }
    this.#db.exec("BEGIN IMMEDIATE");
  }

  /** Runs the members; gives those that stand. Throws what meets them all. */
  #runAll(members: readonly Write[]): { done: Write[]; refused: [Write, unknown][] } {
    this.#hooks.begin();
    const refused: [Write, unknown][] = [];
    const done: Write[] = [];
    for (const write of members) {
      try {
        this.#runOne(write);
        done.push(write);
      } catch (error) {
        if (isOfTheStore(error)) throw error;
        if (!this.#db.inTransaction) return this.#again(members, write, error);
        refused.push([write, error]);
      }
    }
    this.#hooks.flush();
    return { done, refused };
  }

  #runOne(write: Write): void {
    if (!write.savepoint) return write.run();
    const mark = this.#hooks.mark();
    this.#savepoint.run();
    try {
      write.run();
      this.#release.run();
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK TO member; RELEASE member");
      this.#hooks.rewind(mark);
      throw error;
    }
  }

  /** A statement of one member rolled everything back: the others run again, and it too if it knows what to leave out. */
  #again(members: readonly Write[], culprit: Write, error: unknown): { done: Write[]; refused: [Write, unknown][] } {
    this.#hooks.rolledBack();
    this.#begin(members.some((write) => write.full));
    if (error instanceof TransactionGone) return this.#runAll(members);
    const { done, refused } = this.#runAll(members.filter((write) => write !== culprit));
    return { done, refused: [...refused, [culprit, error]] };
  }

  #finish({ done, refused }: { done: Write[]; refused: [Write, unknown][] }): void {
    try {
      this.#db.exec("COMMIT");
    } catch (error) {
      throw isFatal(error) ? new CommitFailed(error) : error;
    }
    this.commits++;
    this.#hooks.committed();
    for (const write of done) write.committed();
    for (const [write, error] of refused) write.failed(error);
  }

  #fail(members: readonly Write[], error: unknown): void {
    this.#rollBack();
    this.#hooks.rolledBack();
    const cause = error instanceof CommitFailed ? error.cause : error;
    const mapped = storeError(cause, "the store");
    if (isFatal(cause)) this.#hooks.failed(cause);
    this.#reject(members, error instanceof CommitFailed ? unknownOutcome(cause) : mapped);
  }

  #rollBack(): void {
    try {
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
    } catch {
      // The connection is of no use any more: `failed` has stopped or will stop the store.
    }
  }

  /** Another process writes: the same members again, in a moment. */
  #retry(members: Write[]): void {
    const now = this.#env.monotonic();
    this.#busySinceMs ??= now;
    if (now - this.#busySinceMs > limits.busyMaxMs) {
      this.#busySinceMs = undefined;
      return this.#reject(members, busy());
    }
    this.#waiting = [...members, ...this.#waiting];
    this.#scheduled = true;
    this.#env.after(1 + this.#env.random() * busyRetryMs, () => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #reject(members: readonly Write[], error: unknown): void {
    for (const write of members) write.failed(error);
  }
}

/** Writers of other processes hold the lock for about as long as one commit takes. */
const busyRetryMs = 2;

class CommitFailed extends Error {
  constructor(cause: unknown) {
    super("COMMIT failed", { cause });
  }
}

function busy(): FactlogError {
  return new FactlogError(
    "STORE_BUSY",
    `another process has kept the store locked for ${limits.busyMaxMs} ms: nothing was stored; look for a long transaction.`,
    { retryable: true },
  );
}

function unknownOutcome(cause: unknown): FactlogError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new FactlogError(
    "OUTCOME_UNKNOWN",
    `the disk failed while a transaction was committed (${text}): it may or may not be stored; open the store again and repeat under the same ids.`,
    { cause, retryable: true, details: { cause: text } },
  );
}
