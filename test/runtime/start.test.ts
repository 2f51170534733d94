import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription, type From } from "../../src/index.ts";
import { Done, engines, eventually, fastEnv, open, Order, unwell } from "./support.ts";

const reading = (
  seen: number[],
  options: { readonly from?: From; readonly on?: readonly (typeof Order | typeof Done)[] } = {},
): ReturnType<typeof defineApp> =>
  defineApp({
    name: "t",
    subscriptions: [defineSubscription("reader", { on: [Order], ...options }, ({ data }) => void seen.push(data.n))],
  });
const numbers = (count: number): readonly ReturnType<typeof Order>[] =>
  Array.from({ length: count }, (_, n) => Order({ key: `k${n % 3}`, n }));
const sorted = (seen: readonly number[]): readonly number[] => [...seen].sort((a, b) => a - b);

for (const engine of engines) {
  test(`${engine.name}: a new subscription on a log with matching history must say where it starts`, async () => {
    const log = await open(engine.fresh());
    await log.publishAll([...numbers(7), Done({ key: "x", n: 100 })]);
    await assert.rejects(log.drain(reading([])), (error: Error & { code: string; details: { history: number } }) => {
      assert.equal(error.code, "FROM_REQUIRED");
      assert.equal(error.details.history, 7);
      assert.match(error.message, /"beginning".*"now".*subscription create reader --from/);
      return true;
    });
    assert.deepEqual(await log.operator.status(), [], "nothing was created");
    const seen: number[] = [];
    await log.drain(reading(seen, { from: "beginning" }));
    assert.deepEqual(sorted(seen), [0, 1, 2, 3, 4, 5, 6]);
    await log.drain(reading(seen));
    assert.equal(seen.length, 7, "once created, it goes on where it was");
    await log.close();
  });

  test(`${engine.name}: "now", a position and a time start after what lies before them, and conservation counts from there`, async () => {
    // No faster: leases and waits for a server shrink with it.
    const env = fastEnv(20);
    const log = await open(engine.fresh(), { env });
    const receipts = await log.publishAll(numbers(10));
    const at = receipts[4]?.position;
    assert.ok(at !== undefined);
    const beforeMs = env.now();
    await eventually("the clock moves", () => env.now() > beforeMs + 5);
    const between = new Date(env.now());
    await eventually("the clock moves", () => env.now() > between.getTime() + 5);
    await log.publishAll(numbers(20).slice(10));
    const starts: readonly [string, From, number][] = [
      ["now", "now", 20],
      ["position", at, 5],
      ["time", between, 10],
    ];
    const seen = new Map<string, number[]>(starts.map(([name]) => [name, []]));
    const app = defineApp({
      name: "t",
      subscriptions: starts.map(([name, from]) =>
        defineSubscription(name, { on: Order, from }, ({ data }) => void seen.get(name)?.push(data.n)),
      ),
    });
    await log.drain(app);
    await log.publish(Order({ key: "k", n: 20 }));
    await log.drain(app);
    for (const [name, , first] of starts) {
      assert.deepEqual(
        sorted(seen.get(name) ?? []),
        Array.from({ length: 21 - first }, (_, i) => first + i),
        name,
      );
    }
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: a type added to a subscription counts from then`, async () => {
    const store = engine.fresh();
    const seen: number[] = [];
    const log = await open(store);
    await log.drain(reading(seen));
    await log.publishAll([Order({ key: "a", n: 1 }), Done({ key: "a", n: 2 })]);
    await log.drain(reading(seen));
    await log.drain(reading(seen, { on: [Order, Done] }));
    await log.publishAll([Order({ key: "a", n: 3 }), Done({ key: "a", n: 4 })]);
    await log.drain(reading(seen, { on: [Order, Done] }));
    assert.deepEqual(seen, [1, 3, 4]);
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${engine.name}: the older of two definitions hands back; it returns when nobody serves the newer`, async () => {
    const store = engine.fresh();
    const env = fastEnv(20);
    const old: number[] = [];
    const newer: number[] = [];
    const first = await open(store, { env, lease: "2s" });
    const second = await open(store, { env: { ...env }, lease: "2s" });
    const worker = await first.work(reading(old));
    await first.publish(Order({ key: "a", n: 1 }));
    await eventually("the old one works", () => old.length === 1);
    const successor = await second.work(reading(newer, { on: [Order, Done] }));
    let n = 2;
    await eventually("the newer one has taken over", async () => {
      await first.publish(Order({ key: `k${n}`, n }));
      return newer.includes(n++ - 1);
    });
    await first.publish(Done({ key: "x", n: 1_000 }));
    await eventually("the newer one sees the added type", () => newer.includes(1_000));
    await successor.stop();
    await second.close();
    await first.publish(Order({ key: "a", n: 2_000 }));
    await eventually("the old one is the newest again", () => old.includes(2_000));
    await worker.stop();
    const orders = (await Array.fromAsync(first.read({ on: Order }))).map((event) => event.data.n);
    assert.deepEqual(sorted([...new Set([...old, ...newer])]), sorted([...orders, 1_000]), "nothing was left out");
    assert.deepEqual(await unwell(first), []);
    await first.close();
  });

  test(`${engine.name}: a subscription that the app does not know is shown, renamed and retired`, async () => {
    const log = await open(engine.fresh());
    await log.drain(reading([]));
    const other = defineApp({ name: "t", subscriptions: [defineSubscription("other", { on: Order }, () => {})] });
    await log.drain(other);
    const states = (await log.operator.status()).map((each) => [each.name, each.state]);
    assert.deepEqual(
      states.toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
      [
        ["other", "active"],
        ["reader", "unknown-to-this-app"],
      ],
    );
    await log.operator.rename("reader", "renamed");
    await assert.rejects(log.operator.rename("reader", "again"), { code: "NOT_FOUND" });
    await assert.rejects(log.operator.rename("renamed", "other"), { code: "CONFLICT" });
    await log.operator.retire("renamed");
    assert.deepEqual(
      (await log.operator.status()).map((each) => each.name),
      ["other"],
    );
    await log.close();
  });

  test(`${engine.name}: a live subscription cannot be retired`, async () => {
    const log = await open(engine.fresh());
    const worker = await log.work(reading([]));
    await assert.rejects(log.operator.retire("reader"), { code: "CONFLICT" });
    await assert.rejects(log.work(reading([])), { code: "DUPLICATE_SUBSCRIPTION" });
    await worker.stop();
    await worker.stop();
    await log.operator.retire("reader");
    await log.close();
    await assert.rejects(log.publish(Order({ key: "a", n: 1 })), { code: "CLOSED" });
    await log.close();
  });
}
