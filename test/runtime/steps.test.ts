import assert from "node:assert/strict";
import { test } from "node:test";
import { appSpecOf } from "../../src/app/app.ts";
import { memory } from "../../src/engines/memory/index.ts";
import type { HandlerContext, Subscription } from "../../src/index.ts";
import { currentStep, defineApp, defineSubscription, NonRetryable } from "../../src/index.ts";
import { testLog } from "../../src/testing/index.ts";
import { openTestLog } from "../../src/testing/test-log.ts";
import { VirtualEnv } from "../../src/testing/virtual-env.ts";
import { anotherProcess, Done, engines, eventually, open, Order } from "./support.ts";

type Handler = (event: { readonly data: { readonly key: string; readonly n: number } }, ctx: HandlerContext) => unknown;
const reader = (handler: Handler, options: object = {}): Subscription =>
  defineSubscription(
    "reader",
    { on: Order, emits: [Done], from: "beginning", retry: { backoff: ["1s"], attemptsMax: 4 }, ...options },
    handler,
  );
const appOf = (...subscriptions: Subscription[]) => defineApp({ name: "t", events: [Order, Done], subscriptions });

for (const { name, fresh } of engines) {
  test(`${name}: a step that is done is not run again by a later attempt; its value is the JSON round trip, the first time too`, async () => {
    const runs: string[] = [];
    const seen: unknown[] = [];
    const app = appOf(
      reader(
        async (_, ctx) => {
          const value = await ctx.step("a", () => (runs.push("a"), { at: new Date(0), n: 1, none: undefined }));
          const nothing = await ctx.step("b", () => void runs.push("b"));
          seen.push(value, nothing);
          if (ctx.attempt < 3) throw new Error("once more");
          ctx.emit(Done({ key: "k", n: value.n }));
        },
        { retry: { backoff: [1], attemptsMax: 4 } },
      ),
    );
    const log = await open(fresh());
    await log.publish(Order({ key: "k", n: 1 }));
    while ((await log.drain(app)).waiting > 0);
    assert.deepEqual(runs, ["a", "b"]);
    const once = [{ at: "1970-01-01T00:00:00.000Z", n: 1 }, undefined];
    assert.deepEqual(seen, [...once, ...once, ...once]);
    assert.equal((await Array.fromAsync(log.read({ on: Done }))).length, 1);
    await log.close();
  });

  test(`${name}: a worker that dies in a step leaves what is recorded to the next; nothing recorded runs again`, async () => {
    const runs: string[] = [];
    const stuck = Promise.withResolvers<void>();
    const handler: Handler = async (_, ctx) => {
      await ctx.step("first", () => void runs.push("first"));
      await ctx.step("second", async ({ attempt, idempotencyKey }) => {
        runs.push(`second ${attempt} ${idempotencyKey.length}`);
        if (attempt > 1) return;
        stuck.resolve();
        await new Promise(() => {});
      });
    };
    const store = fresh();
    const dying = await open(store, { env: anotherProcess(), lease: "1s" });
    const worker = await dying.work(appOf(reader(handler)));
    await dying.publish(Order({ key: "k", n: 1 }));
    await stuck.promise;
    // Handed back uncharged, as in a shutdown: the handler never returns.
    await worker.stop({ grace: 0 });
    const log = await open(store, { env: anotherProcess(), lease: "1s" });
    const next = await log.work(appOf(reader(handler)));
    await eventually("the second run of the step", () => runs.length === 3);
    await next.stop();
    assert.deepEqual(runs, ["first", "second 1 32", "second 2 32"]);
    await log.close();
    await dying.close();
  });
}

test("a step that failed runs again with the next attempt; one whose crash left it begun follows onAmbiguous", async () => {
  const runs: string[] = [];
  const app = appOf(
    reader(async (_, ctx) => {
      await ctx.step(
        "a",
        () => {
          runs.push(`a${ctx.attempt}`);
          if (ctx.attempt === 1) throw new Error("down");
        },
        { onAmbiguous: "fail" },
      );
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.settled();
  await log.advance("1s");
  assert.deepEqual(runs, ["a1", "a2"]);
  assert.deepEqual(await log.deadLetters(), []);
});

/** A run that dies inside a step, then another process with the same handler. */
async function afterDeath(handler: (ctx: HandlerContext, life: number) => Promise<unknown>) {
  const store = memory();
  let life = 1;
  const app = appSpecOf(
    appOf(
      reader(async (_, ctx) => {
        await handler(ctx, life);
      }),
    ),
  );
  const env = new VirtualEnv();
  const first = await openTestLog(app, store, env);
  await first.publish(Order({ key: "k", n: 1 }));
  void first.settled().catch(() => {});
  await eventually("the first life is in its step", () => inStep);
  env.kill();
  life = 2;
  const clock = new VirtualEnv(env.now());
  const second = await openTestLog(app, store, clock);
  // The dead one's lease runs out, and its running row is due again.
  for (let i = 0; i < 60; i++) await clock.advance(1_000);
  await second.settled();
  return second;
}
let inStep = false;
const hang = async (): Promise<never> => {
  inStep = true;
  return new Promise<never>(() => {});
};

test("onAmbiguous fail: the delivery is a dead letter that says why", async () => {
  inStep = false;
  await using log = await afterDeath((ctx, life) =>
    ctx.step("refund", () => (life === 1 ? hang() : "again"), { onAmbiguous: "fail" }),
  );
  const [letter] = await log.deadLetters();
  assert.match(letter?.attempts.at(-1)?.error ?? "", /step refund was begun when its process died/);
});

test("onAmbiguous ask: a person decides whether it runs again", async () => {
  inStep = false;
  const runs: number[] = [];
  const step = (ctx: HandlerContext, life: number): Promise<unknown> =>
    ctx.step("refund", () => (runs.push(life), life === 1 ? hang() : "again"), { onAmbiguous: "ask" });
  await using log = await afterDeath(step);
  const [asked] = await Array.fromAsync(log.operator.approvals());
  assert.match(asked?.summary ?? "", /step refund was begun .* Run it again\?/);
  await log.operator.answer(asked!.id, { approved: true, by: "ada" });
  await log.advance("1s");
  assert.deepEqual(runs, [1, 2]);
  assert.deepEqual(await log.deadLetters(), []);
});

test("steps have names: one at a time, numbered when they come again, within the step they are in", async () => {
  const seen: unknown[] = [];
  const app = appOf(
    reader(async (_, ctx) => {
      for (const value of [1, 2]) seen.push(await ctx.step("again", () => value));
      seen.push(await ctx.step("outer", () => ctx.step("again", () => 3)));
      const both = await Promise.allSettled([ctx.step("twin", () => 1), ctx.step("twin", () => 2)]);
      seen.push(
        both.map((each) => (each.status === "fulfilled" ? each.value : (each.reason as { code: string }).code)),
      );
      seen.push(...(await Promise.all(["x", "y"].map((name) => ctx.step(name, () => name)))));
      for (const bad of ["", "a/b", "a#2", "a\n", 7])
        await assert.rejects(
          ctx.step(bad as string, () => 1),
          { code: "INVALID_OPTION" },
        );
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.settled();
  assert.deepEqual(seen, [1, 2, 3, [1, "STEP_NAME_TAKEN"], "x", "y"]);
  assert.deepEqual(await log.deadLetters(), []);
});

test("what belongs to the whole delivery is refused inside a step; currentStep is the step", async () => {
  const codes: unknown[] = [];
  const attempt = async (act: () => unknown): Promise<void> => {
    try {
      await act();
      codes.push("fine");
    } catch (error) {
      codes.push((error as { code?: string }).code);
    }
  };
  const app = appOf(
    reader(async (_, ctx) => {
      await attempt(() => currentStep());
      await ctx.step("a", async (step) => {
        assert.equal(currentStep(), step);
        await attempt(() => ctx.emit(Done({ key: "k", n: 1 })));
        await attempt(() => ctx.sleep("nap", "1h"));
        await attempt(() => ctx.announce(Done({ key: "k", n: 2 })));
      });
      await attempt(() => ctx.step("big", () => 1n));
      await attempt(() => ctx.step("late", () => new Promise(() => {}), { timeout: 1 }));
      await attempt(() => ctx.step("odd", () => 1, { onAmbiguous: "hope" as "ask" }));
      await attempt(() => ctx.sleep("never", new Date(Number.NaN)));
    }),
  );
  const log = await open(memory());
  await log.publish(Order({ key: "k", n: 1 }));
  await log.drain(app);
  assert.deepEqual(codes, [
    "NOT_IN_STEP",
    "EMIT_IN_STEP",
    "WAIT_IN_STEP",
    "fine",
    "STEP_INVALID",
    "STEP_TIMEOUT",
    "INVALID_OPTION",
    "INVALID_OPTION",
  ]);
  await log.close();
});

test("a step may be tried several times within one attempt, but for what is not retryable", async () => {
  const runs: string[] = [];
  const app = appOf(
    reader(async ({ data }, ctx) => {
      await ctx.step(
        "flaky",
        ({ attempt }) => {
          runs.push(`${data.key}${attempt}`);
          if (data.key === "hopeless") throw new NonRetryable("no");
          if (attempt < 3) throw new Error("down");
        },
        { retry: { attemptsMax: 3, backoff: [1] } },
      );
    }),
  );
  const log = await open(memory());
  await log.publishAll([Order({ key: "fine", n: 1 }), Order({ key: "hopeless", n: 2 })]);
  while ((await log.drain(app)).waiting > 0);
  assert.deepEqual(runs.toSorted(), ["fine1", "fine2", "fine3", "hopeless1"]);
  await log.close();
});

test("another version of a step forgets what the older one remembered", async () => {
  const runs: number[] = [];
  const app = appOf(
    reader(async (_, ctx) => {
      await ctx.step("a", () => void runs.push(ctx.attempt), { version: ctx.attempt });
      if (ctx.attempt < 2) throw new Error("once more");
    }),
  );
  await using log = await testLog(app);
  await log.publish(Order({ key: "k", n: 1 }));
  await log.advance("2s");
  assert.deepEqual(runs, [1, 2]);
});
