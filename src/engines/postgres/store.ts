import { FactlogError } from "../../errors.ts";
import { pause, type Env } from "../../env.ts";
import { limits } from "../../limits.ts";
import { Bell } from "./bell.ts";
import { Connection, Lost, type ConnectionOptions, type Run } from "./connection.ts";
import { PostgresDeltas } from "./deltas.ts";
import { loadDriver, type Client } from "./driver.ts";
import { channelOf, Hub } from "./hub.ts";
import type { Location } from "./location.ts";
import { isSameLife, migrate, type Identity, type Wanted } from "./migrations.ts";
import { Names } from "./names.ts";
import { requireOwnBackend } from "./pooler.ts";
import { isLost, storeError } from "./postgres-error.ts";
import { inSchema } from "./schema.ts";

/** Connections for reading: a reader of the log beside whatever else is asked. */
const readersMax = 2;

/**
 * One database as one process sees it: at most five connections, made when they are first used, and what both ports
 * share. Appends have a connection of their own, and so have the ledger's writes: each writes one transaction after the
 * other. It is closed when both ports are.
 */
export class Store {
  readonly env: Env;
  readonly location: Location;
  readonly identity: Identity;
  readonly names: Names;
  readonly bell: Bell;
  readonly deltas: PostgresDeltas;
  readonly hub: Hub;
  readonly channel: string;
  readonly appends: Connection;
  readonly writes: Connection;
  readonly #readers: Connection[];
  readonly #applicationName: string;
  #users = 0;
  #failure: { readonly cause: unknown } | undefined;

  constructor(options: Omit<ConnectionOptions, "role">, writes: Connection, identity: Identity, head: number) {
    this.env = options.env;
    this.location = options.location;
    this.identity = identity;
    this.#applicationName = options.applicationName;
    this.channel = channelOf(options.location);
    const check = (run: Run): Promise<void> => this.requireSameLife(run);
    this.writes = writes;
    this.appends = new Connection({ ...options, role: "appends", prepare: check });
    this.#readers = Array.from(
      { length: readersMax },
      () => new Connection({ ...options, role: "reads", prepare: (run) => this.#prepareReads(run) }),
    );
    this.names = new Names(this.location.quoted, (work) => this.repeat(this.#reader(), work));
    this.bell = new Bell(this.env, head, () => this.readHead());
    this.deltas = new PostgresDeltas(this.env.uuid(), (payloads) =>
      this.read(async (run) => {
        for (const payload of payloads) await run("SELECT pg_notify($1, $2)", [this.channel, payload]);
      }),
    );
    const notified = (payload: string): void => {
      if (!this.deltas.notified(payload)) this.bell.ring(Number(payload));
    };
    this.hub = new Hub(options, notified, check);
  }

  /** SQL of ours, with the schema's name in it. */
  sql(text: string): string {
    return inSchema(text, this.location.quoted);
  }

  /** How a connection is named in pg_stat_activity. */
  nameOf(role: string): string {
    return `${this.#applicationName} ${role}`;
  }

  /** Reads; made again where the connection was lost. */
  read<T>(work: (run: Run, client: Client) => Promise<T>): Promise<T> {
    return this.repeat(this.#reader(), work);
  }

  /** Several reads of one moment. */
  snapshot<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return this.read((run) => inTransaction(run, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", () => work(run)));
  }

  /** A work that may be repeated whatever became of its first run. */
  async repeat<T>(connection: Connection, work: (run: Run, client: Client) => Promise<T>): Promise<T> {
    this.requireSound();
    try {
      return await connection.repeat(work);
    } catch (error) {
      throw this.error(error);
    }
  }

  /** A head below one that was seen is one of a log that was restored under the connection: then it fails. */
  async readHead(): Promise<number> {
    const seen = this.bell.head;
    return this.read(async (run) => {
      const [row] = await run<[number]>(this.sql("SELECT position FROM S.head"), [], "head");
      if (row![0] < seen) await this.requireSameLife(run);
      return row![0];
    });
  }

  /** An error of the server or the connection as one of ours. */
  error(error: unknown): unknown {
    const mapped = storeError(error instanceof Lost ? error.cause : error, this.location);
    if (mapped instanceof FactlogError && mapped.code === "STORE_FAILED") this.fail(mapped);
    return mapped;
  }

  /** Throws the error that every call meets after a failure. */
  requireSound(): void {
    if (this.#failure === undefined) return;
    const { cause } = this.#failure;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new FactlogError("STORE_FAILED", `${text} Open it again.`, { cause, details: { cause: text } });
  }

  /** Fail stop: every later call is rejected. */
  fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { cause };
    this.bell.close();
    void this.#close();
  }

  use(): void {
    this.#users++;
  }

  /** It could not be opened whole. */
  abandon(): Promise<void> {
    return this.#close();
  }

  /** Waits for what is in flight; with the last user gone, ends the connections. */
  async leave(): Promise<void> {
    if (--this.#users === 0) await this.#close();
  }

  async #close(): Promise<void> {
    this.bell.close();
    await Promise.all([this.appends, this.writes, ...this.#readers].map((connection) => connection.close()));
    await this.hub.close();
  }

  #reader(): Connection {
    return this.#readers.reduce((best, one) => (one.load < best.load ? one : best));
  }

  /**
   * Pages come in the order of an index, and end with their limit. While there are no statistics, and for limits that are
   * parameters, the planner would rather gather all rows behind the cursor and sort them, for every page anew.
   */
  async #prepareReads(run: Run): Promise<void> {
    await this.requireSameLife(run);
    await run("SET enable_bitmapscan = off");
  }

  /** A server that was restored or failed over may give positions a second time. */
  async requireSameLife(run: Run): Promise<void> {
    if (await isSameLife(run, this.location, this.identity, this.bell.head)) return;
    const error = new FactlogError(
      "STORE_FAILED",
      `${this.location.shown} is another database than before (restored, failed over or replaced): positions begin a new epoch.`,
      { details: { store: this.location.shown } },
    );
    this.fail(error);
    throw error;
  }
}

/** One transaction of several round trips. */
export async function inTransaction<T>(run: Run, begin: string, work: () => Promise<T>): Promise<T> {
  await run(begin);
  try {
    const result = await work();
    await run("COMMIT");
    return result;
  } catch (error) {
    await run("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * Opens the schema, or makes it. A server that cannot be reached is an error at once; a connection that ends on the way is
 * made again for a while.
 */
export async function openStore(env: Env, location: Location, wanted: Wanted): Promise<Store> {
  const untilMs = env.monotonic() + limits.busyMaxMs;
  for (;;) {
    try {
      return await openOnce(env, location, wanted);
    } catch (error) {
      if (!isGone(error) || env.monotonic() > untilMs) {
        throw storeError(error instanceof Lost ? error.cause : error, location);
      }
    }
    await pause(env, openRetryMs);
  }
}
const openRetryMs = 50;
/** It was there, and is gone. What cannot be reached at all is an error of a system call. */
function isGone(error: unknown): boolean {
  if (error instanceof Lost) return true;
  return isLost(error) && (error as { readonly syscall?: unknown }).syscall === undefined;
}

async function openOnce(env: Env, location: Location, wanted: Wanted): Promise<Store> {
  const driver = await loadDriver();
  const options = { driver, location, env, applicationName: `factlog ${location.schema} ${env.uuid().slice(-8)}` };
  let store: Store | undefined = undefined as Store | undefined;
  const prepare = async (run: Run): Promise<void> => {
    await store?.requireSameLife(run);
  };
  const look = (client: Client): Promise<void> => requireOwnBackend(client, driver, location);
  const writes = new Connection({ ...options, role: "writes", look, prepare });
  try {
    await writes.reach();
    const identity = await writes.run((run) => migrate(run, location, wanted, env));
    const [row] = await writes.run((run) => run<[number]>(inSchema("SELECT position FROM S.head", location.quoted)));
    store = new Store(options, writes, identity, row![0]);
    await store.hub.begin();
    return store;
  } catch (error) {
    await (store === undefined ? writes.close() : store.abandon());
    throw error;
  }
}

/** Whether there is a log already: looking at one must not make one. */
export async function logExists(env: Env, location: Location): Promise<boolean> {
  const driver = await loadDriver();
  const connection = new Connection({ driver, location, env, applicationName: "factlog", role: "look" });
  try {
    await connection.reach();
    const found = await connection.run((run) =>
      run(
        "SELECT 1 FROM pg_class WHERE relname = 'meta' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)",
        [location.schema],
      ),
    );
    return found.length > 0;
  } catch (error) {
    throw storeError(error instanceof Lost ? error.cause : error, location);
  } finally {
    await connection.close();
  }
}
