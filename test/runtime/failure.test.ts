import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { z } from "zod";
import {
  Defer,
  defineApp,
  defineEvent,
  defineSubscription,
  NonRetryable,
  RetryAfter,
  sql,
  upcast,
} from "../../src/index.ts";
import { Done, engines, eventually, fact, fastEnv, freshFile, open, Order, unwell } from "./support.ts";

const once = { retry: { attemptsMax: 1 } } as const;
const order = (key: string, n: number): ReturnType<typeof Order> => Order({ key, n });

for (const engine of engines) {
  test(`${engine.name}: a dead letter holds its key until it is redriven, in place`, async () => {
    let broken = true;
    const seen: string[] = [];
    const keys = new Set<string>();
    const reader = defineSubscription("reader", { on: Order, ...once }, ({ data }, ctx) => {
      if (data.key === "bad") keys.add(ctx.idempotencyKey("x"));
      if (data.key === "bad" && broken) throw new Error('broken for 7 seconds at "here"');
      seen.push(`${data.key}${data.n}${ctx.mode === "redrive" ? "!" : ""}`);
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([order("bad", 0), order("bad", 1), order("good", 0), order("bad", 2)]);
    const first = await log.drain(app);
    assert.deepEqual([first.drained, first.dead], [true, 1]);
    assert.deepEqual(seen, ["good0"]);
    const [status] = await log.operator.status();
    assert.deepEqual([status?.dead, status?.held, status?.blockedKeys, status?.depth], [1, 2, 1, 2]);
    const [letter] = await Array.fromAsync(log.operator.deadLetters());
    assert.ok(letter !== undefined && letter.blocksKey && letter.attempts.length === 1);
    assert.match(letter.attempts[0]?.error ?? "", /broken for 7 seconds/);
    assert.deepEqual(letter.event?.data, { key: "bad", n: 0 });
    await assert.rejects(log.operator.redrive({}, { confirm: 2 }), { code: "CONFLICT" });
    broken = false;
    assert.deepEqual(await log.operator.redrive([letter.id], { confirm: 1 }), { redriven: 1 });
    await assert.rejects(log.operator.redrive([letter.id], { confirm: 1 }), { code: "NOT_FOUND" });
    await log.publish(order("bad", 3));
    assert.equal((await log.drain(app)).drained, true);
    assert.deepEqual(seen, ["good0", "bad0!", "bad1", "bad2", "bad3"]);
    assert.equal(keys.size, 4, "the redriven delivery kept its idempotency key");
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: a discard lets the next of the key go on, and is an event in the log`, async () => {
    const seen: number[] = [];
    const reader = defineSubscription("reader", { on: Order }, ({ data }) => {
      if (data.n === 0) throw new NonRetryable("never");
      seen.push(data.n);
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([order("a", 0), order("a", 1), order("a", 2)]);
    await log.drain(app);
    const [letter] = await Array.fromAsync(log.operator.deadLetters({ subscription: "reader" }));
    assert.equal(letter?.class, "non-retryable");
    await assert.rejects(log.operator.discard([letter?.id ?? ""], { reason: " " }), { code: "INVALID_OPTION" });
    await log.operator.discard([letter?.id ?? ""], { reason: "test order" });
    await log.drain(app);
    assert.deepEqual(seen, [1, 2]);
    const audits = (await Array.fromAsync(log.read())).filter((event) => event.type === "factlog.operator.discarded");
    assert.equal((audits[0]?.data as { reason: string } | undefined)?.reason, "test order");
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: "skip-event" lets the key go on past a dead letter`, async () => {
    const seen: number[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, onExhausted: "skip-event", retry: { attemptsMax: 2, backoff: [1] } },
      ({ data }) => {
        if (data.n === 1) throw new Error("no");
        seen.push(data.n);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([0, 1, 2, 3].map((n) => order("a", n)));
    while ((await log.drain(app)).waiting > 0);
    assert.deepEqual(seen, [0, 2, 3]);
    const [status] = await log.operator.status();
    assert.deepEqual([status?.dead, status?.held, status?.blockedKeys], [1, 0, 0]);
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: "stop" stops the subscription until the dead letter is mended`, async () => {
    let broken = true;
    const seen: number[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, order: "log", onExhausted: "stop", ...once },
      ({ data }) => {
        if (data.n === 1 && broken) throw new Error("no");
        seen.push(data.n);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([0, 1, 2].map((n) => order(`k${n}`, n)));
    assert.equal((await log.drain(app)).dead, 1);
    assert.equal((await log.operator.status())[0]?.state, "stopped");
    await log.publish(order("k3", 3));
    await log.drain(app);
    assert.deepEqual(seen, [0]);
    broken = false;
    await log.operator.redrive({ subscription: "reader" }, { confirm: 1 });
    await log.drain(app);
    assert.deepEqual(seen, [0, 1, 2, 3]);
    assert.equal((await log.operator.status())[0]?.state, "active");
    await log.close();
  });

  test(`${engine.name}: RetryAfter charges an attempt, Defer does not`, async () => {
    const attempts: string[] = [];
    let turns = 0;
    const reader = defineSubscription("reader", { on: Order, retry: { attemptsMax: 2 } }, ({ data }, ctx) => {
      attempts.push(`${data.key}${ctx.attempt}`);
      if (data.key === "defer" && ++turns < 5) throw new Defer(1);
      if (data.key === "retry") throw new RetryAfter("1ms");
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([order("defer", 0), order("retry", 0)]);
    while ((await log.drain(app)).waiting > 0);
    assert.deepEqual(
      attempts.filter((each) => each.startsWith("defer")),
      Array.from({ length: 5 }, () => "defer1"),
    );
    assert.deepEqual(
      attempts.filter((each) => each.startsWith("retry")),
      ["retry1", "retry2"],
    );
    await log.close();
  });

  test(`${engine.name}: whatever is thrown is stored safely`, async () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const huge = new Error("x");
    huge.stack = "y".repeat(10_000_000);
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("no");
        },
        getPrototypeOf: () => {
          throw new Error("no");
        },
      },
    );
    const secret = new Error(
      "postgres://u:pw@h/db with Bearer abcdef123456 and whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    const values: unknown[] = [null, undefined, circular, huge, hostile, 7, "text", Symbol("s"), secret];
    const reader = defineSubscription("reader", { on: Order, ...once }, ({ data }) => {
      throw values[data.n];
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll(values.map((_, n) => order(`k${n}`, n)));
    assert.equal((await log.drain(app)).dead, values.length);
    const letters = await Array.fromAsync(log.operator.deadLetters());
    const errors = letters.map((letter) => letter.attempts[0]?.error ?? "");
    assert.ok(errors.every((error) => error.length > 0 && Buffer.byteLength(error) <= 8_192));
    assert.ok(errors.some((error) => error.includes("postgres://u:***@h")));
    assert.ok(!errors.join().match(/:pw@|abcdef123456|MfKQ9r8/));
    await log.close();
  });

  test(`${engine.name}: what an attempt emits and writes exists only if it is done; what it announces stays`, async () => {
    const reader = defineSubscription(
      "reader",
      { on: Order, emits: [Done], retry: { backoff: [1] } },
      async ({ data }, ctx) => {
        ctx.emit(Done({ key: "emitted", n: ctx.attempt }));
        const announced = await ctx.announce(Done({ key: "announced", n: ctx.attempt }), { name: "progress" });
        assert.equal(announced.duplicate, ctx.attempt > 1);
        if (ctx.attempt < 3) throw new Error(`attempt ${ctx.attempt} of ${data.key}`);
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    const receipt = await log.publish(order("a", 0));
    while ((await log.drain(app)).waiting > 0);
    const facts = await Array.fromAsync(log.read({ on: Done }));
    assert.deepEqual(
      facts.map(({ data }) => [data.key, data.n]),
      [
        ["announced", 1],
        ["emitted", 3],
      ],
    );
    for (const each of facts)
      assert.deepEqual([each.causationId, each.correlationId], [receipt.id, receipt.correlationId]);
    await log.close();
  });

  test(`${engine.name}: emit refuses what is undeclared, invalid or too late, and that is the handler's failure`, async () => {
    const late = fact<() => void>();
    const reader = defineSubscription("reader", { on: Order, emits: [Done], ...once }, ({ data }, ctx) => {
      if (data.key === "undeclared") (ctx.emit as (event: unknown) => void)(Order(data));
      if (data.key === "invalid") ctx.emit(Done({ key: "x", n: "one" as unknown as number }));
      if (data.key === "late") late.tell(() => ctx.emit(Done(data)));
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publishAll([order("undeclared", 0), order("invalid", 0), order("late", 0)]);
    assert.equal((await log.drain(app)).dead, 2);
    const errors = (await Array.fromAsync(log.operator.deadLetters()))
      .map((letter) => letter.attempts[0]?.error)
      .join("\n");
    assert.match(errors, /reader does not declare Order/);
    assert.match(errors, /Done: n: /);
    assert.throws(await late.holds, { code: "EMIT_TOO_LATE" });
    await log.close();
  });

  test(`${engine.name}: a handler past its timeout is told, refused, and has failed when it returns`, async () => {
    const codes: unknown[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, emits: [Done], timeout: "20ms", ...once },
      async ({ data }, ctx) => {
        await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        codes.push((ctx.signal.reason as { code: string }).code);
        assert.throws(() => ctx.emit(Done(data)), { code: "EMIT_TOO_LATE" });
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publish(order("a", 0));
    assert.equal((await log.drain(app)).dead, 1);
    const [letter] = await Array.fromAsync(log.operator.deadLetters());
    assert.equal(letter?.class, "timeout");
    assert.deepEqual(codes, ["HANDLER_TIMEOUT"]);
    await log.close();
  });

  test(`${engine.name}: the signal aborts with SETTLED after success`, async () => {
    const given = fact<AbortSignal>();
    const reader = defineSubscription("reader", { on: Order }, (_event, ctx) => given.tell(ctx.signal));
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publish(order("a", 0));
    await log.drain(app);
    assert.equal(((await given.holds).reason as { code: string }).code, "SETTLED");
    await log.close();
  });

  test(`${engine.name}: a long delivery is detached: its slot goes on, its key waits, its end is recorded`, async () => {
    const go = fact();
    const seen: string[] = [];
    const reader = defineSubscription("reader", { on: Order, emits: [Done], timeout: "10h" }, async ({ data }, ctx) => {
      if (data.key === "long" && data.n === 0) await go.holds;
      seen.push(`${data.key}${data.n}`);
      ctx.emit(Done(data));
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh(), { env: fastEnv(100) });
    const worker = await log.work(app);
    await log.publishAll([order("long", 0), order("long", 1), order("other", 0)]);
    const status = async (): Promise<string> => {
      const [each] = await log.operator.status();
      return `${each?.pending} ${each?.inFlight} ${each?.held}`;
    };
    await eventually(
      "the long delivery has a row, the next of its key is held, nothing is pending",
      async () => (await status()).match(/^0 \d 1$/) !== null,
    );
    await log.publish(order("long", 2));
    await eventually("the third is held as well", async () => (await status()).endsWith("2"));
    go.tell();
    await eventually("all have run", () => seen.length === 4);
    await worker.stop();
    assert.deepEqual(seen, ["other0", "long0", "long1", "long2"]);
    assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 4);
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: a newer version of an event waits for a deployment, uncharged`, async () => {
    const schema = z.object({ key: z.string(), n: z.number() });
    const newer = defineEvent("Order", {
      schema,
      key: (each) => each.key,
      version: 2,
      upcasts: [upcast(1, schema, (old) => old)],
    });
    const reader = defineSubscription("reader", { on: Order, ...once }, () => {});
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publish(newer({ key: "a", n: 1 }));
    const summary = await log.drain(app);
    assert.deepEqual([summary.dead, summary.waiting], [0, 1]);
    await log.close();
  });
}

test("sqlite: a row written by ctx.write exists exactly once, and a refused statement fails its delivery alone", async () => {
  const file = freshFile();
  const reader = defineSubscription(
    "reader",
    { on: Order, retry: { attemptsMax: 2, backoff: [1] } },
    ({ data }, ctx) => {
      ctx.write(sql`insert into shipped (key, n) values (${data.key}, ${data.key === "bad" ? null : data.n})`);
    },
  );
  const app = defineApp({ name: "t", subscriptions: [reader] });
  const log = await open(`sqlite:${file}`);
  const make = defineSubscription("make", { on: Done }, (_event, ctx) =>
    ctx.write(sql`create table if not exists shipped (key text, n integer not null)`),
  );
  const setup = defineApp({ name: "t", subscriptions: [make] });
  await log.drain(setup);
  await log.publish(Done({ key: "x", n: 0 }));
  await log.drain(setup);
  await log.drain(app);
  await log.publishAll(Array.from({ length: 100 }, (_, n) => order(n === 50 ? "bad" : `k${n}`, n)));
  while ((await log.drain(app)).waiting > 0);
  const [letter, ...others] = await Array.fromAsync(log.operator.deadLetters());
  assert.equal(others.length, 0);
  assert.match(letter?.attempts[1]?.error ?? "", /NOT NULL/);
  await log.close();
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare("select count(*) all_rows, count(distinct key) keys from shipped").get();
  assert.deepEqual({ ...rows }, { all_rows: 99, keys: 99 });
  database.close();
});

test("sqlite: an event whose bytes were changed on disk never reaches a handler: it is dead, class schema", async () => {
  const file = freshFile();
  const seen: number[] = [];
  const reader = defineSubscription("reader", { on: Order, from: "beginning" }, ({ data }) => void seen.push(data.n));
  const app = defineApp({ name: "t", subscriptions: [reader] });
  const log = await open(`sqlite:${file}`);
  await log.publishAll([order("a", 1), order("b", 2)]);
  await log.close();
  const database = new DatabaseSync(file);
  const table = database
    .prepare("select name from sqlite_schema where type = 'table' and name like '%event' order by length(name) limit 1")
    .get() as { name: string };
  database.exec(`update "${table.name}" set data = replace(data, '2', '3')`);
  database.close();
  const again = await open(`sqlite:${file}`);
  assert.equal((await again.drain(app)).dead, 1);
  assert.deepEqual(seen, [1]);
  const [letter] = await Array.fromAsync(again.operator.deadLetters());
  assert.equal(letter?.class, "schema");
  await again.close();
});
