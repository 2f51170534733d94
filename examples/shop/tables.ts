/** The shop's own tables, in the database of the log: handlers write to them by `ctx.write`. */

/** Deliberately without a unique constraint: had a delivery been settled twice, there would be two rows. */
export const createTables = `
  create table loyalty (order_id text, customer_id text, cds integer, cents integer, sum integer);
  create table letters (order_id text);
  create table forecast (event_id text, week text, cds integer)`;

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

export const selects = {
  loyalty: `select order_id "orderId", customer_id "customerId", cds, cents, sum from loyalty`,
  letters: `select order_id "orderId" from letters`,
  forecast: `select event_id "eventId" from forecast`,
};
