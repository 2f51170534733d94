/** A handler that writes through a store: what docs/guides/stores.md shows. */
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";
import { drizzleStore } from "factlog/drizzle";
import { kyselyStore } from "factlog/kysely";
import { pgStore } from "factlog/postgres";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { z } from "zod";

const orderId = z.object({ orderId: z.string() });
const OrderPlaced = defineEvent("OrderPlaced", { schema: orderId.extend({ sku: z.string(), quantity: z.number() }) });
const StockReserved = defineEvent("StockReserved", { schema: orderId });
const pool = new pg.Pool({ connectionString: "postgres://app@localhost/shop" });

// #region pg
const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, emits: [StockReserved], store: pgStore(pool) },
  async (event, ctx) => {
    const { orderId, sku, quantity } = event.data;
    const taken = await ctx.tx.query("UPDATE stock SET free = free - $1 WHERE sku = $2 AND free >= $1", [
      quantity,
      sku,
    ]);
    if (taken.rowCount === 0) throw new Error(`${sku} is sold out`); // all of it is rolled back, and tried again
    await ctx.tx.query("INSERT INTO reservation(order_id, sku, quantity) VALUES ($1, $2, $3)", [
      orderId,
      sku,
      quantity,
    ]);
    ctx.emit(StockReserved({ orderId }));
  },
);
// #endregion

// #region drizzle
const db = drizzle(pool);
const reservation = pgTable("reservation", { orderId: text("order_id"), sku: text(), quantity: integer() });

const withDrizzle = defineSubscription("with-drizzle", { on: OrderPlaced, store: drizzleStore(db) }, (event, ctx) =>
  ctx.tx.insert(reservation).values(event.data),
);
// #endregion

// #region kysely
interface Tables {
  reservation: { order_id: string; sku: string; quantity: number };
}
const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });

const withKysely = defineSubscription("with-kysely", { on: OrderPlaced, store: kyselyStore(kysely) }, (event, ctx) => {
  const { orderId, sku, quantity } = event.data;
  return ctx.tx.insertInto("reservation").values({ order_id: orderId, sku, quantity }).execute();
});
// #endregion

// On a log that is not PostgreSQL a store is refused before anything runs.
for (const subscription of [warehouse, withDrizzle, withKysely]) {
  await using log = await openLog("sqlite::memory:");
  await log.drain(defineApp({ name: "shop", subscriptions: [subscription] })).catch((error: Error) => {
    console.log(error.message);
  });
}

// Output:
// pgStore is a store of another database than the log's, which is an SQLite file: use sqliteStore(), whose tables lie in that file, or ctx.write; or put the log into that database (openLog("postgres://...")).
// drizzleStore is a store of another database than the log's, which is an SQLite file: use sqliteStore(), whose tables lie in that file, or ctx.write; or put the log into that database (openLog("postgres://...")).
// kyselyStore is a store of another database than the log's, which is an SQLite file: use sqliteStore(), whose tables lie in that file, or ctx.write; or put the log into that database (openLog("postgres://...")).
