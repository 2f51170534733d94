import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import type { SqliteTx } from "../../../src/engines/sqlite/index.ts";
import type { Log, SyncHandlerContext, TransactionContext } from "../../../src/index.ts";
import { freshFile, open, Order } from "../../runtime/support.ts";

export type Context = SyncHandlerContext & TransactionContext<SqliteTx>;

/** Runs statements of the user, on a connection of its own. */
export function execute(file: string, text: string): void {
  const db = new DatabaseSync(file, { timeout: 5_000 });
  db.exec(text);
  db.close();
}
export function rowsIn(file: string, query: string): unknown[] {
  const db = new DatabaseSync(file, { readOnly: true, returnArrays: true, timeout: 5_000 });
  try {
    return (db.prepare(query).all() as unknown as unknown[][]).map((row) => (row.length === 1 ? row[0] : row));
  } finally {
    db.close();
  }
}

export interface StoreScene {
  readonly file: string;
  readonly log: Log;
  /** What was written, without any constraint. */
  readonly rows: () => unknown[];
}
export async function storeScene(t: TestContext): Promise<StoreScene> {
  const file = freshFile();
  const log = await open(`sqlite:${file}`);
  t.after(() => log.close());
  execute(file, "CREATE TABLE effect(n)");
  return { file, log, rows: () => rowsIn(file, "SELECT n FROM effect ORDER BY n") };
}

export const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
export const orders = (count: number): ReturnType<typeof Order>[] =>
  numbers(count).map((n) => Order({ key: `k${n}`, n }));
export const insert = ({ n }: { readonly n: number }, { tx }: Context): unknown =>
  tx.run("INSERT INTO effect VALUES (?)", n);
