/** The transactional outbox with Kysely on PostgreSQL: see `factlog/outbox`. */
import { CompiledQuery } from "kysely";
import { notInTransaction, outboxOver, type Outbox, type OutboxOptions } from "./index.ts";

export * from "./kysely-store.ts";

/** What `db.transaction().execute(async (trx) => ...)` hands out, or `db.startTransaction().execute()`. */
export interface KyselyTransaction {
  readonly isTransaction: boolean;
  // oxlint-disable-next-line typescript/no-explicit-any -- none of Kysely's types stands in ours
  executeQuery(query: any): PromiseLike<unknown>;
}

/** Throws INVALID_OPTION where it is given the database and not a transaction. */
export function outbox(trx: KyselyTransaction, options: OutboxOptions = {}): Outbox {
  if (!trx.isTransaction) throw notInTransaction("a Kysely database", "the trx of db.transaction");
  return outboxOver((text, values) => trx.executeQuery(CompiledQuery.raw(text, [...values])), options);
}
