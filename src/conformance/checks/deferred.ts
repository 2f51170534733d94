import assert from "node:assert/strict";
import type { DeliveryQuery, Ledger, RowChange, SlotRef } from "../../engine/ledger.ts";
import type { PositionNumber } from "../../event/stored-event.ts";
import {
  at,
  closedAs,
  ending,
  everythingOf,
  failure,
  progress,
  row,
  rowAt,
  starting,
  statesOf,
  tallyOf,
} from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

const deferred = (position: PositionNumber, group: string, key = `k${position}`): ReturnType<typeof row> =>
  row(position, { key, state: "deferred", group });
const later = (group: string, failures: number): RowChange["to"] => ({ state: "deferred", group, failures });

async function found(
  ledger: Ledger,
  slots: readonly SlotRef[],
  group: string,
  limit = 100,
): Promise<readonly PositionNumber[]> {
  const query: DeliveryQuery = { kind: "deferred", slots, group, limit };
  return (await ledger.deliveries(query)).map(({ position }) => position);
}

/** Rows that wait for the turn of their group. */
export const deferredChecks: readonly Check[] = [
  {
    name: "deferred: a row waits for no time, and begins when it is started",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [deferred(4, "a"), deferred(5, "")] }));
      assert.deepEqual(await statesOf(ledger, sub), { 4: "deferred", 5: "deferred" });
      const due = { kind: "due", slots: [lease], dueMs: Number.MAX_SAFE_INTEGER, limit: 10 } as const;
      assert.deepEqual(await ledger.deliveries(due), []);
      const { state, dueMs, session } = (await rowAt(ledger, at(lease, 4)))!;
      assert.deepEqual([state, dueMs, session], ["deferred", undefined, undefined]);
      assert.equal((await worker.settle(starting(lease, 4, 2))).status, "lost");
      assert.equal((await worker.settle(starting(lease, 4, 1))).status, "ok");
      assert.equal((await worker.settle(starting(lease, 4, 2))).status, "lost");
      assert.deepEqual(await statesOf(ledger, sub), { 4: "running", 5: "deferred" });
      assert.deepEqual(await found(ledger, [lease], "a"), []);
      assert.equal((await worker.settle(ending(at(lease, 4), 2, closedAs()))).status, "ok");
      assert.deepEqual(await statesOf(ledger, sub), { 5: "deferred" });
    },
  },
  {
    name: "deferred: rows are found by group and slot, in the order of their positions",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const other = worker.leaseOf(sub, 1);
      await worker.settle(progress(lease, { low: 9, insert: [deferred(2, "a"), deferred(5, "b"), deferred(9, "a")] }));
      await worker.settle(progress(other, { low: 7, insert: [deferred(1, ""), deferred(4, "a"), deferred(7, "A")] }));
      assert.deepEqual(await found(ledger, [lease, other], "a"), [2, 4, 9]);
      assert.deepEqual(await found(ledger, [lease, other], "a", 2), [2, 4]);
      assert.deepEqual(await found(ledger, [other, lease], "b"), [5]);
      assert.deepEqual(await found(ledger, [other], "a"), [4]);
      assert.deepEqual(await found(ledger, [lease, other], ""), [1]);
      assert.deepEqual(await found(ledger, [], "a"), []);
    },
  },
  {
    name: "deferred: a slot that is loaded tells its groups",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [
        deferred(2, "b"),
        deferred(3, "a"),
        deferred(4, "b"),
        deferred(5, "\u{1F600}"),
        deferred(6, "\uFF5E"),
        row(7),
      ];
      await worker.settle(progress(lease, { low: 7, insert }));
      const [mine, other] = await ledger.load([lease, worker.leaseOf(sub, 1)]);
      assert.deepEqual([mine!.deferred, other!.deferred], [["a", "b", "\uFF5E", "\u{1F600}"], []]);
      await worker.record(starting(lease, 3, 1), starting(lease, 4, 1));
      assert.deepEqual((await ledger.load([lease]))[0]!.deferred, ["b", "\uFF5E", "\u{1F600}"]);
    },
  },
  {
    name: "deferred: a row holds its key, and is held by it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [deferred(3, "a", "k"), row(4), deferred(5, "a", "k"), row(6, { key: "other" })];
      await worker.settle(progress(lease, { low: 6, insert }));
      assert.deepEqual(await statesOf(ledger, sub), { 3: "deferred", 4: "held", 5: "held", 6: "ready" });
      assert.deepEqual(await found(ledger, [lease], "a"), [3]);
      assert.deepEqual((await ledger.load([lease]))[0]!.busy.toSorted(), ["k", "other"]);
      await worker.settle(starting(lease, 3, 1));
      await worker.settle(ending(at(lease, 3), 2, closedAs()));
      assert.deepEqual(await statesOf(ledger, sub), { 4: "ready", 5: "held", 6: "ready" });
    },
  },
  {
    name: "deferred: what has begun may be put back, uncharged",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const retrying = row(3, { state: "retrying", dueMs: 1, failures: 2, failure: failure("x") });
      await worker.settle(progress(lease, { low: 4, insert: [retrying, row(4)] }));
      await worker.settle(starting(lease, 3, 1));
      const put = await worker.settle(ending(at(lease, 3), 2, later("a", 2)));
      assert.deepEqual([put.status, put.freed], ["ok", []]);
      assert.deepEqual(await statesOf(ledger, sub), { 3: "deferred", 4: "held" });
      const { failures, rowToken, session, dueMs, holds } = (await rowAt(ledger, at(lease, 3)))!;
      assert.deepEqual([failures, rowToken, session, dueMs, holds], [2, 3, undefined, undefined, true]);
      assert.equal((await ledger.failures(at(lease, 3))).length, 1);
      assert.deepEqual(await found(ledger, [lease], "a"), [3]);
      assert.equal((await worker.settle(ending(at(lease, 3), 2, closedAs()))).status, "lost");
    },
  },
  {
    name: "deferred: rows are counted, and the oldest of them is seen",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [deferred(4, "a"), deferred(5, "a"), row(3)] }));
      const before = await tallyOf(ledger, sub);
      assert.deepEqual([before.rows.deferred, before.rows.ready, before.oldestRowMs], [2, 1, 1_003]);
      await worker.record(starting(lease, 3, 1), starting(lease, 5, 1));
      await worker.record(ending(at(lease, 3), 2, closedAs()), ending(at(lease, 5), 2, closedAs()));
      const { rows, oldestRowMs } = await tallyOf(ledger, sub);
      assert.deepEqual([rows.deferred, rows.ready, rows.running, oldestRowMs], [1, 0, 0, 1_004]);
    },
  },
  {
    name: "deferred: rows outlive the session that made them, uncharged",
    about: "ledger",
    async run(subject) {
      const { worker, lease, sub, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 4, insert: [deferred(4, "a")] }));
      const next = await Worker.join(subject);
      await next.bury(worker);
      await next.take(subscription);
      const mine = next.leaseOf(sub);
      assert.deepEqual((await next.ledger.load([mine]))[0]!.deferred, ["a"]);
      const before = await everythingOf(next.engine, subscription);
      assert.equal((await worker.settle(starting(lease, 4, 1))).status, "lost");
      assert.deepEqual(await everythingOf(next.engine, subscription), before);
      const { crashes, failures, rowToken } = (await rowAt(next.ledger, at(mine, 4)))!;
      assert.deepEqual([crashes, failures], [0, 0]);
      assert.equal((await next.settle(starting(mine, 4, rowToken))).status, "ok");
    },
  },
];
