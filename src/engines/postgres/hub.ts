import { Connection, Lost, type ConnectionOptions, type Run } from "./connection.ts";
import { pause, type Env } from "../../env.ts";
import type { Location } from "./location.ts";

/** Waits between two attempts to have the connection back. */
const returnMs = 20;
const returnMaxMs = 1_000;

/**
 * The one connection that stands for the process as long as it lives: it listens for appends, and holds a lock for each
 * session, which the server drops when the connection ends. Lost, it is made again at once, with all its locks.
 */
export class Hub {
  readonly #connection: Connection;
  readonly #env: Env;
  readonly #location: Location;
  readonly #sessions = new Set<number>();
  readonly #check: (run: Run) => Promise<void>;
  #closed = false;
  #returning = false;
  /** The server's life in which the locks were taken; "" while they are not held. */
  server = "";
  /** Notifications arrive. */
  listening = false;

  /** `check` runs on each new connection; what it throws leaves the hub without one. */
  constructor(
    options: Omit<ConnectionOptions, "prepare" | "ended" | "notified" | "role">,
    notified: (payload: string) => void,
    check: (run: Run) => Promise<void>,
  ) {
    this.#env = options.env;
    this.#location = options.location;
    this.#check = check;
    this.#connection = new Connection({
      ...options,
      role: "hub",
      prepare: (run) => this.#settleIn(run),
      ended: () => this.#ended(),
      notified: ({ payload }) => notified(payload ?? ""),
    });
  }

  get channel(): string {
    return channelOf(this.#location);
  }

  /** Connects; throws where it cannot. */
  async begin(): Promise<void> {
    await this.#connection.run(async () => undefined);
  }

  /** Takes the lock on a session before anyone can see its row. */
  async hold(session: number): Promise<void> {
    this.#sessions.add(session);
    await this.#connection.repeat((run) => this.#lock(run, session));
  }

  /** The session is no more. */
  async drop(session: number): Promise<void> {
    if (!this.#sessions.delete(session)) return;
    await this.#connection.repeat((run) =>
      run(`SELECT pg_advisory_unlock(${this.#location.quoted}.lock_class(), $1)`, [lockNumber(session)]),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connection.close();
  }

  async #settleIn(run: Run): Promise<void> {
    await this.#check(run);
    await run(`LISTEN "${this.channel}"`);
    for (const session of this.#sessions) await this.#lock(run, session);
    this.server = (await run<[string]>(`SELECT ${this.#location.quoted}.server_life()`))[0]![0];
    this.listening = true;
  }

  async #lock(run: Run, session: number): Promise<void> {
    const text = `SELECT pg_try_advisory_lock(${this.#location.quoted}.lock_class(), $1)`;
    const [row] = await run<[boolean]>(text, [lockNumber(session)]);
    // A backend that was lost may still hold it; a lock that is not ours would say nothing about us.
    if (!row![0]) throw new Lost(new Error("the lock of a session is held by another connection"));
  }

  #ended(): void {
    this.listening = false;
    this.server = "";
    if (!this.#returning && !this.#closed) void this.#return();
  }

  async #return(): Promise<void> {
    this.#returning = true;
    for (let waitMs = returnMs; !this.#closed && !this.listening; waitMs = Math.min(2 * waitMs, returnMaxMs)) {
      try {
        await this.begin();
      } catch {
        await pause(this.#env, waitMs);
      }
    }
    this.#returning = false;
  }
}

/** Notifications are the database's, so their channel names the schema. */
export const channelOf = ({ schema }: Location): string => `factlog_${schema}`;

/** Advisory locks are numbered by 31 bits here; sessions are never so many at once. */
const lockNumber = (session: number): number => session % 2 ** 31;
