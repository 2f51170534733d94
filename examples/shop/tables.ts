/** The shop's own tables, in the file of the log: handlers write to them by `ctx.write`. */
import { DatabaseSync } from "node:sqlite";

/** Deliberately without a unique constraint: had a delivery been settled twice, there would be two rows. */
export function createTables(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    create table loyalty (order_id text, customer_id text, cds integer, cents integer, sum integer);
    create table letters (order_id text);
    create table forecast (event_id text, week text, cds integer)`);
  database.close();
}

export interface Tables {
  /** As they were written. */
  readonly loyalty: readonly {
    readonly orderId: string;
    readonly customerId: string;
    readonly cds: number;
    readonly cents: number;
    readonly sum: number;
  }[];
  readonly letters: readonly { readonly orderId: string }[];
  readonly forecast: readonly { readonly eventId: string }[];
}

export function readTables(path: string): Tables {
  const database = new DatabaseSync(path, { readOnly: true });
  const all = (query: string): never => database.prepare(query).all() as never;
  try {
    return {
      loyalty: all(`select order_id "orderId", customer_id "customerId", cds, cents, sum from loyalty order by rowid`),
      letters: all(`select order_id "orderId" from letters order by rowid`),
      forecast: all(`select event_id "eventId" from forecast order by rowid`),
    };
  } finally {
    database.close();
  }
}
