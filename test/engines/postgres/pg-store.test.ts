/** A handler's own rows and the settle of its delivery are one commit: a table without any constraint has each effect once. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import pg from "pg";
import { z } from "zod";
import { sourceOf } from "../../../src/app/store.ts";
import { subjectOf } from "../../../src/conformance/index.ts";
import { scene as conformance } from "../../../src/conformance/worker.ts";
import { pgStore, type PgTx } from "../../../src/engines/postgres/index.ts";
import { memory } from "../../../src/engines/memory/index.ts";
import { sqlite } from "../../../src/engines/sqlite/index.ts";
import { hasCode } from "../../../src/errors.ts";
import { defineApp, defineSubscription, type FactlogError, type Log, type Store } from "../../../src/index.ts";
import type { HandlerContext, TransactionContext } from "../../../src/index.ts";
import { Done, eventually, fact, open, Order, unwell } from "../../runtime/support.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { place, terminate } from "./support.ts";

type Context = HandlerContext & TransactionContext<PgTx>;
type Handler = (order: { readonly key: string; readonly n: number }, ctx: Context) => unknown;

interface Options {
  readonly concurrency?: number;
  readonly attemptsMax?: number;
  readonly timeout?: number;
}
function appOf(
  store: Store<PgTx, "async">,
  handler: Handler,
  { concurrency = 16, attemptsMax = 8, timeout = 300_000 }: Options = {},
) {
  const retry = { attemptsMax, backoff: [1] };
  const one = defineSubscription(
    "one",
    { on: Order, from: "beginning", store, concurrency, retry, timeout },
    (event, ctx) => handler(event.data, ctx),
  );
  return defineApp({ name: "t", subscriptions: [one] });
}

interface Scene {
  readonly where: Place;
  readonly log: Log;
  readonly pool: pg.Pool;
  readonly rows: () => Promise<readonly number[]>;
}
async function scene(t: TestContext, poolOptions: pg.PoolConfig = {}): Promise<Scene> {
  const where = await place(t);
  await sql(where.url, "CREATE TABLE effect(n int, pid int DEFAULT pg_backend_pid())");
  const log = await open(where.handle());
  t.after(() => log.close());
  const pool = new pg.Pool({ connectionString: where.url, ...poolOptions });
  pool.on("error", () => undefined);
  t.after(() => pool.end());
  const rows = async () => (await sql<[number]>(where.url, "SELECT n FROM effect ORDER BY n")).map(([n]) => n);
  return { where, log, pool, rows };
}
const orders = (count: number) => Array.from({ length: count }, (_, n) => Order({ key: `k${n}`, n }));
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const insert: Handler = ({ n }, { tx }) => tx.query("INSERT INTO effect(n) VALUES ($1)", [n]);

test("rows of each handler are there once, with what it emitted, on a pool of the user's and on the log's own", async (t) => {
  const { where, log, pool, rows } = await scene(t);
  for (const [index, store] of [pgStore(pool), pgStore()].entries()) {
    await log.publishAll(orders(50).map((_, n) => Order({ key: `k${n}`, n: index * 50 + n })));
    const app = appOf(store, async (order, ctx) => {
      await insert(order, ctx);
      ctx.emit(Done(order));
    });
    await log.drain(app);
    assert.deepEqual(await rows(), numbers(50 * (index + 1)));
  }
  assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 100);
  assert.deepEqual(await sql(where.url, `SELECT * FROM ${where.schema}.settled`), []);
  assert.deepEqual(await unwell(log), []);
});

test("as many handlers as may run have their transactions open at once", async (t) => {
  const { log, pool, rows } = await scene(t, { max: 16 });
  await log.publishAll(orders(16));
  const all = fact();
  let open16 = 0;
  await log.drain(
    appOf(pgStore(pool), async (order, ctx) => {
      await insert(order, ctx);
      if (++open16 === 16) all.tell();
      await all.holds;
    }),
  );
  assert.deepEqual(await rows(), numbers(16));
});

test("a handler that throws leaves nothing of its transaction, nor of what it emitted and set", async (t) => {
  const { log, pool, rows } = await scene(t);
  await log.publish(Order({ key: "k", n: 7 }));
  const attempts: number[] = [];
  const app = appOf(pgStore(pool), async (order, ctx) => {
    await insert(order, ctx);
    ctx.emit(Done(order));
    attempts.push(ctx.attempt);
    if (ctx.attempt < 3) throw new Error("not yet");
  });
  await log.drain(app);
  assert.deepEqual([attempts, await rows()], [[1, 2, 3], [7]]);
  assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 1);
  assert.deepEqual(await unwell(log), []);
});

test("a transaction is closed with its handler; what ends one, and changes to the log's tables, are refused", async (t) => {
  const { where, log, pool, rows } = await scene(t);
  await log.publish(Order({ key: "k", n: 1 }));
  let late: PgTx | undefined;
  const codes: (string | undefined)[] = [];
  const refused = async (act: () => unknown): Promise<void> => {
    const error = await Promise.resolve()
      .then(act)
      .then(
        () => undefined,
        (thrown: FactlogError) => thrown,
      );
    codes.push(error?.code);
  };
  let context: Context | undefined;
  await log.drain(
    appOf(pgStore(pool), async (order, ctx) => {
      [late, context] = [ctx.tx, ctx];
      await refused(() => ctx.tx.query("COMMIT"));
      await refused(() => ctx.tx.query("SET synchronous_commit = off"));
      await refused(() => ctx.tx.query("SAVEPOINT x"));
      await refused(() => ctx.write({ text: ["SELECT 1"], values: [] }));
      await refused(() => ctx.tx.query(`DROP TABLE ${where.schema}.event`));
      await insert(order, ctx);
    }),
  );
  await refused(() => late!.query("SELECT 1"));
  await refused(() => context!.tx);
  assert.deepEqual(codes, [...Array<string>(5).fill("NOT_SUPPORTED"), "TX_CLOSED", "TX_CLOSED"]);
  await log.publish(Order({ key: "k", n: 2 }));
  const errors: FactlogError[] = [];
  await log.drain(
    appOf(pgStore(pool), async (order, ctx) => {
      if (ctx.attempt > 1) return insert(order, ctx);
      await ctx.tx.query(`DELETE FROM ${where.schema}.event`).catch((error: FactlogError) => errors.push(error));
      return undefined;
    }),
  );
  assert.equal(errors[0]?.code, "NOT_SUPPORTED");
  assert.deepEqual(await rows(), [1, 2]);
});

const failOf40001 = "DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$";

test("a failure of serialisation runs the handler again, uncharged, three times in all, and then charges one attempt", async (t) => {
  const { log, pool, rows } = await scene(t);
  await log.publish(Order({ key: "k", n: 5 }));
  const attempts: number[] = [];
  await log.drain(
    appOf(pgStore(pool), async (order, ctx) => {
      attempts.push(ctx.attempt);
      ctx.emit(Done(order));
      await insert(order, ctx);
      // Caught or not: the transaction is ended by it.
      if (attempts.length === 1) await ctx.tx.query(failOf40001).catch(() => undefined);
      else if (attempts.length < 6) await ctx.tx.query(failOf40001);
    }),
  );
  assert.deepEqual([attempts, await rows()], [[1, 1, 1, 2, 2, 2], [5]]);
  assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 1);
});

test("a deadlock of two handlers costs neither an attempt", async (t) => {
  const { where, log, pool } = await scene(t);
  await sql(where.url, "CREATE TABLE account(id int PRIMARY KEY, n int); INSERT INTO account VALUES (0, 0), (1, 0)");
  await log.publishAll(orders(2));
  const both = fact();
  let locked = 0;
  const attempts: number[] = [];
  await log.drain(
    appOf(pgStore(pool), async ({ n }, { tx, attempt }) => {
      attempts.push(attempt);
      await tx.query("UPDATE account SET n = n + 1 WHERE id = $1", [n]);
      if (++locked === 2) both.tell();
      await both.holds;
      await tx.query("UPDATE account SET n = n + 1 WHERE id = $1", [1 - n]);
    }),
  );
  assert.deepEqual(attempts, [1, 1, 1]);
  assert.deepEqual(await sql(where.url, "SELECT n FROM account"), [[2], [2]]);
});

test("a connection that ends under a handler is a failed attempt, and its effect is there once", async (t) => {
  const { where, log, pool, rows } = await scene(t);
  await log.publishAll(orders(3));
  const attempts: number[] = [];
  await log.drain(
    appOf(pgStore(pool), async (order, ctx) => {
      attempts.push(ctx.attempt);
      await insert(order, ctx);
      if (order.n !== 1 || ctx.attempt > 1) return;
      const pid = (await ctx.tx.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]!.pid;
      await terminate(where.url, pid);
    }),
  );
  assert.deepEqual([attempts.toSorted((a, b) => a - b), await rows()], [[1, 1, 1, 2], numbers(3)]);
  assert.deepEqual(await unwell(log), []);
});

/** Clients of the pool let this meddle with the one message that settles and commits; one that is `kept` is not ended. */
function meddleWith(
  pool: pg.Pool,
  meddle: (send: () => Promise<unknown>, client: pg.PoolClient) => Promise<unknown>,
  kept: Set<unknown> = new Set(),
): void {
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: readonly unknown[]) => Promise<unknown>;
    const end = (client as unknown as pg.Client).end.bind(client);
    Object.assign(client, {
      query: (...args: readonly unknown[]) =>
        String(args[0]).endsWith("; COMMIT") ? meddle(() => query(...args), client) : query(...args),
      end: () => (kept.has(client) ? Promise.resolve() : end()),
    });
  });
}
const cut = (): Error => new Error("Connection terminated unexpectedly");

test("a commit whose answer is lost has happened: the handler is not run again", async (t) => {
  let cuts = 0;
  const { log, pool, rows } = await scene(t);
  meddleWith(pool, async (send, client) => {
    const answer = await send();
    if (++cuts % 2 === 0) return answer;
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    throw cut();
  });
  await log.publishAll(orders(20));
  const attempts: number[] = [];
  const app = appOf(pgStore(pool), async (order, ctx) => {
    attempts.push(ctx.attempt);
    await insert(order, ctx);
  });
  await log.drain(app);
  assert.deepEqual([attempts, await rows()], [Array<number>(20).fill(1), numbers(20)]);
  assert.ok(cuts >= 10);
  assert.deepEqual(await unwell(log), []);
});

test("a commit that never left is a failed attempt, and when it comes late it changes nothing", async (t) => {
  const late: (() => Promise<unknown>)[] = [];
  const kept = new Set<pg.PoolClient>();
  const { log, pool, rows } = await scene(t);
  const meddle = async (send: () => Promise<unknown>, client: pg.PoolClient): Promise<unknown> => {
    if (late.length > 0) return send();
    late.push(send);
    kept.add(client);
    throw cut();
  };
  meddleWith(pool, meddle, kept);
  await log.publish(Order({ key: "k", n: 4 }));
  const attempts: number[] = [];
  const answers: unknown[] = [];
  const app = appOf(pgStore(pool), async (order, ctx) => {
    attempts.push(ctx.attempt);
    // In the second attempt the first one's commit arrives, on a connection that the pool has not closed yet.
    if (ctx.attempt === 2) answers.push(await late[0]!().catch((error: unknown) => error));
    await insert(order, ctx);
  });
  await log.drain(app);
  const [first] = kept;
  kept.clear();
  await (first as unknown as pg.Client).end();
  assert.deepEqual([attempts, await rows()], [[1, 2], [4]]);
  assert.match(String(answers[0]), /settled before|another holds/u);
  assert.deepEqual(await unwell(log), []);
});

test("the settle of a commit that never left is impossible from then on, row or no row", async (t) => {
  const { where, pool } = await scene(t);
  const subject = subjectOf(where.handle());
  t.after(() => subject.close());
  const { worker, ledger, lease } = await conformance(subject);
  const source = sourceOf(pgStore(pool));
  const transact = () => ledger.transact(worker.session, { source, run: async () => [{ lease, position: 5 }] });
  const late: (() => Promise<unknown>)[] = [];
  const kept = new Set<unknown>();
  const meddle = async (send: () => Promise<unknown>, client: pg.PoolClient): Promise<unknown> => {
    if (late.length === 2) return send();
    late.push(send);
    kept.add(client);
    throw cut();
  };
  meddleWith(pool, meddle, kept);
  for (let n = 0; n < 2; n++) {
    const answer = await transact();
    assert.deepEqual(
      [answer.status, "error" in answer && hasCode(answer.error, "STORE_UNREACHABLE")],
      ["failed", true],
    );
  }
  for (const send of late) await assert.rejects(send(), { code: "FL008" });
  assert.deepEqual((await ledger.load([lease]))[0]!.settled, []);
  assert.deepEqual(await transact(), { status: "settled" });
  const held = [...kept] as pg.Client[];
  kept.clear();
  for (const client of held) await client.end();
});

test("a commit that is cut while it waits for the log's head is a failed attempt, and its effect is there once", async (t) => {
  const { where, log, pool, rows } = await scene(t, { application_name: "the user's" });
  await log.publish(Order({ key: "k", n: 1 }));
  const attempts: number[] = [];
  const app = appOf(pgStore(pool), async (order, ctx) => {
    attempts.push(ctx.attempt);
    await insert(order, ctx);
    ctx.emit(Done(order));
  });
  const locker = new pg.Client({ connectionString: where.url });
  await locker.connect();
  t.after(() => locker.end());
  await locker.query(`BEGIN; SELECT 1 FROM ${where.schema}.head FOR UPDATE`);
  const worker = await log.work(app);
  const waiting =
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'the user''s' AND wait_event_type = 'Lock'";
  await eventually("it waits", async () => (await sql(where.url, waiting)).length === 1);
  await terminate(where.url, (await sql<[number]>(where.url, waiting))[0]![0]);
  await locker.query("ROLLBACK");
  await eventually("it is done", async () => (await log.operator.status())[0]?.depth === 0);
  await worker.stop();
  assert.deepEqual([attempts, await rows()], [[1, 2], [1]]);
  assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 1);
});

test("past its timeout a handler's transaction is rolled back at once, whatever the handler does", async (t) => {
  const { where, log, pool, rows } = await scene(t);
  await sql(where.url, "CREATE TABLE account(id int PRIMARY KEY); INSERT INTO account VALUES (1)");
  await log.publish(Order({ key: "k", n: 1 }));
  const [late, go] = [fact(), fact()];
  const attempts: number[] = [];
  const app = appOf(
    pgStore(pool),
    async (order, ctx) => {
      attempts.push(ctx.attempt);
      await ctx.tx.query("SELECT 1 FROM account FOR UPDATE");
      await insert(order, ctx);
      if (ctx.attempt > 1) return;
      ctx.signal.addEventListener("abort", () => late.tell());
      await go.holds;
    },
    { timeout: 300 },
  );
  const worker = await log.work(app);
  await late.holds;
  await sql(where.url, "SELECT 1 FROM account FOR UPDATE");
  assert.deepEqual(attempts, [1], "its key is busy until it has returned");
  go.tell();
  await eventually("it is done", async () => (await log.operator.status())[0]?.depth === 0);
  await worker.stop();
  assert.deepEqual([attempts, await rows()], [[1, 2], [1]]);
});

test("a pool that lends nothing charges no attempt: the handler has not begun", async (t) => {
  const { log, pool, rows } = await scene(t, { max: 1, connectionTimeoutMillis: 50 });
  const taken = await pool.connect();
  const attempts: number[] = [];
  const app = appOf(pgStore(pool), (order, ctx) => {
    attempts.push(ctx.attempt);
    return insert(order, ctx);
  });
  await assert.rejects(log.work(app), { message: /timeout exceeded/u });
  taken.release();
  const worker = await log.work(app);
  const again = await pool.connect();
  await log.publish(Order({ key: "k", n: 1 }));
  await eventually("it waits", async () => (await log.operator.status())[0]?.retrying === 1);
  again.release();
  await eventually("it is done", async () => (await log.operator.status())[0]?.depth === 0);
  await worker.stop();
  assert.deepEqual([attempts, await rows()], [[1], [1]]);
});

test("state and a whole log's order: values are read and written in the same commit", async (t) => {
  const { where, log, pool } = await scene(t);
  await log.publishAll(orders(30).map(({ data }) => Order({ key: "k", n: data.n })));
  const state = { schema: z.object({ sum: z.number() }), initial: { sum: 0 } };
  const one = defineSubscription(
    "sums",
    { on: Order, from: "beginning", order: "log", store: pgStore(pool), state, retry: { backoff: [1] } },
    async ({ data }, ctx) => {
      const { sum } = ctx.state.get();
      await ctx.tx.query("INSERT INTO effect(n) VALUES ($1)", [sum]);
      ctx.state.set({ sum: sum + data.n });
      if (data.n === 7 && ctx.attempt === 1) throw new Error("once");
    },
  );
  await log.drain(defineApp({ name: "t", subscriptions: [one] }));
  const sums = numbers(30).map((n) => (n * (n - 1)) / 2 + 0);
  assert.deepEqual(
    await sql(where.url, "SELECT n FROM effect ORDER BY n"),
    sums.map((n) => [n]),
  );
});

test("where it cannot settle it is refused at the start: on another engine, in another database", async (t) => {
  const { where, log } = await scene(t);
  const other = new pg.Pool({ connectionString: where.url.replace("/postgres?", "/template1?") });
  t.after(() => other.end());
  for (const engine of [memory(), sqlite(":memory:")]) {
    await using small = await open(engine);
    await assert.rejects(small.drain(appOf(pgStore(other), insert)), { code: "NOT_SUPPORTED", message: /pgStore/u });
  }
  await assert.rejects(log.drain(appOf(pgStore(other), insert)), {
    code: "STORE_MISMATCH",
    message: /without a pool/u,
  });
  assert.throws(() => pgStore({}), { code: "INVALID_OPTION" });
  const store = {} as Store<PgTx, "async">;
  assert.throws(() => appOf(store, insert), { code: "INVALID_DEFINITION" });
});
