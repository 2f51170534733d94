import assert from "node:assert/strict";
import { assertHas, at, closedAs, ending, progress, row, rowAt, starting, statesOf, tallyOf } from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, Worker, type Scene } from "../worker.ts";

/** A row runs on at its first worker, while its slot has gone over to a second one. */
async function handedOver(subject: Subject): Promise<Scene & { readonly next: Worker }> {
  const first = await scene(subject);
  await first.worker.settle(progress(first.lease, { low: 5, insert: [row(5, { state: "running" })] }));
  await first.worker.lease({ giveBack: first.worker.held });
  const next = await Worker.join(subject);
  await next.take(first.subscription);
  return { ...first, lease: next.leaseOf(first.sub), next };
}

export const handOverChecks: readonly Check[] = [
  {
    name: "hand-over: a row runs on without its slot, and its key stays busy",
    about: "ledger",
    async run(subject) {
      const { worker, next, ledger, lease, sub } = await handedOver(subject);
      assert.deepEqual((await ledger.load([lease]))[0]!.busy, ["k"]);
      assert.equal((await next.settle(ending(at(lease, 5), 1, closedAs()))).status, "lost");
      assert.equal((await worker.settle(ending(at(lease, 5), 1, closedAs()))).status, "ok");
      assert.deepEqual((await tallyOf(ledger, sub)).slots[0]!.outcomes.done, 1);
    },
  },
  {
    name: "hand-over: a held row that comes before the detached one ends becomes ready with its end",
    about: "ledger",
    async run(subject) {
      const { worker, next, ledger, lease, sub } = await handedOver(subject);
      const inserted = await next.settle(progress(lease, { low: 9, insert: [row(9)] }));
      assertHas(inserted, { status: "ok", freed: [], promoted: false });
      assert.deepEqual(await statesOf(ledger, sub), { 5: "running", 9: "held" });
      const ended = await worker.settle(ending(at(lease, 5), 1, closedAs()));
      assertHas(ended, { status: "ok", freed: [], promoted: true });
      assert.deepEqual(await statesOf(ledger, sub), { 9: "ready" });
    },
  },
  {
    name: "hand-over: a held row that comes after the detached one has ended is not held",
    about: "ledger",
    async run(subject) {
      const { worker, next, ledger, lease, sub } = await handedOver(subject);
      assert.deepEqual((await worker.settle(ending(at(lease, 5), 1, closedAs()))).freed, ["k"]);
      await next.settle(progress(lease, { low: 9, insert: [row(9)] }));
      assert.deepEqual(await statesOf(ledger, sub), { 9: "ready" });
    },
  },
  {
    name: "hand-over: who gets a slot back sees what became of its rows meanwhile",
    about: "ledger",
    async run(subject) {
      const { worker, lease, ledger, sub, subscription } = await scene(subject);
      const next = await Worker.join(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5)] }));
      await worker.lease({ giveBack: worker.held });
      await next.take(subscription);
      await next.settle(starting(next.leaseOf(sub), 5, 1));
      await next.settle(ending(at(lease, 5), 2, closedAs()));
      await next.settle(progress(next.leaseOf(sub), { low: 6, insert: [row(6, { key: "other" })] }));
      await next.lease({ giveBack: next.held });
      await worker.take(subscription);
      const inserts = [row(9), row(10, { key: "other" })];
      await worker.settle(progress(worker.leaseOf(sub), { low: 10, insert: inserts }));
      assert.deepEqual(await statesOf(ledger, sub), { 6: "ready", 9: "ready", 10: "held" });
    },
  },
  {
    name: "hand-over: a row that waits keeps what was charged to it and when it is due, however its slot changes hands",
    about: "ledger",
    async run(subject) {
      const { worker, lease, ledger, subscription } = await scene(subject);
      const waiting = row(5, { state: "retrying", dueMs: 900, failures: 2 });
      await worker.settle(progress(lease, { low: 5, insert: [waiting] }));
      const before = await rowAt(ledger, at(lease, 5));
      await worker.lease({ giveBack: worker.held });
      const next = await Worker.join(subject);
      await next.take(subscription);
      assert.deepEqual(await rowAt(ledger, at(lease, 5)), before);
      const heir = await Worker.join(subject);
      await heir.bury(next);
      await heir.take(subscription);
      assert.deepEqual(await rowAt(ledger, at(lease, 5)), before);
      await heir.lease({ leave: true });
      await worker.take(subscription);
      assert.deepEqual(await rowAt(ledger, at(lease, 5)), before);
    },
  },
  {
    name: "hand-over: end and insert at the same time never leave a key held without a head",
    about: "ledger",
    async run(subject) {
      const { worker, next, ledger, lease, sub } = await handedOver(subject);
      for (let position = 9; position < 25; position += 4) {
        const head = (await statesOf(ledger, sub))[position - 4]!;
        assert.equal(head, "running");
        const { rowToken } = (await rowAt(ledger, at(lease, position - 4)))!;
        const runner = position === 9 ? worker : next;
        const end = ending(at(lease, position - 4), rowToken, closedAs());
        const insert = progress(lease, { low: position, insert: [row(position)] });
        const both =
          position % 8 === 1 ? [runner.settle(end), next.settle(insert)] : [next.settle(insert), runner.settle(end)];
        assert.deepEqual(
          (await Promise.all(both)).map(({ status }) => status),
          ["ok", "ok"],
        );
        const states = await statesOf(ledger, sub);
        assert.deepEqual(states, { [position]: "ready" });
        await next.settle(starting(lease, position, (await rowAt(ledger, at(lease, position)))!.rowToken));
      }
    },
  },
  {
    name: "hand-over: ends and inserts of many keys at once leave no key held without a head",
    about: "ledger",
    async run(subject) {
      const first = await scene(subject);
      const { worker, ledger, sub } = first;
      const keys = Array.from({ length: 24 }, (_, i) => `key-${i}`);
      const running = keys.map((key, i) => row(i + 1, { key, state: "running" }));
      await worker.settle(progress(first.lease, { low: keys.length, insert: running }));
      await worker.lease({ giveBack: worker.held });
      const next = await Worker.join(subject);
      await next.take(first.subscription);
      const lease = next.leaseOf(sub);
      const answers = await Promise.all(
        keys.flatMap((key, i) => [
          worker.settle(ending(at(lease, i + 1), 1, closedAs())),
          next.settle(progress(lease, { low: 101 + i, insert: [row(101 + i, { key })] })),
        ]),
      );
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set(["ok"]));
      const ready = keys.map((_, i) => [101 + i, "ready"] as const);
      assert.deepEqual(await statesOf(ledger, sub), Object.fromEntries(ready));
    },
  },
];
