import { CompiledQuery } from "kysely";
import { storeOf, type Store } from "../app/store.ts";
import { FactlogError } from "../errors.ts";

export type { Store } from "../app/store.ts";

/** By structure: whatever `db.transaction().execute(tx => ...)` hands out is `ctx.tx`. */
export interface KyselyLike {
  // oxlint-disable-next-line typescript/no-explicit-any -- any database of Kysely's
  transaction(): { execute(run: (tx: any) => Promise<any>): Promise<any> };
}
export type KyselyTx<Db extends KyselyLike> =
  // oxlint-disable-next-line typescript/no-explicit-any -- what it resolves to does not matter
  ReturnType<Db["transaction"]>["execute"] extends (run: (tx: infer Tx) => Promise<any>) => Promise<any> ? Tx : never;

interface Executing {
  executeQuery(query: CompiledQuery): Promise<{ readonly rows: readonly unknown[] }>;
}
interface Builder {
  setIsolationLevel(level: "read committed"): Builder;
  execute<T>(run: (tx: Executing) => Promise<T>): Promise<T>;
}

/**
 * Transactions of a Kysely database on PostgreSQL, which must be the log's own database (STORE_MISMATCH). They begin,
 * commit and roll back as Kysely does it; the settle of the delivery is the last statement in them.
 */
export function kyselyStore<Db extends KyselyLike>(db: Db): Store<KyselyTx<Db>, "async"> {
  if (typeof (db as Partial<KyselyLike> | null | undefined)?.transaction !== "function") {
    throw new FactlogError(
      "INVALID_OPTION",
      "kyselyStore was given something that is no Kysely database: give new Kysely({ ... }).",
    );
  }
  return storeOf<KyselyTx<Db>>({
    name: "kyselyStore",
    dialect: "postgres",
    mode: "async",
    control: "theirs",
    run: (work) =>
      (db.transaction() as unknown as Builder).setIsolationLevel("read committed").execute((tx) =>
        work({
          tx,
          execute: async (text) => (await tx.executeQuery(CompiledQuery.raw(text))).rows as readonly object[],
        }),
      ),
  });
}
