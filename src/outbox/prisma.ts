/** The transactional outbox with Prisma on PostgreSQL: see `factlog/outbox`. */
import { notInTransaction, outboxOver, type Outbox, type OutboxOptions } from "./index.ts";

/** What `prisma.$transaction(async (tx) => ...)` hands out. */
export interface PrismaTransaction {
  // oxlint-disable-next-line typescript/no-explicit-any -- as in Prisma
  $executeRawUnsafe(query: string, ...values: any[]): PromiseLike<number>;
}

/** Throws INVALID_OPTION where it is given the client and not a transaction. */
export function outbox(tx: PrismaTransaction, options: OutboxOptions = {}): Outbox {
  if (typeof (tx as { $connect?: unknown }).$connect === "function") {
    throw notInTransaction("a Prisma client", "the tx of prisma.$transaction");
  }
  return outboxOver((text, values) => tx.$executeRawUnsafe(text, ...values), options);
}
