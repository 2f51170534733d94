import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { limits } from "../../limits.ts";
import { define, progress, row } from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

export const loadChecks: readonly Check[] = [
  {
    name: "load: a new subscription begins at its start",
    about: "ledger",
    async run(subject) {
      const { ledger, engine } = await Worker.join(subject);
      const { sub, gen } = await define(ledger, {}, { start: new Map([[1, 40]]) });
      const states = await ledger.load([
        { sub, gen, slot: 0 },
        { sub, gen, slot: 1 },
      ]);
      const fresh = { ranges: [], suspect: 0, busy: [], deferred: [], seen: [], settled: [] };
      const since = (position: number): ReadonlyMap<string, number> =>
        new Map(["Placed", "Paid"].map((type) => [type, position]));
      assert.deepEqual(states, [
        { slot: { sub, gen, slot: 0 }, low: 0, claim: 0, since: since(0), ...fresh },
        { slot: { sub, gen, slot: 1 }, low: 40, claim: 40, since: since(40), ...fresh },
      ]);
      const one = await define(
        ledger,
        { slots: "one" },
        {
          name: "one",
          start: new Map([
            [0, 30],
            [1, 40],
          ]),
        },
      );
      assert.equal((await ledger.load([{ sub: one.sub, gen: one.gen, slot: 0 }]))[0]!.low, 30);
      assert.ok(engine.log.capabilities.slots > 1);
    },
  },
  {
    name: "load: answers what was recorded, in the order asked, to anyone",
    about: "ledger",
    async run(subject) {
      const { worker, lease, sub } = await scene(subject);
      const other = worker.leaseOf(sub, 1);
      const ranges: [number, number][] = [
        [12, 15],
        [20, 20],
        [1_000, 1_000_000],
      ];
      await worker.record(
        progress(lease, { low: 10, claim: 1_000_001, ranges }),
        progress(other, { low: 4, claim: 6 }),
      );
      const stranger = (await subject.open()).ledger;
      const [second, first] = await stranger.load([other, lease]);
      assert.deepEqual([second!.slot.slot, second!.low, second!.claim, second!.ranges], [1, 4, 6, []]);
      assert.deepEqual([first!.slot.slot, first!.low, first!.claim, first!.ranges], [0, 10, 1_000_001, ranges]);
      await worker.settle(progress(lease, { low: 30, ranges: [[40, 41]] }));
      assert.deepEqual((await stranger.load([lease]))[0]!.ranges, [[40, 41]]);
    },
  },
  {
    name: "load: many ranges come back as they were",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const ranges = Array.from({ length: limits.rangesMax }, (_, i): [number, number] => [
        10 + i * 1_000,
        10 + i * 1_000 + (i % 900),
      ]);
      await worker.settle(progress(lease, { low: 5, ranges }));
      const [state] = await ledger.load([lease]);
      assert.ok(isDeepStrictEqual(state!.ranges, ranges), `${state!.ranges.length} ranges came back, not as they were`);
    },
  },
  {
    name: "load: busy are the keys that rows hold, each once",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [
        row(1, { key: "running", state: "running" }),
        row(2, { key: "running" }),
        row(3, { key: "dead", state: "dead" }),
        row(4, { key: "skipped", state: "dead", holds: false }),
        row(5, { key: "retrying", state: "retrying" }),
      ];
      await worker.settle(progress(lease, { low: 5, insert }));
      await worker.settle(progress(worker.leaseOf(sub, 1), { low: 9, insert: [row(9, { key: "elsewhere" })] }));
      assert.deepEqual((await ledger.load([lease]))[0]!.busy.toSorted(), ["dead", "retrying", "running"]);
    },
  },
  {
    name: "load: identities that were settled are remembered for the window",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub, subscription } = await scene(subject);
      const nowMs = subject.clock.nowMs;
      const seen = [
        { identity: "old", atMs: nowMs - limits.dedupeWindowMs - 1 },
        { identity: "new", atMs: nowMs },
      ];
      await worker.settle(progress(lease, { low: 1, seen }));
      await worker.settle(progress(lease, { low: 2, seen: [{ identity: "newer", atMs: nowMs + 1_000 }] }));
      const next = await Worker.join(subject);
      await next.bury(worker);
      await next.take(subscription);
      assert.deepEqual((await ledger.load([lease]))[0]!.seen.toSorted(), ["new", "newer"]);
      assert.deepEqual((await ledger.load([next.leaseOf(sub, 1)]))[0]!.seen, []);
      subject.clock.nowMs += limits.dedupeWindowMs + 500;
      assert.deepEqual((await ledger.load([lease]))[0]!.seen, ["newer"]);
    },
  },
];
