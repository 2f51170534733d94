import { DatabaseSync } from "node:sqlite";
import type { Order } from "../workload.ts";

/** Reads all events, parses them, and inserts a row for each: a commit and one number of progress for each page of 1,000. */
export function rawEffects(path: string, table: string): number {
  const db = new DatabaseSync(path, { returnArrays: true, timeout: 5_000 });
  db.exec("PRAGMA synchronous = NORMAL");
  db.exec(`CREATE TABLE ${table}_at(at INTEGER)`);
  const page = db.prepare("SELECT position, data FROM factlog_event WHERE position > ? ORDER BY position LIMIT 1000");
  const insert = db.prepare(`INSERT INTO ${table}(id, total) VALUES (?, ?)`);
  const progress = db.prepare(`INSERT OR REPLACE INTO ${table}_at(rowid, at) VALUES (1, ?)`);
  let after = 0;
  let count = 0;
  for (;;) {
    const rows = page.all(after) as unknown as [number, string][];
    if (rows.length === 0) break;
    db.exec("BEGIN IMMEDIATE");
    for (const [, data] of rows) {
      const { orderId, total } = JSON.parse(data) as Order;
      insert.run(orderId, total);
      count++;
    }
    after = rows.at(-1)![0];
    progress.run(after);
    db.exec("COMMIT");
  }
  db.close();
  return count;
}
