/** Redrives of many dead letters as jobs: frozen, in order, at a rate, cancelled, gone on with by another process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription, type Log, NonRetryable } from "../../src/index.ts";
import { engines, eventually, fastEnv, open, Order, unwell } from "./support.ts";

const keys = ["a", "b", "c"];
/** Three keys of four dead letters each, none of which holds its key; and what mends them. */
async function desk(engine: Parameters<typeof open>[0], options?: Parameters<typeof open>[1]) {
  const log = await open(engine, options);
  const ran: string[] = [];
  const broken = new Set(["all"]);
  const s = defineSubscription(
    "s",
    { on: Order, from: "beginning", onExhausted: "skip-event" },
    ({ key, data }, ctx) => {
      const name = `${key}${data.n}`;
      if (broken.has("all") || broken.has(name)) throw new NonRetryable("broken");
      ran.push(`${name}${ctx.mode === "redrive" ? "" : "!"}`);
    },
  );
  const app = defineApp({ name: "t", events: [Order], subscriptions: [s] });
  for (const n of [1, 2, 3, 4]) for (const key of keys) await log.publish(Order({ key, n }));
  await log.drain(app);
  broken.delete("all");
  return { log, app, ran, broken };
}
const actsOf = async (log: Log): Promise<Record<string, number>> => {
  const acts: Record<string, number> = {};
  for await (const { type } of log.read())
    if (type.startsWith("factlog.operator.")) acts[type.slice(17)] = (acts[type.slice(17)] ?? 0) + 1;
  return acts;
};

for (const { name, fresh } of engines) {
  test(`${name}: a job redrives what was frozen, each key in the order of the log; what fails again is dead again`, async () => {
    const { log, app, ran, broken } = await desk(fresh());
    await using _ = log;
    const plan = await log.operator.redrives.plan({ subscription: "s" });
    assert.deepEqual(plan, {
      deadLetters: 12,
      keys: keys
        .map((key) => ({ subscription: "s", key, deadLetters: 4, blocksKey: false }))
        .toSorted((x, y) => plan.keys.findIndex((k) => k.key === x.key) - plan.keys.findIndex((k) => k.key === y.key)),
    });
    await assert.rejects(log.operator.redrives.start({}, { confirm: 11 }), { code: "CONFLICT", message: /12 dead/ });
    await assert.rejects(log.operator.redrives.start({}, { confirm: 12, ratePerSecond: 0 }), {
      code: "INVALID_OPTION",
    });
    const job = await log.operator.redrives.start({ subscription: "s" }, { confirm: 12 });
    assert.deepEqual({ state: job.state, total: job.total, left: job.left }, { state: "running", total: 12, left: 12 });
    await assert.rejects(log.operator.redrives.start({ key: "a" }, { confirm: 4 }), { code: "CONFLICT" });
    // One is discarded meanwhile, one comes to be after the freeze, one fails again.
    const [first] = await Array.fromAsync(log.operator.deadLetters({ key: "b" }));
    await log.operator.discard([first!.id], { reason: "by phone" });
    broken.add("a2").add("d1");
    await log.publish(Order({ key: "d", n: 1 }));
    await log.drain(app);
    const of = (key: string): readonly string[] => ran.filter((each) => each.startsWith(key));
    assert.deepEqual(keys.map(of), [
      ["a1", "a3", "a4"],
      ["b2", "b3", "b4"],
      ["c1", "c2", "c3", "c4"],
    ]);
    const left = await Array.fromAsync(log.operator.deadLetters());
    assert.deepEqual(
      new Map(left.map((each) => [each.key, each.attempts.length])),
      new Map([
        ["a", 2],
        ["d", 1],
      ]),
    );
    const { state, left: none } = await log.operator.redrives.show(job.id);
    assert.deepEqual([state, none], ["done", 0]);
    assert.deepEqual(await actsOf(log), { "redrive-started": 1, "redrive-ended": 1, redriven: 11, discarded: 1 });
    await assert.rejects(log.operator.redrives.cancel(job.id), { code: "CONFLICT" });
    await assert.rejects(log.operator.redrives.cancel("nobody"), { code: "NOT_FOUND" });
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: a job keeps its rate, and delivers no more once it is cancelled`, async () => {
    const { log, app, ran } = await desk(fresh(), { env: fastEnv(20) });
    await using _ = log;
    const job = await log.operator.redrives.start({}, { confirm: 12, ratePerSecond: 0.5 });
    const worker = await log.work(app);
    await eventually("some have run", () => ran.length >= 3);
    await log.operator.redrives.cancel(job.id);
    await worker.stop();
    // One in two seconds: each stands in the log with its time, which a turn may have come late for.
    const times: number[] = [];
    for await (const { type, time } of log.read()) if (type === "factlog.operator.redriven") times.push(time.getTime());
    const waits = times.slice(1).map((time, i) => time - times[i]!);
    assert.ok(waits.length >= 2 && waits.every((waitMs) => waitMs >= 1_000), `${waits.join(", ")} ms`);
    const { state, left, total } = await log.operator.redrives.show(job.id);
    assert.deepEqual([state, total], ["cancelled", 12]);
    const dead = (await Array.fromAsync(log.operator.deadLetters())).length;
    assert.ok(dead <= left && dead > 0, `${dead} dead letters, ${left} left`);
    await log.drain(app);
    assert.equal((await Array.fromAsync(log.operator.deadLetters())).length, dead);
    assert.equal(ran.length, 12 - dead);
  });

  test(`${name}: another process goes on with a job; what both choose is delivered once`, async () => {
    const engine = fresh();
    const { log, app, ran } = await desk(engine);
    await using _ = log;
    await using other = await open(engine);
    await log.operator.redrives.start({}, { confirm: 12 });
    const letters = await Array.fromAsync(other.operator.deadLetters({ key: "c" }));
    await other.operator.redrive([letters[3]!.id], { confirm: 1 });
    const worker = await log.work(app);
    await eventually("it has begun", () => ran.length > 1);
    await worker.stop();
    await other.drain(app);
    assert.deepEqual(
      ran.toSorted(),
      keys.flatMap((key) => [1, 2, 3, 4].map((n) => `${key}${n}`)),
    );
    assert.deepEqual(
      ran.filter((each) => each.startsWith("a")),
      ["a1", "a2", "a3", "a4"],
    );
    assert.deepEqual(
      (await other.operator.redrives.list()).map(({ state }) => state),
      ["done"],
    );
  });
}
