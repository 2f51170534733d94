/** The transactional outbox with Drizzle on PostgreSQL, whatever its driver: see `factlog/outbox`. */
import { sql } from "drizzle-orm";
import { notInTransaction, outboxOver, type Outbox, type OutboxOptions } from "./index.ts";

export * from "./drizzle-store.ts";

/** What `db.transaction(async (tx) => ...)` hands out. */
export interface DrizzleTransaction {
  // oxlint-disable-next-line typescript/no-explicit-any -- none of Drizzle's types stands in ours
  execute(query: any): PromiseLike<unknown>;
  rollback(): never;
}

/** Throws INVALID_OPTION where it is given the database and not a transaction. */
export function outbox(tx: DrizzleTransaction, options: OutboxOptions = {}): Outbox {
  if (typeof tx.rollback !== "function") throw notInTransaction("a Drizzle database", "the tx of db.transaction");
  return outboxOver((text, values) => tx.execute(asDrizzle(text, values)), options);
}

/** `$1` becomes a value of Drizzle's own. */
function asDrizzle(text: string, values: readonly unknown[]): unknown {
  const pieces = text.split(/\$\d+/u);
  return sql.join(pieces.flatMap((piece, i) => [sql.raw(piece), ...(i < values.length ? [sql`${values[i]}`] : [])]));
}
