import { storeOf, type Store } from "../../app/store.ts";

/** `ctx.tx` of `sqliteStore`: statements in the transaction that settles the delivery. */
export interface SqliteTx {
  /**
   * One statement with `?` for each value; values as `ctx.write` takes them. Refused as NOT_SUPPORTED: what begins, ends
   * or nests a transaction, pragmas, attached files, changes to the log's tables.
   */
  run(text: string, ...values: readonly unknown[]): { readonly changes: number };
  /** The first row. */
  get<Row = Record<string, unknown>>(text: string, ...values: readonly unknown[]): Row | undefined;
  all<Row = Record<string, unknown>>(text: string, ...values: readonly unknown[]): readonly Row[];
}

/**
 * Transactions of the log's own SQLite file. They are synchronous: the handler must not be async, nor return a promise.
 * Handlers that are ready at one moment share a commit, each with a savepoint of its own.
 */
export function sqliteStore(): Store<SqliteTx, "sync"> {
  return storeOf<SqliteTx, "sync">({ name: "sqliteStore", dialect: "sqlite", mode: "sync", control: "ours" });
}
