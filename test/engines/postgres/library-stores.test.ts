/** The same promise through the transactions of Drizzle and of Kysely. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { type App, defineApp, defineSubscription, type FactlogError, type HandlerContext } from "../../../src/index.ts";
import { drizzleStore } from "../../../src/outbox/drizzle.ts";
import { kyselyStore } from "../../../src/outbox/kysely.ts";
import { Done, eventually, fact, open, Order, unwell } from "../../runtime/support.ts";
import { sql } from "../../support/postgres.ts";
import { place, terminate } from "./support.ts";

interface Effect {
  readonly n: number;
}
interface Doing {
  /** Through the library. */
  insert(n: number): Promise<unknown>;
  count(): Promise<number>;
  pid(): Promise<number>;
  fail40001(): Promise<unknown>;
  /** Never called. */
  stranger(): unknown;
}
type Handler = (order: { readonly key: string; readonly n: number }, ctx: HandlerContext, doing: Doing) => unknown;
const retry = { backoff: [1] };
const failing = "DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$";

function withDrizzle(pool: pg.Pool, handler: Handler): App {
  const effect = pgTable("effect", { n: integer() });
  const store = drizzleStore(drizzle(pool));
  const one = defineSubscription("one", { on: Order, from: "beginning", store, retry }, (event, ctx) =>
    handler(event.data, ctx, {
      insert: (n) => ctx.tx.insert(effect).values({ n }),
      count: () => ctx.tx.$count(effect),
      pid: async () => (await ctx.tx.execute("SELECT pg_backend_pid() AS pid")).rows[0]!["pid"] as number,
      fail40001: () => ctx.tx.execute(failing),
      // @ts-expect-error ctx.tx has the library's own type
      stranger: () => ctx.tx.nothing(),
    }),
  );
  return defineApp({ name: "t", subscriptions: [one] });
}
function withKysely(pool: pg.Pool, handler: Handler): App {
  const store = kyselyStore(new Kysely<{ effect: Effect }>({ dialect: new PostgresDialect({ pool }) }));
  const one = defineSubscription("one", { on: Order, from: "beginning", store, retry }, (event, ctx) =>
    handler(event.data, ctx, {
      insert: (n) => ctx.tx.insertInto("effect").values({ n }).execute(),
      count: async () =>
        Number(
          (
            await ctx.tx
              .selectFrom("effect")
              .select((e) => e.fn.countAll().as("n"))
              .executeTakeFirstOrThrow()
          ).n,
        ),
      pid: async () => {
        const pid = (await ctx.tx.selectNoFrom((e) => e.fn<number>("pg_backend_pid").as("pid")).executeTakeFirst())
          ?.pid;
        return pid!;
      },
      fail40001: () => ctx.tx.executeQuery(CompiledQuery.raw(failing)),
      // @ts-expect-error ctx.tx knows the tables
      stranger: () => ctx.tx.selectFrom("orders"),
    }),
  );
  return defineApp({ name: "t", subscriptions: [one] });
}

async function scene(t: TestContext) {
  const where = await place(t);
  await sql(where.url, "CREATE TABLE effect(n int)");
  const log = await open(where.handle());
  t.after(() => log.close());
  const pool = new pg.Pool({ connectionString: where.url, max: 16 });
  pool.on("error", () => undefined);
  // Neither library listens while it holds a client: a connection that ends would end the process.
  pool.on("connect", (client) => void client.on("error", () => undefined));
  t.after(() => pool.end());
  const rows = async () => (await sql<[number]>(where.url, "SELECT n FROM effect ORDER BY n")).map(([n]) => n);
  return { where, log, pool, rows };
}
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

for (const [name, appOf] of [
  ["drizzleStore", withDrizzle],
  ["kyselyStore", withKysely],
] as const) {
  suite(name, () => {
    test("rows and emitted events are there once; a handler that throws leaves nothing; what is written is read", async (t) => {
      const { where, log, pool, rows } = await scene(t);
      await log.publishAll(numbers(40).map((n) => Order({ key: `k${n % 7}`, n })));
      const app = appOf(pool, async (order, ctx, doing) => {
        await doing.insert(order.n);
        assert.ok((await doing.count()) > 0);
        ctx.emit(Done(order));
        if (order.n % 5 === 2 && ctx.attempt === 1) throw new Error("once");
      });
      await log.drain(app);
      assert.deepEqual(await rows(), numbers(40));
      assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 40);
      assert.deepEqual(await sql(where.url, `SELECT * FROM ${where.schema}.settled`), []);
      assert.deepEqual(await unwell(log), []);
    });

    test("the transaction is closed with its handler", async (t) => {
      const { log, pool, rows } = await scene(t);
      await log.publish(Order({ key: "k", n: 1 }));
      let late: Doing | undefined;
      await log.drain(
        appOf(pool, async ({ n }, _, doing) => {
          late = doing;
          await doing.insert(n);
        }),
      );
      await assert.rejects(async () => late!.insert(2), { code: "TX_CLOSED" });
      assert.deepEqual(await rows(), [1]);
    });

    test("a failure of serialisation is not charged, a connection that ends is", async (t) => {
      const { where, log, pool, rows } = await scene(t);
      await log.publish(Order({ key: "k", n: 3 }));
      const attempts: number[] = [];
      await log.drain(
        appOf(pool, async ({ n }, { attempt }, doing) => {
          attempts.push(attempt);
          await doing.insert(n);
          if (attempts.length === 1) await doing.fail40001();
          if (attempts.length === 2) await terminate(where.url, await doing.pid());
        }),
      );
      assert.deepEqual([attempts, await rows()], [[1, 1, 2], [3]]);
      assert.deepEqual(await unwell(log), []);
    });

    test("a commit whose connection ends is looked up: done where it was done", async (t) => {
      const { where, log, pool, rows } = await scene(t);
      // The transaction that `bind` looks through is let alone.
      let cuts = 1;
      pool.on("connect", (client) => {
        const query = client.query.bind(client) as (...args: readonly unknown[]) => Promise<unknown>;
        Object.assign(client, {
          async query(...args: readonly unknown[]) {
            const answer = await query(...args);
            const [text] = args as [string | { readonly text: string }];
            if ((typeof text === "string" ? text : text.text).toLowerCase() !== "commit" || cuts++ > 0) return answer;
            (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
            throw new Error("Connection terminated unexpectedly");
          },
        });
      });
      await log.publish(Order({ key: "k", n: 3 }));
      const attempts: number[] = [];
      await log.drain(
        appOf(pool, ({ n }, { attempt }, doing) => {
          attempts.push(attempt);
          cuts = 0;
          return doing.insert(n);
        }),
      );
      assert.deepEqual([attempts, await rows(), cuts], [[1], [3], 1]);
      assert.deepEqual(await sql(where.url, `SELECT * FROM ${where.schema}.settled`), []);
    });

    test("16 handlers have their transactions open at once", async (t) => {
      const { log, pool, rows } = await scene(t);
      await log.publishAll(numbers(16).map((n) => Order({ key: `k${n}`, n })));
      const all = fact();
      let running = 0;
      await log.drain(
        appOf(pool, async ({ n }, _, doing) => {
          await doing.insert(n);
          if (++running === 16) all.tell();
          await all.holds;
        }),
      );
      assert.deepEqual(await rows(), numbers(16));
    });

    test("when its worker stops its transaction is rolled back, whatever the handler does", async (t) => {
      const { where, log, pool, rows } = await scene(t);
      await log.publish(Order({ key: "k", n: 1 }));
      const [inserted, go] = [fact(), fact()];
      const attempts: number[] = [];
      const app = appOf(pool, async ({ n }, { attempt }, doing) => {
        attempts.push(attempt);
        await doing.insert(n);
        inserted.tell();
        if (attempts.length === 1) await go.holds;
      });
      const worker = await log.work(app);
      await inserted.holds;
      await worker.stop({ grace: 1 });
      const idle = "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.oid = 'effect'::regclass";
      await eventually("it is rolled back", async () => (await sql(where.url, idle)).length === 0);
      await log.drain(app);
      go.tell();
      assert.deepEqual([attempts, await rows()], [[1, 1], [1]]);
    });

    test("another database is refused", async (t) => {
      const { where, log } = await scene(t);
      const other = new pg.Pool({ connectionString: where.url.replace("/postgres?", "/template1?") });
      t.after(() => other.end());
      await assert.rejects(log.drain(appOf(other, () => undefined)), (error: FactlogError) => {
        assert.match(error.message, new RegExp(name, "u"));
        return error.code === "STORE_MISMATCH";
      });
    });
  });
}

test("what is no database of the library is refused", () => {
  assert.throws(() => drizzleStore({} as never), { code: "INVALID_OPTION" });
  assert.throws(() => kyselyStore({} as never), { code: "INVALID_OPTION" });
});
