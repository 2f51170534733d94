/**
 * The transactional outbox on PostgreSQL: events that exist in the log if and only if the transaction in which they were
 * published commits. A working process of the log moves them into it, some milliseconds later.
 *
 * ```ts
 * await client.query("BEGIN");
 * await client.query("INSERT INTO orders(id) VALUES ($1)", ["o-1"]);
 * await outbox(client).publish(OrderPlaced({ orderId: "o-1" }));
 * await client.query("COMMIT");
 * ```
 */
import type { Receipt } from "../app/context.ts";
import { defaultSchema } from "../engines/postgres/location.ts";
import { outboxInsert } from "../engines/postgres/outbox-sql.ts";
import { realEnv } from "../env.ts";
import { FactlogError } from "../errors.ts";
import type { NewEvent } from "../event/define.ts";
import { correlationIdOf } from "../runtime/correlation.ts";
import { encodeAllToPublish } from "../runtime/encode.ts";

export interface OutboxOptions {
  /** The log's schema. Default "factlog". */
  readonly schema?: string;
  /** Source of the events: part of their identity, as with `openLog`. Default "factlog". */
  readonly source?: string;
}

export interface Outbox {
  /**
   * Publishes in the transaction that is open on the connection: all or none, in order, as one statement. Throws as
   * `log.publish` does before anything is sent. The receipts have no position, and `duplicate` is not known yet.
   */
  publish(...events: readonly NewEvent[]): Promise<readonly Receipt[]>;
}

export interface OutboxStatement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Good once the statement's transaction has committed. */
  readonly receipts: readonly Receipt[];
}

/** A client of `pg`, or anything that runs a text with `$1` and its values on one connection; not a pool. */
export interface OutboxClient {
  // oxlint-disable-next-line typescript/no-explicit-any -- `pg` asks for a mutable array of any
  query(text: string, values: any[]): PromiseLike<unknown>;
}

/** Throws INVALID_OPTION where it is given a pool, whose next query may run outside the transaction. */
export function outbox(client: OutboxClient, options: OutboxOptions = {}): Outbox {
  if ("totalCount" in client && "idleCount" in client)
    throw notInTransaction("a pool", "the client of your transaction");
  return outboxOver((text, values) => client.query(text, [...values]), options);
}

/** For every other way to a server: one statement with its value. */
export function outboxSql(events: readonly NewEvent[], options: OutboxOptions = {}): OutboxStatement {
  const { schema = defaultSchema, source = "factlog" } = options;
  const encoded = encodeAllToPublish(events, realEnv, source);
  const receipts = encoded.map((event) => ({
    id: event.id,
    correlationId: correlationIdOf(event),
    duplicate: false,
  }));
  return { ...outboxInsert(encoded, schema), receipts };
}

/** The event would be published though the transaction beside it is rolled back. */
export function notInTransaction(what: string, instead: string): FactlogError {
  return new FactlogError(
    "INVALID_OPTION",
    `outbox was given ${what}, which runs statements outside of your transaction: give ${instead}.`,
  );
}

/** An outbox over whatever runs one statement in the open transaction. */
export function outboxOver(
  run: (text: string, values: readonly unknown[]) => PromiseLike<unknown>,
  options: OutboxOptions,
): Outbox {
  return {
    async publish(...events) {
      const { text, values, receipts } = outboxSql(events, options);
      if (events.length > 0) await run(text, values);
      return receipts;
    },
  };
}
