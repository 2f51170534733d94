import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { pause, type Env } from "../../env.ts";
import { Appender } from "./append.ts";
import { Bell } from "./bell.ts";
import { AppendedCounts } from "./counts.ts";
import { Database } from "./database.ts";
import { SqliteDeltas } from "./deltas.ts";
import { EventReader } from "./event-row.ts";
import { parseLocation, requireGoodPlace, type Location } from "./location.ts";
import { migrate, type Identity, type Wanted } from "./migrations.ts";
import { Names } from "./names.ts";
import { SessionLocks } from "./session-lock.ts";
import { isBusy, isFatal, storeError } from "./sqlite-error.ts";
import { requireSqlite } from "./version.ts";
import { WriteQueue, type Write } from "./write-queue.ts";

/** Waiting for another process while the file is opened or migrated: no events flow yet. */
const openRetryMs = 10;

/**
 * One open file: the connection, its write queue and what several parts share. Both ports of an engine stand on it; it
 * is closed when both are.
 */
export class Store {
  readonly db: Database;
  readonly env: Env;
  readonly location: Location;
  readonly identity: Identity;
  readonly names: Names;
  readonly reader: EventReader;
  readonly counts: AppendedCounts;
  readonly appender: Appender;
  readonly queue: WriteQueue;
  readonly bell: Bell;
  readonly deltas: SqliteDeltas;
  readonly locks: SessionLocks | undefined;
  #users = 0;
  /** The first cause, after which nothing is done any more. */
  #failure: { readonly cause: unknown } | undefined;

  constructor(db: Database, env: Env, location: Location, identity: Identity) {
    this.db = db;
    this.env = env;
    this.location = location;
    this.identity = identity;
    this.names = new Names(db);
    this.reader = new EventReader(db, this.names);
    this.counts = new AppendedCounts(db);
    this.appender = new Appender(db, env, this.names, this.reader, this.counts, identity.slots);
    this.bell = new Bell(db, env, location);
    this.deltas = new SqliteDeltas(env, location);
    this.locks = location.inMemory ? undefined : new SessionLocks(location.path);
    this.queue = new WriteQueue(db, env, {
      begin: () => this.appender.begin(),
      mark: () => this.appender.count,
      rewind: (mark) => this.#undo(mark),
      flush: () => this.appender.flush(),
      committed: () => this.#committed(),
      rolledBack: () => this.#undo(0),
      failed: (cause) => this.fail(cause),
    });
  }

  /** Throws the error that every call meets after a failure. */
  requireSound(): void {
    if (this.#failure === undefined) return;
    const { cause } = this.#failure;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new FactlogError("STORE_FAILED", `${this.location.path} failed (${text}): open it again.`, {
      cause,
      details: { cause: text },
    });
  }

  /** Puts a write into the queue; settles when its transaction has ended. */
  write<T>(run: () => T, options: { readonly full: boolean; readonly weight?: number }): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      this.submit({
        full: options.full,
        savepoint: true,
        weight: options.weight ?? 0,
        run: () => {
          result = run();
        },
        committed: () => resolve(result),
        failed: reject,
      });
    });
  }

  submit(write: Write): void {
    this.requireSound();
    this.queue.submit(write);
  }

  /** Reads outside a transaction of the queue: again while another process recovers the file. */
  async read<T>(look: () => T): Promise<T> {
    // Called by a handler inside its transaction: what others have not done yet is not to be seen.
    if (this.db.inTransaction) await Promise.resolve();
    const untilMs = this.env.monotonic() + limits.busyMaxMs;
    for (;;) {
      this.requireSound();
      try {
        return look();
      } catch (error) {
        if (isFatal(error)) this.fail(error);
        if (!isBusy(error) || this.env.monotonic() >= untilMs) throw storeError(error, this.location.path);
      }
      await pause(this.env, openRetryMs);
    }
  }

  /** Several reads of one moment. */
  snapshot<T>(look: () => T): Promise<T> {
    return this.read(() => {
      this.db.exec("BEGIN");
      try {
        return look();
      } finally {
        if (this.db.inTransaction) this.db.exec("COMMIT");
      }
    });
  }

  /** Fail stop: everything that waits and every later call is rejected; what others could wait for is let go. */
  fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { cause };
    this.queue.abandon(storeError(cause, this.location.path));
    this.#close();
  }

  use(): void {
    this.#users++;
  }

  /** Waits for what is in flight; with the last user gone, closes the file. */
  async leave(): Promise<void> {
    await this.queue.idle();
    if (--this.#users === 0) this.#close();
  }

  /** Closing may fail on a disk that failed: SQLite recovers at the next opening. */
  #close(): void {
    this.bell.close();
    this.deltas.close();
    this.locks?.close();
    try {
      this.db.close();
    } catch (error) {
      if (this.#failure === undefined) throw storeError(error, this.location.path);
    }
  }

  #undo(mark: number): void {
    this.appender.rewind(mark);
    this.names.forget();
  }

  #committed(): void {
    this.names.keep();
    this.appender.committed();
    if (this.appender.count > 0) this.bell.ring(this.appender.head);
  }
}

/** Opens or creates the file. Waits a few seconds for other processes that open it too. */
export async function openStore(env: Env, pathOrUrl: string, wanted: Wanted): Promise<Store> {
  requireSqlite(process.versions.sqlite);
  const location = parseLocation(pathOrUrl);
  if (!location.inMemory) requireGoodPlace(location.path);
  const untilMs = env.monotonic() + limits.busyMaxMs;
  for (;;) {
    try {
      return openOnce(env, location, wanted);
    } catch (error) {
      if (!isBusy(error) || env.monotonic() >= untilMs) throw storeError(error, location.path);
    }
    await pause(env, openRetryMs);
  }
}

function openOnce(env: Env, location: Location, wanted: Wanted): Store {
  const db = new Database(location.path);
  try {
    const identity = migrate(db, wanted, env, location.path);
    setPragmas(db);
    return new Store(db, env, location, identity);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The WAL is taken over into the file at this size: a longer one makes single commits slower, and stalls longer. */
const checkpointBytes = 4 * 1024 * 1024;

/** A WAL that a long reader made longer is cut to this when it is done with. */
const walBytesMax = 64 * 1024 * 1024;

/** Every setting that a promise hangs on is said, whatever SQLite was built with. */
function setPragmas(db: Database): void {
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA busy_timeout = 0");
  db.exec("PRAGMA trusted_schema = OFF");
  db.exec("PRAGMA foreign_keys = OFF");
  db.exec("PRAGMA mmap_size = 0");
  db.exec(`PRAGMA journal_size_limit = ${walBytesMax}`);
  db.exec("PRAGMA temp_store = MEMORY");
  db.exec("PRAGMA cache_size = -16384");
  db.exec(`PRAGMA wal_autocheckpoint = ${checkpointBytes / Number(db.value("PRAGMA page_size"))}`);
  if (process.platform === "darwin") db.exec("PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1");
  db.guardOwnTables();
}
