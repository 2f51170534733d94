/** What was sold on each day: a read model, in tables of the log's own database. */
import { defineProjection, type Projection, sql } from "factlog";
import { OrderPlaced } from "./events.ts";

export const sales: Projection<"sales"> = defineProjection(
  "sales",
  {
    on: OrderPlaced,
    version: 1,
    tables: ["daily_sales", "sold_orders"],
    create: (t) => [
      sql`create table ${t.daily_sales} (day text primary key, purchases integer not null, cds integer not null, cents bigint not null)`,
      // Deliberately without a unique constraint: had an order been applied twice, there would be two rows.
      sql`create table ${t.sold_orders} (order_id text not null)`,
    ],
  },
  ({ data: { orderId, date, cds, cents } }, ctx) => {
    const { daily_sales: days, sold_orders: orders } = ctx.tables;
    ctx.write(sql`insert into ${orders} values (${orderId})`);
    ctx.write(
      sql`insert into ${days} as d values (${date}, 1, ${cds}, ${cents})
          on conflict (day) do update set purchases = d.purchases + 1, cds = d.cds + excluded.cds, cents = d.cents + excluded.cents`,
    );
  },
);
