/** A synchronous handler's own rows and the settle of its delivery are one commit, which it shares with others. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { z } from "zod";
import { foreignLog, pairing } from "../../../src/conformance/index.ts";
import { memory } from "../../../src/engines/memory/index.ts";
import { sqlite, sqliteStore, type SqliteTx } from "../../../src/engines/sqlite/index.ts";
import { pgStore } from "../../../src/engines/postgres/index.ts";
import { type App, defineApp, defineSubscription, type FactlogError, Defer, NonRetryable } from "../../../src/index.ts";
import { Done, fact, freshFile, open, Order, unwell } from "../../runtime/support.ts";
import { type Context, execute, insert, numbers, orders, rowsIn, storeScene } from "./store-support.ts";

type Handler = (order: { readonly key: string; readonly n: number }, ctx: Context) => unknown;
interface Options {
  readonly concurrency?: number;
  readonly attemptsMax?: number;
}
function appOf(handler: Handler, { concurrency = 16, attemptsMax = 8 }: Options = {}): App {
  const retry = { attemptsMax, backoff: [1] };
  const options = { on: Order, from: "beginning", store: sqliteStore(), concurrency, retry } as const;
  const one = defineSubscription("one", options, (event, ctx) => handler(event.data, ctx) as undefined);
  return defineApp({ name: "t", subscriptions: [one] });
}
const codeOf = (act: () => unknown): string | undefined => {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as FactlogError).code;
  }
};

suite("one commit", () => {
  test("rows of each handler are there once, with what it emitted; nothing is left behind", async (t) => {
    const { file, log, rows } = await storeScene(t);
    await log.publishAll(orders(200));
    const app = appOf((order, ctx) => {
      insert(order, ctx);
      if (order.n % 3 === 0) ctx.emit(Done(order));
    });
    await log.drain(app);
    assert.deepEqual(rows(), numbers(200));
    assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 67);
    assert.deepEqual(rowsIn(file, "SELECT * FROM factlog_settled"), []);
    assert.deepEqual(await unwell(log), []);
  });

  test("a handler reads what it wrote, rows by name, and what others wrote before", async (t) => {
    const { log } = await storeScene(t);
    await log.publishAll([1, 2, 3].map((n) => Order({ key: "k", n })));
    const seen: unknown[] = [];
    await log.drain(
      appOf((order, ctx) => {
        assert.deepEqual({ ...(insert(order, ctx) as object) }, { changes: 1 });
        const sum = ctx.tx.get<{ readonly sum: number }>("SELECT sum(n) AS sum FROM effect");
        seen.push(
          sum?.sum,
          ctx.tx.all("SELECT n FROM effect WHERE n > ?", 1).map((row) => row["n"]),
        );
        assert.equal(ctx.tx.get("SELECT n FROM effect WHERE n > 100"), undefined);
      }),
    );
    assert.deepEqual(seen, [1, [], 3, [2], 6, [2, 3]]);
  });

  test("handlers that are ready together share commits; a bad one rolls back alone, whatever it wrote", async (t) => {
    const { file, log, rows } = await storeScene(t);
    await log.publishAll(orders(64));
    const attempts = new Map<number, number[]>();
    const app = appOf(
      (order, ctx) => {
        attempts.set(order.n, [...(attempts.get(order.n) ?? []), ctx.attempt]);
        insert(order, ctx);
        ctx.tx.run("CREATE TABLE IF NOT EXISTS made(n)");
        ctx.tx.run("INSERT INTO made VALUES (?)", order.n);
        if (order.n % 8 === 5 && ctx.attempt < 3) throw new Error("not yet");
      },
      { concurrency: 64 },
    );
    await log.drain(app);
    assert.deepEqual(rows(), numbers(64));
    assert.deepEqual(rowsIn(file, "SELECT n FROM made ORDER BY n"), numbers(64));
    for (const [n, tried] of attempts) assert.deepEqual(tried, n % 8 === 5 ? [1, 2, 3] : [1], `${n}`);
    assert.deepEqual(await unwell(log), []);
  });

  test("a batch of handlers is one transaction: none of it is seen before all of it", async (t) => {
    const { file, log } = await storeScene(t);
    await log.publishAll(orders(100));
    const seen: unknown[] = [];
    const app = appOf(
      (order, ctx) => {
        insert(order, ctx);
        seen.push(rowsIn(file, "SELECT count(*) FROM effect")[0]);
      },
      { concurrency: 100 },
    );
    await log.drain(app);
    assert.deepEqual(new Set(seen), new Set([0]));
  });

  test("verdicts and state are as ever", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll([1, 2, 3].map((n) => Order({ key: "k", n })));
    const state = { schema: z.number(), initial: 0 };
    const runs: unknown[] = [];
    const one = defineSubscription(
      "one",
      { on: Order, from: "beginning", store: sqliteStore(), state, onExhausted: "skip-event" },
      ({ data }, ctx) => {
        insert(data, ctx);
        ctx.state.set(ctx.state.get() + data.n);
        runs.push([data.n, ctx.state.get()]);
        if (data.n === 2 && runs.length === 2) throw new Defer(1);
        if (data.n === 2) throw new NonRetryable("no");
      },
    );
    await log.drain(defineApp({ name: "t", subscriptions: [one] }));
    assert.deepEqual(runs, [
      [1, 1],
      [2, 3],
      [2, 3],
      [3, 4],
    ]);
    assert.deepEqual(rows(), [1, 3]);
  });

  test("a fact that contradicts a known one takes the handler's rows back", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(3));
    const app = appOf(
      (order, ctx) => {
        insert(order, ctx);
        ctx.emit(Done({ key: "k", n: order.n }), { attributes: { id: "same" } });
      },
      { attemptsMax: 2 },
    );
    await log.drain(app);
    assert.equal(rows().length, 1);
    assert.equal((await log.operator.status())[0]?.dead, 2);
  });

  test("beside a foreign log rows and what waits in the outbox are one commit as well", async (t) => {
    const file = freshFile();
    const log = await open(pairing(foreignLog({ slots: 64 }), sqlite(file)));
    t.after(() => log.close());
    execute(file, "CREATE TABLE effect(n)");
    await log.publishAll(orders(30));
    await log.drain(
      appOf((order, ctx) => {
        insert(order, ctx);
        ctx.emit(Done(order));
        if (order.n === 7 && ctx.attempt === 1) throw new Error("once");
      }),
    );
    assert.deepEqual(rowsIn(file, "SELECT n FROM effect ORDER BY n"), numbers(30));
    assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 30);
  });
});

suite("what ends or leaves a transaction", () => {
  test("ctx.tx is closed after the handler: kept, kept in part, used later, used by another handler", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(3));
    const codes: (string | undefined)[] = [];
    const later = fact();
    let kept: SqliteTx | undefined;
    let run: SqliteTx["run"] | undefined;
    let context: Context | undefined;
    await log.drain(
      appOf(
        (order, ctx) => {
          if (kept !== undefined) {
            codes.push(codeOf(() => kept?.run("INSERT INTO effect VALUES (100)")));
            codes.push(codeOf(() => run?.("INSERT INTO effect VALUES (101)")));
            codes.push(codeOf(() => context?.tx));
          }
          [kept, context] = [ctx.tx, ctx];
          run = ctx.tx.run.bind(ctx.tx);
          insert(order, ctx);
          if (order.n === 0) {
            void (async () => {
              await Promise.resolve();
              codes.push(codeOf(() => insert({ n: 102 }, ctx)));
              later.tell();
            })();
          }
        },
        { concurrency: 3 },
      ),
    );
    await later.holds;
    codes.push(codeOf(() => kept?.get("SELECT 1")));
    assert.deepEqual(
      codes,
      Array.from({ length: 8 }, () => "TX_CLOSED"),
    );
    assert.deepEqual(rows(), [0, 1, 2]);
  });

  test("of a handler that threw, too", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(2));
    let kept: SqliteTx | undefined;
    const codes: (string | undefined)[] = [];
    const app = appOf((order, ctx) => {
      if (kept !== undefined) codes.push(codeOf(() => kept?.run("INSERT INTO effect VALUES (100)")));
      kept = ctx.tx;
      insert(order, ctx);
      if (order.n === 0 && ctx.attempt === 1) throw new Error("once");
    });
    await log.drain(app);
    assert.deepEqual(
      [codes, rows()],
      [
        ["TX_CLOSED", "TX_CLOSED"],
        [0, 1],
      ],
    );
  });

  for (const statement of [
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "SAVEPOINT mine",
    "RELEASE member",
    "ROLLBACK TO member",
    "PRAGMA synchronous = OFF",
    "PRAGMA foreign_keys = ON",
    "ATTACH ':memory:' AS other",
    "DELETE FROM factlog_settled",
    "UPDATE factlog_slot SET token = token + 1",
    "INSERT INTO effect VALUES (9); COMMIT",
  ]) {
    test(`refused, caught or not, and the rest stands: ${statement}`, async (t) => {
      const { log, rows } = await storeScene(t);
      await log.publishAll(orders(3));
      const codes: (string | undefined)[] = [];
      await log.drain(
        appOf((order, ctx) => {
          insert(order, ctx);
          if (order.n !== 1) return;
          if (ctx.attempt === 1) ctx.tx.run(statement);
          codes.push(codeOf(() => ctx.tx.run(statement)));
        }),
      );
      assert.deepEqual([codes, rows()], [["NOT_SUPPORTED"], [0, 1, 2]]);
      assert.deepEqual(await unwell(log), []);
    });
  }

  test("a statement that rolls the whole transaction back, and is caught: nothing of it is committed by itself", async (t) => {
    const { file, log, rows } = await storeScene(t);
    execute(file, "CREATE TABLE once(n UNIQUE); INSERT INTO once VALUES (1)");
    await log.publishAll(orders(6));
    const codes: (string | undefined)[] = [];
    const runs: number[] = [];
    const app = appOf((order, ctx) => {
      runs.push(order.n);
      insert(order, ctx);
      ctx.emit(Done(order));
      if (order.n !== 3 || ctx.attempt > 1) return;
      try {
        ctx.tx.run("INSERT OR ROLLBACK INTO once VALUES (1)");
      } catch {
        codes.push(codeOf(() => ctx.tx.run("INSERT INTO effect VALUES (100)")));
      }
    });
    await log.drain(app);
    assert.deepEqual(rows(), numbers(6));
    assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 6);
    assert.ok(codes.length > 0 && codes.every((code) => code === "TX_CLOSED"), String(codes));
    assert.ok(runs.length > 7, "those that shared the transaction ran again");
    assert.deepEqual(await unwell(log), []);
  });

  test("an error that is caught leaves the handler's other rows", async (t) => {
    const { file, log, rows } = await storeScene(t);
    execute(file, "CREATE TABLE once(n UNIQUE); INSERT INTO once VALUES (1)");
    await log.publishAll(orders(2));
    await log.drain(
      appOf((order, ctx) => {
        assert.throws(() => ctx.tx.run("INSERT INTO once VALUES (1)"), /UNIQUE/u);
        insert(order, ctx);
      }),
    );
    assert.deepEqual(rows(), [0, 1]);
  });

  test("an error of another SQLite database, thrown by a handler, is that handler's", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(2));
    const busy = Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR", errcode: 5 });
    await log.drain(
      appOf((order, ctx) => {
        insert(order, ctx);
        if (order.n === 0 && ctx.attempt === 1) throw busy;
      }),
    );
    assert.deepEqual(rows(), [0, 1]);
  });

  test("what a handler calls on the log is done after its transaction, and sees what was committed", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(1));
    const done = Promise.withResolvers<unknown>();
    await log.drain(
      appOf((order, ctx) => {
        insert(order, ctx);
        void Promise.all([
          log.publish(Done(order)),
          log.operator.status(),
          log.read({ on: Order })[Symbol.asyncIterator]().next(),
        ]).then(([receipt]) => done.resolve(receipt.position !== undefined), done.reject);
      }),
    );
    assert.deepEqual([await done.promise, rows()], [true, [0]]);
  });
});

suite("refused", () => {
  test("an async handler, when it is defined", () => {
    const options = { on: Order, store: sqliteStore() } as const;
    assert.throws(
      // @ts-expect-error it returns a promise
      () => defineSubscription("one", options, async () => undefined),
      (error: FactlogError) => error.code === "INVALID_DEFINITION" && /make it synchronous/u.test(error.message),
    );
  });

  test("a promise, when it comes: nothing of the handler stands, and its late failure harms nobody", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(3));
    await log.drain(
      appOf(
        (order, ctx) => {
          insert(order, ctx);
          if (order.n !== 1) return undefined;
          return Promise.resolve().then(() => ctx.tx.run("INSERT INTO effect VALUES (100)"));
        },
        { attemptsMax: 2 },
      ),
    );
    const [dead] = await log.operator
      .deadLetters()
      [Symbol.asyncIterator]()
      .next()
      .then((each) => [each.value]);
    assert.match(JSON.stringify(dead), /HANDLER_ASYNC|returned a promise/u);
    assert.deepEqual(rows(), [0, 2]);
  });

  test("a store of another database than the log's, either way round, with the alternative named", async (t) => {
    const { log } = await storeScene(t);
    const inMemory = await open(memory());
    t.after(() => inMemory.close());
    const onPg = defineSubscription("one", { on: Order, store: pgStore() }, async () => undefined);
    const onSqlite = defineSubscription("one", { on: Order, store: sqliteStore() }, () => undefined);
    const drain = (one: typeof onPg, of: typeof log) => of.drain(defineApp({ name: "t", subscriptions: [one] }));
    await assert.rejects(drain(onPg, log), {
      code: "NOT_SUPPORTED",
      message: /pgStore.*use sqliteStore\(\).*ctx\.write/u,
    });
    await assert.rejects(drain(onSqlite, inMemory), { code: "NOT_SUPPORTED", message: /sqliteStore.*ctx\.state/u });
  });

  test("ctx.write, with a store", async (t) => {
    const { log, rows } = await storeScene(t);
    await log.publishAll(orders(1));
    const codes: unknown[] = [];
    await log.drain(
      appOf((order, ctx) => {
        insert(order, ctx);
        codes.push(codeOf(() => ctx.write({ text: ["SELECT 1"], values: [] })));
      }),
    );
    assert.deepEqual([codes, rows()], [["NOT_SUPPORTED"], [0]]);
  });
});
