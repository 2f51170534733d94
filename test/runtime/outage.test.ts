/** What a subscription depends on is down: it is degraded, probes, and nothing is charged for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription, NonRetryable, type SubscriptionOptions, Unavailable } from "../../src/index.ts";
import { anotherProcess, engines, eventually, fastEnv, open, Order, unwell } from "./support.ts";

type Options = Pick<SubscriptionOptions<typeof Order, typeof Order>, "outage" | "retry" | "concurrency">;
/** A handler that calls something which is down while `down` is set, and what it did. */
function warehouse(options: Options = {}) {
  const seen = { down: undefined as Error | undefined, calls: 0, running: 0, most: 0, attempts: new Set<number>() };
  const done: string[] = [];
  const ship = defineSubscription(
    "ship",
    { on: Order, from: "beginning", retry: { attemptsMax: 3, backoff: ["1s"] }, ...options },
    async ({ key, data }, ctx) => {
      seen.calls++;
      seen.running++;
      seen.most = Math.max(seen.most, seen.running);
      seen.attempts.add(ctx.attempt);
      await new Promise((resolve) => setImmediate(resolve));
      seen.running--;
      if (seen.down !== undefined) throw seen.down;
      done.push(`${key}${data.n}`);
    },
  );
  return { seen, done, ship, app: defineApp({ name: "t", events: [Order], subscriptions: [ship] }) };
}
const refused = (): Error => Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);

for (const { name, fresh } of engines) {
  test(`${name}: an hour of a broken downstream burns no attempt, leaves nothing dead, and is over with the first success`, async () => {
    const env = fastEnv(600);
    await using log = await open(fresh(), { env });
    const { seen, done, app } = warehouse();
    seen.down = new Error("500 from the warehouse");
    for (const n of [1, 2]) for (const key of keys) await log.publish(Order({ key, n }));
    const beganMs = env.now();
    const worker = await log.work(app);
    await eventually("it is degraded", async () => (await log.operator.status(app))[0]?.state === "degraded");
    await eventually("an hour has passed", () => env.now() - beganMs > 3_600_000, 30_000);
    const [status] = await log.operator.status(app);
    assert.deepEqual([status?.state, status?.dead, status?.depth], ["degraded", 0, 80]);
    assert.match(status?.outage?.error ?? "", /500 from the warehouse/);
    assert.ok((status?.outage?.probes ?? 0) >= 5, `${status?.outage?.probes} probes`);
    // Those in flight when it began, and then a probe a minute.
    assert.ok(seen.calls < 130, `${seen.calls} calls`);
    for await (const one of log.operator.deadLetters()) assert.fail(`${one.key} is dead`);
    seen.down = undefined;
    seen.attempts.clear();
    await eventually("all is done", () => done.length === 80);
    assert.deepEqual([...seen.attempts], [1], "attempts were given back");
    for (const key of keys) assert.ok(done.indexOf(`${key}1`) < done.indexOf(`${key}2`), key);
    await eventually("it is active", async () => (await log.operator.status(app))[0]?.state === "active");
    await worker.stop();
    assert.deepEqual(await unwell(log), []);
  });

  test(`${name}: one Unavailable, or three failed connections, are enough; one probe at a time, each on another key`, async () => {
    for (const [down, callsMax] of [
      [new Unavailable("maintenance"), 1],
      [refused(), 3],
    ] as const) {
      await using log = await open(fresh(), { env: fastEnv(20) });
      const { seen, done, app } = warehouse({ concurrency: 1 });
      seen.down = down;
      for (const key of keys.slice(0, 6)) await log.publish(Order({ key, n: 1 }));
      const summary = await log.drain(app);
      assert.equal(summary.drained, false);
      // Probes may have come meanwhile.
      const probes = (await log.operator.status(app))[0]?.outage?.probes ?? 0;
      assert.ok(seen.calls - probes <= callsMax, `${seen.calls} calls, ${probes} probes`);
      const worker = await log.work(app);
      await eventually("three probes", () => seen.calls >= callsMax + 3);
      assert.equal(seen.most, 1);
      seen.down = undefined;
      await eventually("all is done", () => done.length === 6);
      await worker.stop();
    }
  });

  test(`${name}: failures are counted over processes, and what one of them finds out holds for all`, async () => {
    const engine = fresh();
    await using mine = await open(engine, { env: anotherProcess() });
    await using other = await open(engine, { env: anotherProcess() });
    const [here, there] = [warehouse(), warehouse()];
    const workers = [await mine.work(here.app), await other.work(there.app)];
    await eventually("both have slots", async () => (await mine.operator.status(here.app))[0]?.workers === 2);
    here.seen.down = there.seen.down = new Error("503");
    for (const key of keys.slice(0, 12)) await mine.publish(Order({ key, n: 1 }));
    await eventually("it is degraded", async () => (await mine.operator.status(here.app))[0]?.state === "degraded");
    assert.ok(here.seen.calls > 0 && there.seen.calls > 0, "both have failed");
    here.seen.down = there.seen.down = undefined;
    await eventually("all is done", () => here.done.length + there.done.length === 12);
    await Promise.all(workers.map((worker) => worker.stop()));
    assert.deepEqual(
      [...here.seen.attempts, ...there.seen.attempts].filter((attempt) => attempt > 2),
      [],
    );
    assert.deepEqual(await unwell(mine), []);
  });
}

test("what is no outage is charged: one bad key, some that go through, what no attempt helps, or where it is switched off", async () => {
  const count = async (handle: (key: string) => void, options: Options = {}): Promise<readonly [string, number]> => {
    await using log = await open(engines[0]!.fresh(), { env: fastEnv(200) });
    const s = defineSubscription(
      "s",
      { on: Order, from: "beginning", retry: { attemptsMax: 2, backoff: ["1s"] }, concurrency: 1, ...options },
      ({ key }) => handle(key ?? ""),
    );
    const app = defineApp({ name: "t", events: [Order], subscriptions: [s] });
    for (const key of keys) await log.publish(Order({ key, n: 1 }));
    const worker = await log.work(app);
    await eventually("nothing is open", async () => (await log.operator.status(app))[0]?.depth === 0);
    await worker.stop();
    const [status] = await log.operator.status(app);
    return [status?.state ?? "", status?.dead ?? 0];
  };
  const fail = (): never => {
    throw new Error("no");
  };
  assert.deepEqual(await count((key) => void (key === "k7" && fail())), ["active", 1]);
  assert.deepEqual(await count((key) => void (Number(key.slice(1)) % 5 > 0 && fail())), ["active", 32]);
  assert.deepEqual(
    await count(() => {
      throw new NonRetryable("never");
    }),
    ["active", 40],
  );
  assert.deepEqual(await count(fail, { outage: false }), ["active", 40]);
  // It cries wolf: another key goes through right after, so it is charged the next time.
  assert.deepEqual(
    await count((key) => {
      if (key === "k7") throw new Unavailable("only mine");
    }),
    ["active", 1],
  );
});
