import type { PositionNumber } from "../../event/stored-event.ts";
import type { Database } from "./database.ts";

/** The newest event is never dropped, so the log's head is where its table ends. */
export const headSql = "SELECT coalesce(max(position), 0) FROM factlog_event";

/** Events that may stand above the counted ones: what a reader of the counts has to look at. */
const uncountedMax = 1_024;

/**
 * Events ever appended, per type. The counters stand in a page of their own, which each commit would write and sync for
 * a few events; so they are brought up to the head only now and then, and what lies above is counted when asked for.
 */
export class AppendedCounts {
  readonly #sql;
  /** The counters hold at least what lies up to here; another process may have brought them further. */
  #countedTo: PositionNumber = 0;
  /** What own commits appended after `from`, by type, with no stranger's commit between them: up to `to`. */
  readonly #own = { from: 0, to: 0, byType: new Map<number, number>() };

  constructor(db: Database) {
    const above = `SELECT s.type AS type, count(*) AS n FROM factlog_event e JOIN factlog_schema s ON s.id = e.schema
      WHERE e.position > (SELECT value FROM factlog_meta WHERE name = 'counted') GROUP BY s.type`;
    this.#sql = {
      countedTo: db.prepare<[number]>("SELECT value FROM factlog_meta WHERE name = 'counted'"),
      above: db.prepare<[number, number]>(above),
      add: db.prepare("UPDATE factlog_type SET appended = appended + ? WHERE id = ?"),
      setCountedTo: db.prepare("UPDATE factlog_meta SET value = CAST(? AS INTEGER) WHERE name = 'counted'"),
      read: db.prepare<[number, string | null, number | null]>(
        `SELECT (${headSql}), t.name, t.appended + coalesce(a.n, 0)
         FROM (SELECT 1) LEFT JOIN factlog_type t LEFT JOIN (${above}) a ON a.type = t.id`,
      ),
    };
  }

  /** A transaction begins at this head. */
  begin(head: PositionNumber): void {
    if (head !== this.#own.to) this.#restart(head);
  }

  /** Inside the transaction that appended events of these types, up to `head`. */
  appended(head: PositionNumber, types: readonly number[]): void {
    if (head - this.#countedTo < uncountedMax) return;
    this.#countedTo = this.#sql.countedTo.get()![0];
    if (head - this.#countedTo < uncountedMax) return;
    const known = this.#own.from === this.#countedTo;
    const counts = known ? sum(types, new Map(this.#own.byType)) : this.#sql.above.all();
    for (const [type, count] of counts) this.#sql.add.run(count, type);
    this.#sql.setCountedTo.run(head);
  }

  /** After COMMIT of such a transaction. */
  committed(head: PositionNumber, types: readonly number[]): void {
    if (head - this.#countedTo >= uncountedMax) {
      this.#countedTo = head;
      this.#restart(head);
      return;
    }
    sum(types, this.#own.byType);
    this.#own.to = head;
  }

  /** Head and counts of one moment. */
  read(): { readonly head: PositionNumber; readonly appended: ReadonlyMap<string, number> } {
    const rows = this.#sql.read.all();
    const appended = new Map(rows.flatMap(([, type, count]) => (type === null ? [] : [[type, count ?? 0] as const])));
    return { head: rows[0]![0], appended };
  }

  #restart(head: PositionNumber): void {
    this.#own.from = head;
    this.#own.to = head;
    this.#own.byType.clear();
  }
}

function sum(types: readonly number[], into: Map<number, number>): Map<number, number> {
  for (const type of types) into.set(type, (into.get(type) ?? 0) + 1);
  return into;
}
