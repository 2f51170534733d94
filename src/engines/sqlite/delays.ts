import type { DelayedEvent, DelayedQuery, Identity } from "../../engine/timetable.ts";
import { idConflict, sameContent } from "../../event/codec.ts";
import { correlationIdOf } from "../../event/envelope.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Cell } from "./database.ts";
import type { Store } from "./store.ts";

/** Events that wait for their time, inside the open transaction. */
export class Delays {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #sql;

  constructor(store: Store, sharesLog: boolean) {
    this.#store = store;
    this.#sharesLog = sharesLog;
    const { db } = store;
    this.#sql = {
      put: db.prepare(
        `INSERT INTO factlog_delayed(source, id, correlation_id, due_ms, event) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
      ),
      waiting: db.prepare<[string]>("SELECT event FROM factlog_delayed WHERE source = ? AND id = ?"),
      cancel: db.prepare("DELETE FROM factlog_delayed WHERE source = ? AND id = ?"),
      isDue: db.prepare("SELECT 1 FROM factlog_delayed WHERE due_ms <= ? LIMIT 1"),
      due: db.prepare<[number, string]>(
        "SELECT seq, event FROM factlog_delayed WHERE due_ms <= ? ORDER BY due_ms, seq LIMIT ?",
      ),
      remove: db.prepare("DELETE FROM factlog_delayed WHERE seq = ?"),
    };
  }

  /** True where it is known already. Throws ID_CONFLICT and has then changed nothing. */
  put({ event, dueMs }: DelayedEvent, index = 0): boolean {
    const { source, id } = event;
    const known = this.#sharesLog ? this.#store.appender.known(event) : undefined;
    if (known === undefined) {
      const cells = [source, id, correlationIdOf(event), dueMs, JSON.stringify(event)] as const;
      if (this.#sql.put.run(...cells).changes === 1) return false;
    }
    const first = known ?? (JSON.parse(this.#sql.waiting.get(source, id)![0]) as EncodedEvent);
    if (!sameContent(first, event)) throw idConflict(event, index);
    return true;
  }

  cancel({ source, id }: Identity): boolean {
    return this.#sql.cancel.run(source, id).changes === 1;
  }

  isDue(nowMs: number): boolean {
    return this.#sql.isDue.get(nowMs) !== undefined;
  }

  /** Takes out what is due, in order. */
  take(nowMs: number, limit: number): EncodedEvent[] {
    return this.#sql.due.all(nowMs, limit).map(([seq, event]) => {
      this.#sql.remove.run(seq);
      return JSON.parse(event) as EncodedEvent;
    });
  }

  list({ correlationId, after, limit }: DelayedQuery): DelayedEvent[] {
    const conditions = ["true"];
    const values: Cell[] = [];
    const add = (condition: string, ...cells: Cell[]): void => {
      conditions.push(condition);
      values.push(...cells);
    };
    if (correlationId !== undefined) add("correlation_id = ?", correlationId);
    if (after !== undefined) {
      // The first condition is for the index.
      add("due_ms >= ?", after.dueMs);
      add("(due_ms, source, id) > (?, ?, ?)", after.dueMs, after.source, after.id);
    }
    const sql = `SELECT due_ms, event FROM factlog_delayed WHERE ${conditions.join(" AND ")} ORDER BY due_ms, source, id LIMIT ?`;
    const rows = this.#store.db.prepare<[number, string]>(sql).all(...values, limit);
    return rows.map(([dueMs, event]) => ({ event: JSON.parse(event) as EncodedEvent, dueMs }));
  }
}
