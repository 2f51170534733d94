import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription, type Frame, type RecordedEvent } from "../../src/index.ts";
import { Done, engines, open, Order } from "./support.ts";

const echo = defineSubscription(
  "echo",
  { on: Order, from: "beginning", emits: [Done], retry: { attemptsMax: 1 } },
  ({ data }, ctx) => {
    if (data.n < 0) throw new Error("negative");
    ctx.emit(Done(data));
  },
);
const app = defineApp({ name: "t", subscriptions: [echo] });
const shape = (frame: Frame<RecordedEvent>): string =>
  frame.kind === "event"
    ? frame.event.type
    : frame.kind === "delivery"
      ? `${frame.subscription} ${frame.status}`
      : frame.kind === "delta"
        ? `delta ${frame.text}`
        : `${frame.kind} ${frame.status}`;

for (const engine of engines) {
  test(`${engine.name}: until answers with the first such fact, also when it is there already`, async () => {
    const log = await open(engine.fresh());
    const worker = await log.work(app);
    const receipts = await log.publishAll(Array.from({ length: 50 }, (_, n) => Order({ key: `k${n}`, n })));
    const answers = await Promise.all(receipts.map((receipt) => log.until(receipt, Done, { timeout: "10s" })));
    assert.deepEqual(
      answers.map((answer) => answer.data.n),
      receipts.map((_, n) => n),
    );
    const late = await log.until({ correlationId: receipts[7]?.correlationId ?? "" }, [Done], { timeout: "10s" });
    assert.equal(late.data.n, 7);
    await worker.stop();
    await log.close();
  });

  test(`${engine.name}: until rejects as soon as the chain has died, with TIMEOUT, and with the caller's abort`, async () => {
    const log = await open(engine.fresh());
    const worker = await log.work(app);
    const doomed = await log.publish(Order({ key: "a", n: -1 }));
    await assert.rejects(log.until(doomed, Done, { timeout: "1h" }), (error: Error & { code: string }) => {
      assert.equal(error.code, "DELIVERY_DEAD");
      assert.match(error.message, /echo:1\.\d+\.\d+: Error: negative/);
      return true;
    });
    await worker.stop();
    const pending = await log.publish(Order({ key: "b", n: 1 }));
    await assert.rejects(log.until(pending, Done, { timeout: "20ms" }), { code: "TIMEOUT" });
    const stop = new AbortController();
    const waiting = log.until(pending, Done, { timeout: "1h", signal: stop.signal });
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
    await log.close();
  });

  test(`${engine.name}: following a correlation shows its events, its dead letter and its end`, async () => {
    const log = await open(engine.fresh());
    const worker = await log.work(app);
    const fine = await log.publish(Order({ key: "a", n: 1 }));
    const frames = await Array.fromAsync(log.follow({ correlationId: fine.correlationId }), shape);
    assert.deepEqual(frames, ["Order", "Done", "end settled"]);
    const doomed = await log.publish(Order({ key: "b", n: -1 }));
    const bad = await Array.fromAsync(log.follow({ correlationId: doomed.correlationId, on: Done }), shape);
    assert.deepEqual(bad, ["echo dead", "end dead"]);
    await worker.stop();
    await log.close();
  });

  test(`${engine.name}: read filters and ends at the head; positions compare`, async () => {
    const log = await open(engine.fresh());
    const receipts = await log.publishAll(
      Array.from({ length: 2_500 }, (_, n) => Order({ key: `k${n % 10}`, n }, n === 5 ? { correlationId: "c" } : {})),
    );
    const read = async (options: Parameters<typeof log.read>[0]): Promise<number[]> => {
      const events = await Array.fromAsync(log.read({ on: Order, ...(options as object) }));
      return events.map((event) => event.data.n);
    };
    assert.equal((await read({})).length, 2_500);
    assert.equal((await read({ key: "k3" })).length, 250);
    assert.deepEqual(await read({ correlationId: "c" }), [5]);
    const [from, to] = [receipts[2_399]?.position, receipts[2_409]?.position];
    assert.ok(from !== undefined && to !== undefined);
    assert.deepEqual(
      await read({ from, to }),
      Array.from({ length: 10 }, (_, i) => 2_400 + i),
    );
    assert.deepEqual(
      [log.comparePositions(from, to), log.comparePositions(to, from), log.comparePositions(to, to)],
      [-1, 1, 0],
    );
    await assert.rejects(read({ from: "elsewhere.1.2" as typeof from }), { code: "INVALID_OPTION" });
    await log.close();
  });

  test(`${engine.name}: follow shows what comes from now on, in order`, async () => {
    const log = await open(engine.fresh());
    await log.publish(Order({ key: "a", n: 0 }));
    const frames = log.follow({ on: Order })[Symbol.asyncIterator]();
    const first = frames.next();
    // Where "now" is nobody can say from outside: facts come until the first of them is seen.
    let n = 0;
    let isSeen = false;
    void first.then(() => (isSeen = true));
    while (!isSeen) await log.publish(Order({ key: "a", n: ++n }));
    await log.publish(Order({ key: "a", n: ++n }));
    const seen: number[] = [];
    for (const each of [await first, await frames.next()]) {
      const frame = each.value as Frame<RecordedEvent<string, { n: number }>>;
      if (frame.kind === "event") seen.push(frame.event.data.n);
    }
    assert.ok(seen[0]! >= 1);
    assert.equal(seen[1], seen[0]! + 1);
    await frames.return?.();
    await log.close();
  });
}
