import assert from "node:assert/strict";
import type { Ledger, RowState } from "../../engine/ledger.ts";
import {
  at,
  closedAs,
  deadWith,
  define,
  ending,
  event,
  progress,
  retryAt,
  row,
  rowAt,
  starting,
  tallyOf,
} from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

/** matched = closed + rows, by slot and by type. */
async function assertConserved(ledger: Ledger, sub: number): Promise<void> {
  const sum = (counts: Iterable<number>): number => [...counts].reduce((total, count) => total + count, 0);
  const { slots, rows, types } = await tallyOf(ledger, sub);
  const matched = sum(slots.map((slot) => slot.matched));
  const closed = sum(slots.flatMap(({ outcomes }) => Object.values(outcomes)));
  assert.equal(matched, closed + sum(Object.values(rows)), "matched = closed + rows");
  assert.equal(matched, sum(types.map((type) => type.matched)), "matched by slot = matched by type");
}

export const tallyChecks: readonly Check[] = [
  {
    name: "tally: equals what was done, at every point",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const expect = async (rows: Partial<Record<RowState, number>>, done: number, blocked = 0): Promise<void> => {
        const tally = await tallyOf((await subject.open()).ledger, sub);
        assert.deepEqual(tally.rows, { held: 0, ready: 0, running: 0, retrying: 0, dead: 0, deferred: 0, ...rows });
        assert.deepEqual([tally.slots[0]!.outcomes.done, tally.blockedKeys], [done, blocked]);
        await assertConserved(ledger, sub);
      };
      const token = async (position: number): Promise<number> => (await rowAt(ledger, at(lease, position)))!.rowToken;
      const end = async (position: number, to: Parameters<typeof ending>[2]): Promise<unknown> =>
        worker.settle(ending(at(lease, position), await token(position), to));
      await expect({}, 0);
      await worker.settle(
        progress(lease, { low: 5, outcomes: { done: 2 }, insert: [row(3, { state: "running" }), row(4), row(5)] }),
      );
      await expect({ running: 1, held: 2 }, 2);
      await end(3, retryAt(9));
      await expect({ retrying: 1, held: 2 }, 2);
      await worker.settle(starting(lease, 3, await token(3)));
      await expect({ running: 1, held: 2 }, 2);
      await end(3, deadWith());
      await expect({ dead: 1, held: 2 }, 2, 1);
      await ledger.command({
        kind: "redrive",
        delivery: at(lease, 3),
        rowToken: await token(3),
        nowMs: 0,
        audit: event(),
      });
      await expect({ ready: 1, held: 2 }, 2);
      await worker.settle(starting(lease, 3, await token(3)));
      await end(3, closedAs());
      await expect({ ready: 1, held: 1 }, 3);
      await worker.settle(starting(lease, 4, await token(4)));
      await end(4, deadWith({ holds: false }));
      await expect({ ready: 1, dead: 1 }, 3);
      await worker.settle(starting(lease, 5, await token(5)));
      await worker.lease({ release: [{ ...at(lease, 5), rowToken: await token(5) }] });
      await expect({ ready: 1, dead: 1 }, 3);
      await ledger.command({ kind: "discard", delivery: at(lease, 4), rowToken: await token(4), audit: event() });
      await expect({ ready: 1 }, 3);
    },
  },
  {
    name: "tally: stays exact through crashes and take-over",
    about: "ledger",
    async run(subject) {
      const {
        worker: first,
        ledger,
        lease,
        sub,
        subscription,
      } = await scene(subject, { crashesMax: 2, onExhausted: "skip-event" });
      const insert = [row(1, { state: "running" }), row(2), row(3, { key: "z", state: "running" })];
      await first.settle(progress(lease, { low: 3, insert }));
      let worker = first;
      for (const [ready, held, dead] of [
        [2, 1, 0],
        [1, 0, 2],
      ] as const) {
        const next = await Worker.join(subject);
        await next.bury(worker);
        const { rows } = await tallyOf(ledger, sub);
        assert.deepEqual([rows.ready, rows.held, rows.dead, rows.running], [ready, held, dead, 0]);
        await assertConserved(ledger, sub);
        await next.take(subscription);
        for (const position of [1, 3]) {
          const { rowToken } = (await rowAt(ledger, at(lease, position)))!;
          await next.settle(starting(next.leaseOf(sub), position, rowToken));
        }
        worker = next;
      }
    },
  },
  {
    name: "tally: shows every subscription, and of each slot its holder and progress",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const other = await define(ledger, { slots: "one" }, { name: "billing" });
      await worker.settle(progress(lease, { low: 10, ranges: [[12, 14]], claim: 99 }));
      const tallies = await ledger.tally();
      assert.deepEqual(tallies.map(({ name }) => name).toSorted(), ["billing", "warehouse"]);
      const { slots } = await tallyOf(ledger, sub);
      assert.deepEqual(
        slots.map(({ slot }) => slot),
        slots.map((_, i) => i),
      );
      const { session, low, ranges } = slots[0]!;
      assert.deepEqual({ session, low, ranges }, { session: worker.session, low: 10, ranges: [[12, 14]] });
      assert.deepEqual((await tallyOf(ledger, other.sub)).slots[0]!.session, undefined);
    },
  },
  {
    name: "tally: the oldest open row, dead ones left out, and what is in flight",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const other = await Worker.join(subject);
      assert.equal((await tallyOf(ledger, sub)).oldestRowMs, undefined);
      const insert = [
        row(1, { key: "a", state: "dead", atMs: 10 }),
        row(2, { state: "running", atMs: 30 }),
        row(3, { atMs: 20 }),
      ];
      await worker.settle(progress(lease, { low: 3, insert }));
      assert.equal((await tallyOf(ledger, sub)).oldestRowMs, 20);
      await worker.lease({ serves: [{ sub, revision: 1, inFlight: 3 }] });
      await other.lease({
        serves: [
          { sub, revision: 1, inFlight: 4 },
          { sub: sub + 1, revision: 1, inFlight: 5 },
        ],
      });
      assert.equal((await tallyOf(ledger, sub)).inFlight, 7);
      await other.lease({ leave: true });
      assert.equal((await tallyOf(ledger, sub)).inFlight, 3);
    },
  },
  {
    name: "tally: blocked keys are those that dead rows hold",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [
        row(1, { key: "a", state: "dead" }),
        row(2, { key: "b", state: "dead" }),
        row(3, { key: "c", state: "dead", holds: false }),
        row(4, { key: "d", state: "retrying" }),
        row(5, { key: "a" }),
      ];
      await worker.settle(progress(lease, { low: 5, insert }));
      await worker.settle(progress(worker.leaseOf(sub, 1), { low: 5, insert: [row(5, { key: "e", state: "dead" })] }));
      assert.equal((await tallyOf(ledger, sub)).blockedKeys, 3);
    },
  },
];
