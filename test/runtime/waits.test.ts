import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignLog, pairing } from "../../src/conformance/foreign-log.ts";
import { memory } from "../../src/engines/memory/index.ts";
import type { HandlerContext, Subscription } from "../../src/index.ts";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { testLog } from "../../src/testing/index.ts";
import { Done, engines, eventually, open, Order } from "./support.ts";

type Handler = (event: { readonly data: { readonly key: string; readonly n: number } }, ctx: HandlerContext) => unknown;
const reader = (handler: Handler, options: object = {}): Subscription =>
  defineSubscription("reader", { on: Order, from: "beginning", ...options }, handler);
const appOf = (...subscriptions: Subscription[]) => defineApp({ name: "t", events: [Order, Done], subscriptions });

test("sleep: the run is left, holds nothing, and starts again from the top at its time", async () => {
  const seen: string[] = [];
  let reason: unknown;
  const app = appOf(
    reader(async (_, ctx) => {
      seen.push("top");
      ctx.signal.addEventListener("abort", () => (reason ??= (ctx.signal.reason as { code: string }).code));
      try {
        await ctx.step("before", () => void seen.push("before"));
        await ctx.sleep("night", "8h");
        seen.push(`after, attempt ${ctx.attempt}`);
      } finally {
        seen.push("finally");
      }
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("7h");
  assert.deepEqual([seen, reason], [["top", "before"], "SUSPENDED"]);
  const [status] = await log.operator.status();
  assert.deepEqual([status?.waiting, status?.inFlight, status?.retrying, status?.depth], [1, 0, 0, 1]);
  await log.advance("1h");
  assert.deepEqual(seen, ["top", "before", "top", "after, attempt 1", "finally"]);
});

test("sleep: several sleeps come one after the other", async () => {
  let tops = 0;
  const app = appOf(
    reader(async (_, ctx) => {
      tops++;
      await ctx.sleep("moment", "1s");
      await ctx.sleep("hour", "1h");
      await ctx.sleep("hour", "1h");
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("2h");
  assert.deepEqual([(await log.operator.status())[0]?.closed, tops], [0, 3]);
  await log.advance("1s");
  assert.deepEqual([(await log.operator.status())[0]?.closed, tops], [1, 4]);
});

test("a parallel step ends before the run is left, and is remembered", async () => {
  const runs: string[] = [];
  const app = appOf(
    reader(async (_, ctx) => {
      await Promise.all([
        ctx.sleep("day", "24h"),
        (async () => {
          await ctx.step("a", async () => {
            await new Promise((resolve) => setImmediate(resolve));
            runs.push("a");
          });
          await ctx.step("b", () => void runs.push("b"));
        })(),
      ]);
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("1h");
  assert.deepEqual(runs, ["a", "b"]);
  await log.advance("24h");
  assert.deepEqual([runs, (await log.operator.status())[0]?.closed], [["a", "b"], 1]);
});

test("onWait: later events of a key wait behind a sleeper, or pass it; never do two of a key run at once", async () => {
  for (const onWait of ["hold-key", "release-key"] as const) {
    const seen: string[] = [];
    let running = 0;
    const app = appOf(
      reader(
        async ({ data }, ctx) => {
          assert.equal(++running, 1);
          await Promise.resolve();
          running--;
          if (data.n === 1) await ctx.sleep("hour", "1h");
          seen.push(`${data.key}${data.n}`);
        },
        { onWait },
      ),
    );
    await using log = await testLog(app);
    await log.publishAll([Order({ key: "k", n: 1 }), Order({ key: "k", n: 2 }), Order({ key: "k", n: 3 })]);
    await log.settled();
    assert.deepEqual(seen, onWait === "hold-key" ? [] : ["k2", "k3"]);
    await log.advance("2h");
    assert.deepEqual(seen, onWait === "hold-key" ? ["k1", "k2", "k3"] : ["k2", "k3", "k1"]);
  }
});

for (const { name, fresh } of engines) {
  test(`${name}: waitFor finds the first fact of its key behind the delivered event, wherever it came`, async () => {
    const found: unknown[] = [];
    const app = appOf(
      reader(async (event, ctx) => {
        const done = await ctx.waitFor("done", Done, {
          key: event.data.key,
          where: ({ data }) => data.n > 10,
          timeout: "1h",
        });
        found.push(`${event.data.key} ${done?.data.n}`);
      }),
    );
    const log = await open(fresh());
    await log.publish(Done({ key: "early", n: 99 }));
    await log.publish(Order({ key: "early", n: 1 }));
    await log.publishAll([Done({ key: "early", n: 5 }), Done({ key: "other", n: 11 }), Done({ key: "early", n: 12 })]);
    const worker = await log.work(app);
    await log.publish(Order({ key: "late", n: 1 }));
    await eventually("the early one has its fact", () => found.length === 1);
    await log.publish(Done({ key: "late", n: 1 }));
    await log.publish(Done({ key: "late", n: 20 }));
    await log.publish(Done({ key: "late", n: 21 }));
    await eventually("the late one has its fact", () => found.length === 2);
    assert.deepEqual(found, ["early 12", "late 20"]);
    await worker.stop();
    await log.close();
  });
}

test("waitFor: null when the time is up; a fact that came in time counts though nobody had told of it", async () => {
  const found: unknown[] = [];
  const app = appOf(
    reader(async (event, ctx) => {
      const done = await ctx.waitFor("done", [Done], { key: event.data.key, timeout: "24h" });
      found.push(`${event.data.key} ${done === null ? "none" : done.type}`);
    }),
  );
  await using log = await testLog(app);
  await log.publishAll([Order({ key: "a", n: 1 }), Order({ key: "b", n: 1 })]);
  await log.advance("23h");
  await log.publish(Done({ key: "a", n: 1 }));
  await log.advance("30m");
  assert.deepEqual(found, ["a Done"]);
  await log.advance("1h");
  assert.deepEqual(found, ["a Done", "b none"]);
  assert.equal((await log.operator.status())[0]?.waiting, 0);
});

test("waitFor again under one name: each finds the next fact", async () => {
  const found: (number | undefined)[] = [];
  const app = appOf(
    reader(async (event, ctx) => {
      for (let i = 0; i < 3; i++) {
        const done = await ctx.waitFor("done", Done, { key: event.data.key, timeout: "1h" });
        if (ctx.attempt === 1 && found.length < 3) found[i] = done?.data.n;
      }
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 0 }));
  for (const n of [1, 2, 3]) {
    await log.publish(Done({ key: "k", n }));
    await log.settled();
  }
  assert.deepEqual(found, [1, 2, 3]);
});

test("a race of waits: what lost is awaited no longer", async () => {
  let winner: unknown;
  const app = appOf(
    reader(async (event, ctx) => {
      winner = await Promise.race([
        ctx.waitFor("done", Done, { key: event.data.key, timeout: "48h" }).then(() => "fact"),
        ctx.sleep("day", "24h").then(() => "time"),
      ]);
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("25h");
  assert.equal(winner, "time");
  await log.publish(Done({ key: "k", n: 1 }));
  await log.advance("30h");
  assert.equal((await log.operator.status())[0]?.closed, 1);
});

test("approval: answered, rejected, expired; a second answer is a conflict", async () => {
  const answers: string[] = [];
  const app = appOf(
    reader(async (event, ctx) => {
      const answer = await ctx.approval("refund", {
        summary: `refund ${event.data.key}?`,
        details: { n: 1 },
        timeout: "24h",
      });
      answers.push(
        `${event.data.key} ${answer.approved ? `yes by ${answer.by}` : answer.reason} ${answer.comment ?? "-"}`,
      );
    }),
  );
  await using log = await testLog(app);
  await log.publishAll(["a", "b", "c"].map((key) => Order({ key, n: 1 })));
  await log.settled();
  const asked = await Array.fromAsync(log.operator.approvals());
  assert.deepEqual(asked.map(({ summary }) => summary).toSorted(), ["refund a?", "refund b?", "refund c?"]);
  const of = (key: string) => asked.find(({ summary }) => summary === `refund ${key}?`)!;
  assert.deepEqual([of("a").subscription, of("a").step, of("a").details], ["reader", "refund", { n: 1 }]);
  assert.equal(of("a").expiresAt?.getTime(), Date.UTC(2026, 0, 2));
  await log.operator.answer(of("a").id, { approved: true, by: "ada", comment: "fine" });
  await log.operator.answer(of("b").id, { approved: false, by: "bob" });
  await log.settled();
  await assert.rejects(log.operator.answer(of("a").id, { approved: false, by: "eve" }), { code: "CONFLICT" });
  await log.advance("25h");
  await assert.rejects(log.operator.answer(of("c").id, { approved: true, by: "eve" }), { code: /CONFLICT|NOT_FOUND/ });
  await assert.rejects(log.operator.answer("nonsense", { approved: true, by: "eve" }), { code: "NOT_FOUND" });
  assert.deepEqual(answers, ["a yes by ada fine", "b rejected -", "c expired -"]);
  assert.equal((await log.events()).filter(({ type }) => type === "factlog.operator.answered").length, 2);
});

test("a wait inside try, catch and finally is no exception", async () => {
  const seen: string[] = [];
  const app = appOf(
    reader(async (_, ctx) => {
      try {
        const answer = await ctx.approval("ok", { summary: "ok?" });
        seen.push(String(answer.approved));
      } catch {
        seen.push("caught");
      } finally {
        seen.push("finally");
      }
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("1h");
  assert.deepEqual(seen, []);
  const [asked] = await Array.fromAsync(log.operator.approvals());
  await log.operator.answer(asked!.id, { approved: true, by: "ada" });
  await log.settled();
  assert.deepEqual(seen, ["true", "finally"]);
});

test("waitFor needs a log with one order", async () => {
  const codes: string[] = [];
  const app = appOf(
    reader(async (event, ctx) => {
      await ctx
        .waitFor("done", Done, { key: event.data.key, timeout: "1h" })
        .catch((error: { code: string }) => codes.push(error.code));
    }),
  );
  const log = await open(pairing(foreignLog({ slots: 4 }), memory({ slots: 4 })));
  await log.drain(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.drain(app);
  assert.deepEqual(codes, ["NOT_SUPPORTED"]);
  await log.close();
});

test("ten thousand sleepers hold no place in flight", async () => {
  const app = appOf(
    reader(async (_, ctx) => {
      await ctx.sleep("day", "24h");
    }),
  );
  await using log = await testLog(app);
  for (let n = 0; n < 10; n++) {
    await log.publishAll(Array.from({ length: 100 }, (_, i) => Order({ key: `k${n}-${i}`, n })));
    await log.settled();
  }
  const [status] = await log.operator.status();
  assert.deepEqual([status?.waiting, status?.inFlight], [1_000, 0]);
  await log.advance("25h");
  assert.equal((await log.operator.status())[0]?.closed, 1_000);
});
