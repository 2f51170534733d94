import { storeOf, type Store, type TransactionConnection, type TransactionSource } from "../../app/store.ts";
import { FactlogError } from "../../errors.ts";
import type { Pool, PoolClient } from "./driver.ts";

/** `ctx.tx` of `pgStore`: statements in the transaction that settles the delivery. */
export interface PgTx {
  /** One statement. Refused as NOT_SUPPORTED: what begins, ends or nests a transaction, and changes to the log's tables. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }>;
}

/**
 * Transactions on connections of your `pg.Pool`, which must lead to the log's own database (STORE_MISMATCH); without a
 * pool on some of the log's own.
 */
export function pgStore(pool?: object): Store<PgTx, "async"> {
  if (pool === undefined)
    return storeOf<PgTx>({ name: "pgStore", dialect: "postgres", mode: "async", control: "ours" });
  if (typeof (pool as Partial<Pool> | null)?.connect !== "function") {
    throw new FactlogError(
      "INVALID_OPTION",
      "pgStore was given something that is no pool: give a Pool of pg, or nothing.",
    );
  }
  return storeOf<PgTx>({
    name: "pgStore",
    dialect: "postgres",
    mode: "async",
    control: "ours",
    run: lending(pool as Pool),
  });
}

/** Lends a client of the pool, and takes it back: broken where the work leaves it in the middle of something. */
export function lending(pool: Pool): NonNullable<TransactionSource["run"]> {
  return async <T>(work: (connection: TransactionConnection) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    let broken: unknown;
    // Unheard it would end the process: the pool listens only while the client is idle.
    const hear = (error: Error): void => void (broken = error);
    client.on("error", hear);
    try {
      return await work({ tx: client, execute: async (text) => rowsOf(await client.query(text)) });
    } catch (error) {
      if (error instanceof Unfinished) broken = error;
      throw error instanceof Unfinished ? error.cause : error;
    } finally {
      client.removeListener("error", hear);
      client.release(broken !== undefined);
    }
  };
}

/** The connection cannot be given to others: a transaction is open on it, or a statement runs. */
export class Unfinished extends Error {
  constructor(cause: unknown) {
    super("the connection is not at rest", { cause });
  }
}

/** Several statements in one text give several results. */
function rowsOf(result: Awaited<ReturnType<PoolClient["query"]>>): readonly object[] {
  const last = Array.isArray(result) ? (result as (typeof result)[])[0] : result;
  return (last?.rows ?? []) as readonly object[];
}
