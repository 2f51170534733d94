import { FactlogError } from "../../errors.ts";
import { pause, type Env } from "../../env.ts";
import { limits } from "../../limits.ts";
import { types, type Client, type Driver, type Notification, type Query } from "./driver.ts";
import type { Location } from "./location.ts";
import { isLost, mayRunAgain, storeError } from "./postgres-error.ts";

/** Runs one statement of ours on an open connection. `name`: prepared once, under this name. */
export type Run = <Row extends readonly unknown[]>(
  text: string,
  values?: readonly unknown[],
  name?: string,
) => Promise<Row[]>;

/** What was under way when the connection ended may have been done or not. */
export class Lost extends Error {
  constructor(cause: unknown) {
    super("the connection ended", { cause });
  }
}

export interface ConnectionOptions {
  readonly driver: Driver;
  readonly location: Location;
  readonly env: Env;
  /** Part of the connection's name in pg_stat_activity. */
  readonly role: string;
  readonly applicationName: string;
  /** Runs on each new connection before anything else. */
  readonly prepare?: (run: Run, client: Client) => Promise<void>;
  /** Looks at each new connection before anything is set on it. */
  readonly look?: (client: Client) => Promise<void>;
  /** Hears that an established connection has ended. */
  readonly ended?: () => void;
  readonly notified?: (message: Notification) => void;
}

/** Waits between two attempts to connect: first and longest. */
const reconnectFirstMs = 10;
const reconnectMaxMs = 500;
/** A statement of ours that takes longer is ended by the server; the client gives the connection up somewhat later. */
const statementMaxMs = 30_000;
const answerMaxMs = 40_000;
const runsMax = 8;

/**
 * One connection to the server, made when it is first used and made again when it was lost. Works run one after the
 * other, in the order in which they came.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #client: Client | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** The backend that was lost: what it does, and the locks it holds, must be gone before anything goes on. */
  #orphan: number | undefined;
  /** Works that wait or run. */
  load = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Connects without retrying: for the first look at a server. */
  async reach(): Promise<void> {
    await this.#queue(async () => {
      this.#client ??= await this.#connect();
    });
  }

  /**
   * Runs a work alone on the connection. A lost connection is made again, for up to `limits.busyMaxMs`, before the work
   * begins; where it is lost meanwhile, rejects with `Lost`. A deadlock or failure of serialisation runs the work again:
   * `work` is one transaction, and leaves nothing behind where it rejects.
   */
  run<T>(work: (run: Run, client: Client) => Promise<T>): Promise<T> {
    return this.#queue(async () => {
      for (let attempt = 1; ; attempt++) {
        const client = (this.#client ??= await this.#reconnect());
        try {
          return await work(runOn(client), client);
        } catch (error) {
          if (isLost(error)) {
            this.#drop(client, true);
            throw new Lost(error);
          }
          if (!mayRunAgain(error) || attempt === runsMax) throw error;
        }
        await pause(this.#options.env, this.#options.env.random() * attempt * 5);
      }
    });
  }

  /** A work that may be repeated whatever became of its first run. */
  async repeat<T>(work: (run: Run, client: Client) => Promise<T>): Promise<T> {
    const { env } = this.#options;
    const untilMs = env.monotonic() + answerMaxMs;
    for (;;) {
      try {
        return await this.run(work);
      } catch (error) {
        if (!(error instanceof Lost) || this.#closed || env.monotonic() > untilMs) throw error;
      }
    }
  }

  /** Waits for what is under way; then the connection ends. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    this.load++;
    const result = this.#tail.then(work).finally(() => this.load--);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #reconnect(): Promise<Client> {
    const { env, location } = this.#options;
    const untilMs = env.monotonic() + limits.busyMaxMs;
    for (let waitMs = reconnectFirstMs; ; waitMs = Math.min(2 * waitMs, reconnectMaxMs)) {
      try {
        return await this.#connect();
      } catch (error) {
        if (error instanceof FactlogError) throw error;
        const mapped = storeError(error, location) as FactlogError;
        if (mapped.retryable !== true) throw mapped;
        if (env.monotonic() >= untilMs || this.#closed) throw notReached(mapped, location);
      }
      await pause(env, waitMs);
    }
  }

  async #connect(): Promise<Client> {
    const { driver, location, applicationName, role, look, prepare } = this.#options;
    const client = new driver.Client({
      ...location.client,
      application_name: `${applicationName} ${role}`,
      connectionTimeoutMillis: limits.busyMaxMs,
      query_timeout: answerMaxMs,
      keepAlive: true,
      types,
    });
    // Errors of a broken connection reject what is under way; unheard they would end the process.
    client.on("error", () => this.#drop(client, false));
    client.on("end", () => this.#drop(client, false));
    client.on("notification", (message) => this.#options.notified?.(message));
    try {
      await client.connect();
      await look?.(client);
      await client.query(settings);
      await this.#bury(client);
      await prepare?.(runOn(client), client);
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /** What a lost backend still does would come after what is done from now on. */
  async #bury(client: Client): Promise<void> {
    if (this.#orphan === undefined) return;
    const values = [this.#orphan, `${this.#options.applicationName} ${this.#options.role}`, answerMaxMs];
    const text =
      "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1 AND application_name = left($2, 63) AND pid <> pg_backend_pid()";
    await client.query({ text, values, rowMode: "array" });
    this.#orphan = undefined;
  }

  #drop(client: Client, underWay: boolean): void {
    const isCurrent = this.#client === client;
    if (underWay || isCurrent) this.#orphan = client.processID ?? undefined;
    if (!isCurrent) return;
    this.#client = undefined;
    void client.end().catch(() => undefined);
    if (!this.#closed) this.#options.ended?.();
  }
}

/**
 * What a promise hangs on is said, whatever server, database or role have set. `synchronous_commit` is never lessened:
 * a stronger setting than "on" stays.
 */
const settings: string = [
  "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
  `SET statement_timeout = ${statementMaxMs}`,
  `SET lock_timeout = ${limits.busyMaxMs}`,
  `SET idle_in_transaction_session_timeout = ${statementMaxMs}`,
  "SET default_transaction_isolation = 'read committed'",
  "SET client_min_messages = error",
  "SET plan_cache_mode = auto",
  // Our statements touch few rows, and say so to no planner without statistics: it would compile them each time.
  "SET jit = off",
].join("; ");

function runOn(client: Client): Run {
  return async <Row extends readonly unknown[]>(text: string, values?: readonly unknown[], name?: string) => {
    const query: Query = {
      text,
      rowMode: "array",
      ...(values === undefined ? {} : { values }),
      ...(name === undefined ? {} : { name }),
    };
    return (await client.query(query)).rows as Row[];
  };
}

function notReached(error: FactlogError, location: Location): FactlogError {
  return new FactlogError(
    "STORE_BUSY",
    `${location.shown} was not reached for ${limits.busyMaxMs} ms (${error.message}): nothing was stored; it is tried again.`,
    { cause: error, retryable: true, details: { store: location.shown } },
  );
}
