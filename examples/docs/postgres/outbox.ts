/** docs/guides/outbox.md: events of the application's own transactions. FACTLOG_URL names a database that is empty. */
import { defineApp, defineEvent, defineSubscription, openLog } from "factlog";
import * as forDrizzle from "factlog/drizzle";
import * as forKysely from "factlog/kysely";
import { outbox, outboxSql } from "factlog/outbox";
import { drizzle } from "drizzle-orm/node-postgres";
import { sql } from "drizzle-orm";
import { Kysely, PostgresDialect } from "kysely";
import { Pool } from "pg";
import { z } from "zod";

const url = process.env["FACTLOG_URL"]!;
const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), total: z.number() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
});
const log = await openLog(url);
const pool = new Pool({ connectionString: url });
await pool.query("CREATE TABLE orders(id text PRIMARY KEY, total float8 NOT NULL)");
const insert = "INSERT INTO orders(id, total) VALUES ($1, $2)";

// #region pg
const client = await pool.connect();
await client.query("BEGIN");
await client.query("INSERT INTO orders(id, total) VALUES ($1, $2)", ["o-1", 30]);
const [receipt] = await outbox(client).publish(OrderPlaced({ orderId: "o-1", total: 30 }));
await client.query("COMMIT"); // the event exists if and only if this succeeds
console.log(receipt?.id, receipt?.position);
// #endregion

await client.query("BEGIN");
await client.query(insert, ["o-2", 40]);
await outbox(client).publish(OrderPlaced({ orderId: "o-2", total: 40 }));
await client.query("ROLLBACK");

// #region statement
const { text, values, receipts } = outboxSql([OrderPlaced({ orderId: "o-3", total: 50 })]);
await client.query(text, [...values]); // or however your library runs a statement
console.log(receipts.length);
// #endregion

const db = drizzle({ client: pool });
// #region drizzle
await db.transaction(async (tx) => {
  await tx.execute(sql`INSERT INTO orders(id, total) VALUES ('o-4', 60)`);
  await forDrizzle.outbox(tx).publish(OrderPlaced({ orderId: "o-4", total: 60 }));
});
// #endregion

const kysely = new Kysely<{ orders: { id: string; total: number } }>({ dialect: new PostgresDialect({ pool }) });
// #region kysely
await kysely.transaction().execute(async (trx) => {
  await trx.insertInto("orders").values({ id: "o-5", total: 70 }).execute();
  await forKysely.outbox(trx).publish(OrderPlaced({ orderId: "o-5", total: 70 }));
});
// #endregion

// #region trigger
await client.query(`
  CREATE FUNCTION order_placed() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM factlog.publish('OrderPlaced', NEW.id, jsonb_build_object('orderId', NEW.id, 'total', NEW.total), NEW.id);
    RETURN NEW;
  END $$;
  CREATE TRIGGER order_placed AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION order_placed()`);
await client.query("INSERT INTO orders(id, total) VALUES ('o-6', 80)");
// #endregion

const seen: string[] = [];
const reader = defineSubscription("reader", { on: OrderPlaced, from: "beginning" }, (event) => {
  seen.push(`${event.id} ${event.data.total}`);
});
await log.drain(defineApp({ name: "shop", subscriptions: [reader] }));
console.log(seen.toSorted().join(", "));

client.release();
await kysely.destroy();
await log.close();

// Output:
// o-1 undefined
// 1
// o-1 30, o-3 50, o-4 60, o-5 70, o-6 80
