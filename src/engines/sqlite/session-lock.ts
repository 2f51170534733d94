import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Database } from "./database.ts";

/** A new session's file can be looked at by nobody but, for a moment, someone who probes a file left over. */
const lockTimeoutMs = 1_000;

/**
 * A session's process holds an exclusive lock on `<db>-session-<id>`, by an open SQLite connection: the kernel drops it
 * when the process dies. A free lock means a dead session. The file is opened through SQLite alone: any other descriptor
 * of this process on it would, when closed, drop the lock (POSIX).
 */
export class SessionLocks {
  readonly #path: string;
  readonly #mine = new Map<number, Database>();

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Takes the lock of a new session. Before the session's row can be seen by others; again, with the same number, where
   * that transaction came to nothing.
   */
  hold(session: number): void {
    if (this.#mine.has(session)) return;
    const db = new Database(this.#file(session), { timeoutMs: lockTimeoutMs });
    try {
      db.exec("BEGIN EXCLUSIVE");
    } catch (error) {
      db.close();
      throw error;
    }
    this.#mine.set(session, db);
  }

  /** Gives my lock back and removes its file. */
  drop(session: number): void {
    this.#mine.get(session)?.close();
    this.#mine.delete(session);
    this.remove(session);
  }

  /** Whether the process of a session is certainly dead. */
  isGone(session: number): boolean {
    if (this.#mine.has(session)) return false;
    const file = this.#file(session);
    if (!existsSync(file)) return true;
    let probe: Database | undefined;
    try {
      probe = new Database(file, { readOnly: true });
      probe.value("SELECT count(*) FROM sqlite_schema");
      return true;
    } catch {
      return false;
    } finally {
      probe?.close();
    }
  }

  /** Removes the file of a session whose row is gone. */
  remove(session: number): void {
    rmSync(this.#file(session), { force: true });
    // What SQLite leaves behind where a process died with its transaction open.
    rmSync(`${this.#file(session)}-journal`, { force: true });
  }

  /** Removes files that no session row names. Call it where no one else can be joining: inside a write transaction. */
  sweep(known: ReadonlySet<number>): void {
    const prefix = `${basename(this.#path)}-session-`;
    for (const name of readdirSync(dirname(this.#path))) {
      if (!name.startsWith(prefix)) continue;
      const session = Number(name.slice(prefix.length).replace(/-journal$/u, ""));
      if (Number.isInteger(session) && !known.has(session)) this.remove(session);
    }
  }

  close(): void {
    for (const db of this.#mine.values()) db.close();
    this.#mine.clear();
  }

  #file(session: number): string {
    return join(dirname(this.#path), `${basename(this.#path)}-session-${session}`);
  }
}
