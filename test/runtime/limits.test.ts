/** Limits of a subscription over all processes, and of each group. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, type Limits, type Log } from "../../src/index.ts";
import { type Env, realEnv } from "../../src/env.ts";
import { testLog } from "../../src/testing/index.ts";
import { anotherProcess, engines, eventually, fact, fastEnv, open, unwell } from "./support.ts";

const Job = defineEvent("Job", {
  schema: z.object({ key: z.string(), group: z.string(), n: z.number() }),
  key: ({ key }) => key,
  group: ({ group }) => group,
});
/** How many run, over all that share this. */
function counting() {
  const seen = { running: 0, most: 0, byGroup: new Map<string, number>(), mostOfGroup: 0, done: [] as string[] };
  const run = async (group: string, name: string, work: () => Promise<void>): Promise<void> => {
    seen.most = Math.max(seen.most, ++seen.running);
    const ofGroup = (seen.byGroup.get(group) ?? 0) + 1;
    seen.byGroup.set(group, ofGroup);
    seen.mostOfGroup = Math.max(seen.mostOfGroup, ofGroup);
    await work();
    seen.running--;
    seen.byGroup.set(group, seen.byGroup.get(group)! - 1);
    seen.done.push(name);
  };
  return { seen, run };
}
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
function appOf(limits: Limits, { run }: ReturnType<typeof counting>) {
  const s = defineSubscription("s", { on: Job, from: "beginning", limits }, async ({ data, group }) =>
    run(group ?? "", `${data.key}${data.n}`, () => turns(20)),
  );
  return defineApp({ name: "t", events: [Job], subscriptions: [s] });
}
const jobs = (count: number, groups = 1) =>
  Array.from({ length: count }, (_, n) => Job({ key: `k${n % 40}`, group: `g${n % groups}`, n }));
const publishJobs = (log: Log, count: number, groups?: number) => log.publishAll(jobs(count, groups));

for (const { name, fresh } of engines) {
  test(`${name}: no more run at one time than the limit, over two processes that both get on`, async () => {
    const engine = fresh();
    await using mine = await open(engine, { env: anotherProcess() });
    await using other = await open(engine, { env: anotherProcess() });
    const counted = counting();
    const ran = [0, 0];
    const apps = [0, 1].map((i) => {
      const s = defineSubscription("s", { on: Job, from: "beginning", limits: { concurrency: 3 } }, ({ data }) => {
        ran[i]!++;
        return counted.run("", `${data.key} ${data.n}`, () => turns(20));
      });
      return defineApp({ name: "t", events: [Job], subscriptions: [s] });
    });
    const workers = [await mine.work(apps[0]!), await other.work(apps[1]!)];
    await eventually("both have slots", async () => (await mine.operator.status())[0]?.workers === 2);
    await publishJobs(mine, 300);
    await eventually("all are done", () => counted.seen.done.length === 300);
    assert.equal(counted.seen.most, 3);
    assert.ok(Math.min(...ran) > 30, `one process ran ${Math.min(...ran)} of 300`);
    for (let k = 0; k < 40; k++) {
      const mineInOrder = counted.seen.done
        .filter((one) => one.startsWith(`k${k} `))
        .map((one) => Number(one.split(" ")[1]));
      assert.deepEqual(
        mineInOrder,
        mineInOrder.toSorted((a, b) => a - b),
      );
    }
    await Promise.all(workers.map((worker) => worker.stop()));
    assert.deepEqual(await unwell(mine), []);
  });

  test(`${name}: with one place, two processes take turns, and status says whom it waits for`, async () => {
    const engine = fresh();
    await using mine = await open(engine, { env: fastEnv(20) });
    await using other = await open(engine, { env: fastEnv(20) });
    const counted = counting();
    const ran = [0, 0];
    const apps = [0, 1].map((i) => {
      const s = defineSubscription("s", { on: Job, from: "beginning", limits: { concurrency: 1 } }, ({ data }) => {
        ran[i]!++;
        return counted.run("", `${data.n}`, () => turns(100));
      });
      return defineApp({ name: "t", events: [Job], subscriptions: [s] });
    });
    const workers = [await mine.work(apps[0]!), await other.work(apps[1]!)];
    await eventually("both have slots", async () => (await mine.operator.status())[0]?.workers === 2);
    await publishJobs(mine, 400);
    await eventually("it is said", async () =>
      (await mine.operator.status())[0]!.waitsFor.some((each) => each.for === "concurrency"),
    );
    await eventually("all are done", () => counted.seen.done.length === 400, 60_000);
    assert.equal(counted.seen.most, 1);
    assert.ok(Math.min(...ran) >= 40, `one process ran ${Math.min(...ran)} of 400`);
    await Promise.all(workers.map((worker) => worker.stop()));
    assert.deepEqual((await mine.operator.status())[0]!.waitsFor, []);
  });

  test(`${name}: each group has its own places, and one that is at its limit holds up no other`, async () => {
    await using log = await open(fresh());
    const counted = counting();
    const go = fact();
    const s = defineSubscription(
      "s",
      { on: Job, from: "beginning", limits: { perGroup: { concurrency: 2 } } },
      ({ data, group }) =>
        counted.run(group ?? "", `${group} ${data.n}`, () => (group === "slow" ? go.holds : turns(1))),
    );
    const app = defineApp({ name: "t", events: [Job], subscriptions: [s] });
    const worker = await log.work(app);
    await log.publishAll(Array.from({ length: 30 }, (_, n) => Job({ key: `s${n}`, group: "slow", n })));
    await log.publishAll(Array.from({ length: 30 }, (_, n) => Job({ key: `f${n}`, group: "fast", n })));
    await eventually("the others are done", () => counted.seen.done.length === 30);
    await eventually("it is said", async () =>
      (await log.operator.status())[0]!.waitsFor.some((each) => each.for === "concurrency" && each.group === "slow"),
    );
    assert.ok(counted.seen.done.every((one) => one.startsWith("fast")));
    assert.equal(counted.seen.byGroup.get("slow"), 2);
    go.tell();
    await eventually("all are done", () => counted.seen.done.length === 60);
    assert.equal(counted.seen.mostOfGroup, 2);
    await worker.stop();
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: no more starts in a time than the rate, over two processes`, async () => {
    const engine = fresh();
    const env = fastEnv(10);
    await using mine = await open(engine, { env });
    await using other = await open(engine, { env: { ...env } });
    const startsMs: number[] = [];
    const s = defineSubscription(
      "s",
      { on: Job, from: "beginning", limits: { rate: { events: 20, per: "2s" } } },
      () => {
        startsMs.push(env.now());
      },
    );
    const app = defineApp({ name: "t", events: [Job], subscriptions: [s] });
    const workers = [await mine.work(app), await other.work(app)];
    await publishJobs(mine, 80);
    await eventually("all have run", () => startsMs.length === 80);
    await Promise.all(workers.map((worker) => worker.stop()));
    for (const [i, atMs] of startsMs.entries()) {
      const after = startsMs[i + 22];
      assert.ok(after === undefined || after - atMs >= 1_900, `23 within ${after! - atMs} ms`);
    }
  });
}

test("memory: what a process held that died is had by others", async () => {
  const store = engines[0]!.fresh();
  let isDead = false;
  const alive = (task: () => void) => (): void => void (isDead || task());
  const mortal: Env = {
    ...realEnv,
    after: (delayMs, task, options) => realEnv.after(delayMs, alive(task), options),
    soon: (task) => realEnv.soon(alive(task)),
  };
  const began = fact();
  const stuck = defineSubscription("s", { on: Job, from: "beginning", limits: { concurrency: 1 } }, () => {
    began.tell();
    return new Promise<never>(() => undefined);
  });
  const dying = await open(store, { env: mortal, lease: "500ms" });
  await dying.work(defineApp({ name: "t", subscriptions: [stuck] }));
  await publishJobs(dying, 6);
  await began.holds;
  isDead = true;
  await using log = await open(store, { lease: "500ms" });
  const counted = counting();
  const { drained } = await log.drain(appOf({ concurrency: 1 }, counted));
  assert.deepEqual([drained, counted.seen.done.length, counted.seen.most], [true, 6, 1]);
});

test("on a virtual clock: what waits for a rate is not pending, and comes when its time does", async () => {
  const ran: number[] = [];
  const s = defineSubscription(
    "s",
    { on: Job, limits: { perGroup: { rate: { events: 1, per: "1m" } } } },
    ({ data }) => void ran.push(data.n),
  );
  const log = await testLog(defineApp({ name: "t", events: [Job], subscriptions: [s] }));
  await log.publishAll(jobs(6, 2));
  await log.settled();
  assert.deepEqual(
    ran.toSorted((a, b) => a - b),
    [0, 1],
  );
  const [status] = await log.operator.status();
  assert.deepEqual(status?.waitsFor.map(({ for: what, group }) => `${what} ${group}`).toSorted(), [
    "rate g0",
    "rate g1",
  ]);
  assert.equal(status.waitsFor[0]?.until?.getTime(), status.sampledAt.getTime() + 60_000);
  await log.advance("1m");
  assert.equal(ran.length, 4);
  await log.advance("1m");
  assert.equal(ran.length, 6);
  await log.close();
});

test("drain waits for a rate", async () => {
  await using log = await open(engines[0]!.fresh(), { env: fastEnv(100) });
  let ran = 0;
  const s = defineSubscription(
    "s",
    { on: Job, from: "beginning", limits: { rate: { events: 1, per: "1s" } } },
    () => void ran++,
  );
  await publishJobs(log, 5);
  const summary = await log.drain(defineApp({ name: "t", events: [Job], subscriptions: [s] }));
  assert.deepEqual([summary.drained, ran], [true, 5]);
});
