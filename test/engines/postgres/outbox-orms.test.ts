/** The outbox through the libraries that applications write SQL with: in their transactions, and in nothing else. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { PrismaPg } from "@prisma/adapter-pg";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text } from "drizzle-orm/pg-core";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import * as forDrizzle from "../../../src/outbox/drizzle.ts";
import * as forKysely from "../../../src/outbox/kysely.ts";
import * as forPrisma from "../../../src/outbox/prisma.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { dataOf, order, Paid, Placed, relayAll } from "./outbox-support.ts";
import { PrismaClient } from "./prisma/generated/client.ts";
import { openEngine, place } from "./support.ts";

/** What no way of passing values may change. */
const awkward = order(`$1 '"\\ %s ? :name {} ä\u{1f9c0}`, 0.1);

async function shop(t: TestContext) {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  await sql(where.url, "CREATE TABLE orders(id text PRIMARY KEY)");
  const pool = new pg.Pool({ connectionString: where.url });
  const orders = async (): Promise<string[]> =>
    (await sql<[string]>(where.url, "SELECT id FROM orders")).map(([id]) => id);
  return { where, log, pool, orders, options: { schema: where.schema } satisfies Partial<Place> };
}
const undo = new Error("undo");

test("drizzle: an event commits with the order, and goes with it", async (t) => {
  const { log, pool, orders, options } = await shop(t);
  t.after(() => pool.end());
  const db = drizzle({ client: pool });
  const table = pgTable("orders", { id: text().primaryKey() });
  const receipts = await db.transaction(async (tx) => {
    await tx.insert(table).values({ id: "a" });
    return forDrizzle.outbox(tx, options).publish(Placed(awkward), Paid({ id: "p", n: 1 }));
  });
  assert.deepEqual([receipts.length, receipts[1]!.id, receipts[1]!.position], [2, "p", undefined]);
  const failing = db.transaction(async (tx) => {
    await tx.insert(table).values({ id: "b" });
    await forDrizzle.outbox(tx, options).publish(Placed(order("b", 2)));
    throw undo;
  });
  await assert.rejects(failing, undo);
  await relayAll(log);
  assert.deepEqual(await dataOf(log), [awkward, { id: "p", n: 1 }]);
  assert.deepEqual(await orders(), ["a"]);
});

test("drizzle: a savepoint that is rolled back takes its events with it; a database is refused", async (t) => {
  const { log, pool, options } = await shop(t);
  t.after(() => pool.end());
  const db = drizzle({ client: pool });
  await db.transaction(async (tx) => {
    await forDrizzle.outbox(tx, options).publish(Placed(order("a", 1)));
    const inner = tx.transaction(async (nested) => {
      await forDrizzle.outbox(nested, options).publish(Placed(order("a", 2)));
      throw undo;
    });
    await assert.rejects(inner, undo);
    await forDrizzle.outbox(tx, options).publish(Placed(order("a", 3)));
  });
  await relayAll(log);
  assert.deepEqual(await dataOf(log), [order("a", 1), order("a", 3)]);
  assert.throws(() => forDrizzle.outbox(db as unknown as forDrizzle.DrizzleTransaction, options), {
    code: "INVALID_OPTION",
  });
});

test("kysely: an event commits with the order, and goes with it; a database is refused", async (t) => {
  const { log, pool, orders, options } = await shop(t);
  const db = new Kysely<{ orders: { id: string } }>({ dialect: new PostgresDialect({ pool }) });
  t.after(() => db.destroy());
  const receipts = await db.transaction().execute(async (trx) => {
    await trx.insertInto("orders").values({ id: "a" }).execute();
    return forKysely.outbox(trx, options).publish(Placed(awkward), Paid({ id: "p", n: 1 }));
  });
  assert.deepEqual([receipts.length, receipts[1]!.id, receipts[1]!.position], [2, "p", undefined]);
  const failing = db.transaction().execute(async (trx) => {
    await trx.insertInto("orders").values({ id: "b" }).execute();
    await forKysely.outbox(trx, options).publish(Placed(order("b", 2)));
    throw undo;
  });
  await assert.rejects(failing, undo);
  const controlled = await db.startTransaction().execute();
  await forKysely.outbox(controlled, options).publish(Placed(order("c", 3)));
  await controlled.commit().execute();
  await relayAll(log);
  assert.deepEqual(await dataOf(log), [awkward, { id: "p", n: 1 }, order("c", 3)]);
  assert.deepEqual(await orders(), ["a"]);
  assert.throws(() => forKysely.outbox(db, options), { code: "INVALID_OPTION" });
});

test("prisma: an event commits with the order, and goes with it; the client is refused", async (t) => {
  const { log, pool, orders, options } = await shop(t);
  t.after(() => pool.end());
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  t.after(() => prisma.$disconnect());
  const receipts = await prisma.$transaction(async (tx) => {
    await tx.$executeRaw`INSERT INTO orders VALUES (${"a"})`;
    return forPrisma.outbox(tx, options).publish(Placed(awkward), Paid({ id: "p", n: 1 }));
  });
  assert.deepEqual([receipts.length, receipts[1]!.id, receipts[1]!.position], [2, "p", undefined]);
  const failing = prisma.$transaction(async (tx) => {
    await tx.$executeRaw`INSERT INTO orders VALUES (${"b"})`;
    await forPrisma.outbox(tx, options).publish(Placed(order("b", 2)));
    throw undo;
  });
  await assert.rejects(failing, undo);
  await relayAll(log);
  assert.deepEqual(await dataOf(log), [awkward, { id: "p", n: 1 }]);
  assert.deepEqual(await orders(), ["a"]);
  assert.throws(() => forPrisma.outbox(prisma, options), { code: "INVALID_OPTION" });
});
