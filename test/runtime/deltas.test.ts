/** What handlers show, and what becomes of deliveries, as those see it who follow a correlation. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { defineApp, defineSubscription, type Frame, type HandlerContext, type RecordedEvent } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { Deltas } from "../../src/runtime/deltas.ts";
import { VirtualEnv } from "../../src/testing/virtual-env.ts";
import { Done, engines, eventually, fact, freshFile, open, Order } from "./support.ts";

const appWith = (handler: (ctx: HandlerContext, n: number) => unknown, options: object = {}) =>
  defineApp({
    name: "t",
    events: [Order, Done],
    subscriptions: [
      defineSubscription(
        "shows",
        { on: Order, from: "beginning", retry: { attemptsMax: 1 }, ...options },
        (event, ctx) => handler(ctx, event.data.n),
      ),
    ],
  });

const shape = (frame: Frame<RecordedEvent>): string => {
  if (frame.kind === "event") return frame.event.type;
  if (frame.kind === "delta") return `${frame.subscription} shows ${frame.text}`;
  return frame.kind === "delivery" ? `${frame.status} ${frame.reason}` : `end ${frame.status}`;
};

const textOf = (frames: readonly Frame<RecordedEvent>[]): string =>
  frames.flatMap((frame) => (frame.kind === "delta" ? [frame.text] : [])).join("");

for (const { name, fresh } of engines) {
  test(`${name}: text is shown to followers in this process and in another one, to those of the correlation alone, and is kept nowhere`, async () => {
    const store = fresh();
    const [log, other] = [await open(store), await open(store)];
    const go = fact();
    const app = appWith(async (ctx, n) => {
      await go.holds;
      for (const text of ["one ", "two ", `of ${n}`]) ctx.delta(text);
    });
    const [receipt, second] = await log.publishAll([Order({ key: "a", n: 1 }), Order({ key: "b", n: 2 })]);
    const worker = await log.work(app);
    const follow = async (of: typeof log, correlationId: string, seen: string[]): Promise<void> => {
      for await (const frame of of.follow({ correlationId })) seen.push(shape(frame));
    };
    const [here, there, neighbour, late]: string[][] = [[], [], [], []];
    const ends = [
      follow(log, receipt!.correlationId, here!),
      follow(other, receipt!.correlationId, there!),
      follow(other, second!.correlationId, neighbour!),
    ];
    await eventually("all follow", () => [here, there, neighbour].every((seen) => seen?.length === 1));
    go.tell();
    await Promise.all(ends);
    const all = ["Order", "shows shows one two of 1", "end settled"];
    assert.deepEqual(here, all);
    // Others hear it a little later, and it may be too late for them: never in two, and never something else.
    assert.deepEqual(
      there?.filter((each) => !each.startsWith("shows")),
      ["Order", "end settled"],
    );
    assert.deepEqual(
      neighbour?.filter((each) => each.includes("of 1")),
      [],
    );
    await follow(other, receipt!.correlationId, late!);
    assert.deepEqual(late, ["Order", "end settled"]);
    await worker.stop();
    await Promise.all([log.close(), other.close()]);
  });

  test(`${name}: a handler that goes on is seen from another process`, async () => {
    const store = fresh();
    const [log, other] = [await open(store), await open(store)];
    const heard = fact();
    // Text of every script, what would break a line or a frame, and more than one notification carries.
    const whole = `\n\ndata: {"kind":"end"}\r\nevent: end\n\u0000 é 😀${"x".repeat(9_000)}`;
    const go = fact();
    const app = appWith(async (ctx) => {
      await go.holds;
      ctx.delta(whole);
      await heard.holds;
    });
    const worker = await log.work(app);
    const receipt = await log.publish(Order({ key: "a", n: 1 }));
    const seen: Frame<RecordedEvent>[] = [];
    const following = (async () => {
      for await (const frame of other.follow({ correlationId: receipt.correlationId })) {
        seen.push(frame);
        if (textOf(seen).length >= whole.length) heard.tell();
      }
    })();
    await eventually("it follows", () => seen.length === 1);
    go.tell();
    await following;
    assert.ok(textOf(seen) === whole);
    assert.ok(seen.every((frame) => frame.kind !== "delta" || frame.eventId === receipt.id));
    assert.equal(seen.at(-1)?.kind, "end");
    await worker.stop();
    await Promise.all([log.close(), other.close()]);
  });

  test(`${name}: a delivery waits for a person, then for a fact, goes on, and dies: each is told once`, async () => {
    const log = await open(fresh());
    const app = appWith(async (ctx) => {
      await ctx.approval("ask", { summary: "May it?" });
      await ctx.waitFor("paid", Done, { key: "a", timeout: "1h" });
      throw new Error("no use");
    });
    const receipt = await log.publish(Order({ key: "a", n: 1 }));
    const worker = await log.work(app);
    const seen: string[] = [];
    for await (const frame of log.follow({ correlationId: receipt.correlationId })) {
      seen.push(shape(frame));
      if (frame.kind !== "delivery") continue;
      if (frame.reason.startsWith("approval:")) {
        const [asked] = await Array.fromAsync(log.operator.approvals());
        await log.operator.answer(asked!.id, { approved: true, by: "ada" });
      }
      if (frame.reason.startsWith("event:")) await log.publish(Done({ key: "a", n: 1 }));
    }
    const dead = /^dead shows:\d+\.\d+\.\d+: Error: no use$/u;
    // Whether it is seen between two waits is a matter of time.
    const told = seen.filter((each) => !each.startsWith("resumed"));
    assert.deepEqual(
      told.map((each) => (dead.test(each) ? "dead" : each)),
      ["Order", "waiting approval: May it?", "waiting event: Done", "dead", "end dead"],
    );
    await worker.stop();
    await log.close();
  });
}

test("a sleep is told with its end, and that it is over", async () => {
  const log = await open(sqlite(`sqlite:${freshFile()}`));
  const woken = fact();
  const app = appWith(async (ctx) => {
    await ctx.approval("ask", { summary: "May it?" });
    await woken.holds;
  });
  const receipt = await log.publish(Order({ key: "a", n: 1 }));
  const worker = await log.work(app);
  const seen: string[] = [];
  for await (const frame of log.follow({ correlationId: receipt.correlationId })) {
    seen.push(shape(frame));
    if (frame.kind !== "delivery") continue;
    if (frame.status === "resumed") woken.tell();
    else {
      const [asked] = await Array.fromAsync(log.operator.approvals());
      await log.operator.answer(asked!.id, { approved: true, by: "ada" });
    }
  }
  assert.deepEqual(seen, ["Order", "waiting approval: May it?", "resumed what it waited for is over", "end settled"]);
  await worker.stop();
  await log.close();
});

test("what is no text, and what comes too late, is refused", async () => {
  const codes: unknown[] = [];
  const code = (act: () => void): void => {
    try {
      codes.push(act());
    } catch (error) {
      codes.push((error as { readonly code?: string }).code);
    }
  };
  const log = await open("memory:");
  let kept: HandlerContext | undefined;
  const app = appWith((ctx) => {
    kept = ctx;
    code(() => ctx.delta(7 as never));
    code(() => ctx.delta(""));
  });
  await log.publish(Order({ key: "a", n: 1 }));
  await log.drain(app);
  code(() => kept?.delta("late"));
  assert.deepEqual(codes, ["INVALID_OPTION", undefined, "EMIT_TOO_LATE"]);
  await log.close();
});

test("text is gathered for 100 ms; of a flood the newest is told, and no reader holds more than its bound", async () => {
  const env = new VirtualEnv();
  const told: number[] = [];
  const deltas = new Deltas(env, { tell: (each) => void told.push(each.length), listen: () => () => {} });
  const delta = { correlationId: "c", subscription: "s", key: undefined, group: undefined };
  const heard: string[] = [];
  const leave = deltas.listen(({ text }) => void heard.push(text));
  for (let i = 0; i < 10_000; i++) deltas.add({ ...delta, eventId: "e", text: `😀😀${i} ` });
  assert.equal(heard.length, 0);
  await env.advance(limits.deltaEveryMs);
  assert.equal(heard.length, 1);
  const [text = ""] = [...heard];
  assert.ok(text.length <= limits.deltaCharsMax && text.endsWith("9999 ") && text.isWellFormed());
  for (let i = 0; i < 2 * limits.deltasWaitingMax; i++) deltas.add({ ...delta, eventId: `e-${i}`, text: "x" });
  deltas.flush();
  assert.deepEqual(told, [1, limits.deltasWaitingMax]);
  leave();
  deltas.add({ ...delta, eventId: "e", text: "nobody" });
  deltas.flush();
  assert.equal(heard.length, 1 + limits.deltasWaitingMax);
});

test("sqlite: the file between processes has a bound, and is empty when the log is closed", async () => {
  const file = freshFile();
  const log = await open(sqlite(`sqlite:${file}`));
  const sizes: number[] = [];
  const app = appWith(
    (ctx) => {
      ctx.delta("x".repeat(limits.deltaCharsMax));
      if (sizes.push(0) % 20 === 0) sizes[sizes.length - 1] = statSync(`${file}-deltas`).size;
    },
    { concurrency: 1 },
  );
  await log.publishAll(Array.from({ length: 200 }, (_, n) => Order({ key: `${n}`, n })));
  await log.drain(app);
  assert.ok(Math.max(...sizes) > 100_000 && Math.max(...sizes) <= limits.deltaFileBytesMax, `${Math.max(...sizes)}`);
  await log.close();
  assert.equal(statSync(`${file}-deltas`).size, 0);
});
