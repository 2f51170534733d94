import { storeOf, type Store } from "../app/store.ts";
import { FactlogError } from "../errors.ts";

export type { Store } from "../app/store.ts";

/** By structure: whatever `db.transaction(tx => ...)` hands out is `ctx.tx`. */
export interface DrizzleLike {
  // oxlint-disable-next-line typescript/no-explicit-any -- any database of drizzle's
  transaction(run: (tx: any) => Promise<any>, ...rest: any[]): Promise<any>;
}
export type DrizzleTx<Db> = Db extends {
  // oxlint-disable-next-line typescript/no-explicit-any -- what else it takes does not matter
  transaction(run: (tx: infer Tx) => Promise<any>, ...rest: any[]): Promise<any>;
}
  ? Tx
  : never;

interface Executing {
  execute(query: string): PromiseLike<{ readonly rows: readonly object[] } | readonly object[]>;
}

/**
 * Transactions of a Drizzle database on PostgreSQL, which must be the log's own database (STORE_MISMATCH). They begin,
 * commit and roll back as Drizzle does it; the settle of the delivery is the last statement in them.
 */
export function drizzleStore<Db extends DrizzleLike>(db: Db): Store<DrizzleTx<Db>, "async"> {
  if (typeof (db as Partial<DrizzleLike> | null | undefined)?.transaction !== "function") {
    throw new FactlogError(
      "INVALID_OPTION",
      "drizzleStore was given something that is no Drizzle database: give drizzle(pool).",
    );
  }
  return storeOf<DrizzleTx<Db>>({
    name: "drizzleStore",
    dialect: "postgres",
    mode: "async",
    control: "theirs",
    run: (work) =>
      db.transaction((tx: Executing) => work({ tx, execute: async (text) => rowsOf(await tx.execute(text)) }), {
        isolationLevel: "read committed",
        accessMode: "read write",
      }),
  });
}

/** Some drivers give an object with rows, others the rows. */
const rowsOf = (result: Awaited<ReturnType<Executing["execute"]>>): readonly object[] =>
  "rows" in result ? result.rows : result;
