import assert from "node:assert/strict";
import { assertHas, codeOf, define, effects, event, everythingOf, progress, row, statesOf, tallyOf } from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

/** A change that would alter everything a progress change can alter. */
const everything = (lease: Parameters<typeof progress>[0], position: number): ReturnType<typeof progress> =>
  progress(lease, {
    low: position,
    claim: position + 100,
    ranges: [[position + 2, position + 3]],
    outcomes: { done: 1, skipped: 2 },
    insert: [row(position)],
    effects: [effects(position, { emits: [event()], state: { key: "k", value: "1" } })],
    seen: [{ identity: `seen-${position}`, atMs: Date.UTC(2030, 0, 1) }],
  });

export const progressChecks: readonly Check[] = [
  {
    name: "progress: a stale token changes nothing",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription, sub } = await scene(subject);
      await worker.lease({ giveBack: [lease] });
      await worker.take(subscription);
      const before = await everythingOf(worker.engine, subscription);
      for (const token of [lease.token, worker.leaseOf(sub).token + 1]) {
        assertHas(await worker.settle(everything({ ...lease, token }, 5)), {
          status: "lost",
          freed: [],
          promoted: false,
        });
      }
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.deepEqual(await worker.ledger.states(sub, ["k"]), [undefined]);
    },
  },
  {
    name: "progress: another session changes nothing, though the token be right",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      const before = await everythingOf(worker.engine, subscription);
      for (const session of [other.session, other.session + 1]) {
        assert.equal((await ledger.record(session, [everything(lease, 5)]))[0]!.status, "lost");
      }
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.equal((await worker.settle(everything(lease, 5))).status, "ok");
    },
  },
  {
    name: "progress: a session that was declared dead changes nothing, taken over or not",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription } = await scene(subject);
      const worker = await Worker.join(subject);
      await worker.bury(dead);
      for (let time = 0; time < 2; time++) {
        const before = await everythingOf(worker.engine, subscription);
        const changes = [everything(lease, 5), everything({ ...lease, token: lease.token + 1 }, 5)];
        assert.deepEqual(
          (await dead.record(...changes)).map(({ status }) => status),
          ["lost", "lost"],
        );
        assert.deepEqual(await everythingOf(worker.engine, subscription), before);
        await worker.take(subscription);
      }
    },
  },
  {
    name: "progress: a slot that is not there is lost",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription } = await scene(subject);
      const before = await everythingOf(worker.engine, subscription);
      for (const wrong of [{ slot: 1_000 }, { gen: lease.gen + 1 }, { sub: lease.sub + 1 }]) {
        assert.equal((await worker.settle(everything({ ...lease, ...wrong }, 5))).status, "lost");
      }
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
    },
  },
  {
    name: "progress: low never falls",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, outcomes: { done: 1 } }));
      const before = await everythingOf(worker.engine, subscription);
      assert.equal((await worker.settle(progress(lease, { low: 9, outcomes: { done: 1 } }))).status, "lost");
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.equal((await worker.settle(progress(lease, { low: 10, outcomes: { done: 1 } }))).status, "ok");
      assert.equal((await ledger.load([lease]))[0]!.low, 10);
    },
  },
  {
    name: "progress: the claim never falls while the slot is held",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, claim: 500 }));
      assert.equal((await worker.settle(progress(lease, { low: 11, claim: 300 }))).status, "ok");
      const [state] = await ledger.load([lease]);
      assert.deepEqual([state!.low, state!.claim], [11, 500]);
    },
  },
  {
    name: "progress: counts what was matched by type and slot, and what became of it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const outcomes = { done: 5, skipped: 4, discarded: 3, expired: 2, duplicate: 1 };
      await worker.settle(
        progress(lease, {
          low: 20,
          outcomes,
          insert: [row(3)],
          matched: new Map([
            ["Placed", 10],
            ["Paid", 6],
          ]),
        }),
      );
      await worker.settle(progress(worker.leaseOf(sub, 1), { low: 20, outcomes: { done: 1 } }));
      await worker.settle(progress(lease, { low: 21, outcomes: { done: 1 } }));
      const { slots, types } = await tallyOf(ledger, sub);
      assert.deepEqual([slots[0]!.matched, slots[0]!.outcomes], [17, { ...outcomes, done: 6 }]);
      assert.deepEqual([slots[1]!.matched, slots[1]!.outcomes.done], [1, 1]);
      assert.deepEqual(Object.fromEntries(types.map(({ type, matched }) => [type, matched])), { Placed: 12, Paid: 6 });
    },
  },
  {
    name: "progress: counts that do not add up stop everything, and nothing of the call stands",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription, sub } = await scene(subject);
      const before = await everythingOf(worker.engine, subscription);
      const good = progress(worker.leaseOf(sub, 1), { low: 5, outcomes: { done: 1 } });
      for (const matched of [new Map(), new Map([["Placed", 1]]), new Map([["Placed", 3]])]) {
        const bad = progress(lease, { low: 5, outcomes: { done: 1 }, insert: [row(5)], matched });
        assert.equal(await codeOf(worker.record(good, bad)), "ASSERTION");
      }
      const reopened = await subject.open();
      assert.deepEqual(await everythingOf(reopened, subscription), before);
    },
  },
  {
    name: "record: changes stand or fall each alone",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const one = worker.leaseOf(sub, 1);
      const two = worker.leaseOf(sub, 2);
      const stale = { ...one, token: one.token - 1 };
      const answers = await worker.record(
        progress(lease, { low: 5, insert: [row(5)] }),
        progress(stale, { low: 5, insert: [row(5)] }),
        progress(two, { low: 5, insert: [row(5)] }),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "lost", "ok"],
      );
      assert.deepEqual(
        (await ledger.load([lease, one, two])).map(({ low }) => low),
        [5, 0, 5],
      );
    },
  },
  {
    name: "record: changes apply in their order",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const answers = await worker.record(
        progress(lease, { low: 5, insert: [row(5)] }),
        { kind: "start", lease, position: 5, rowToken: 1 },
        progress(lease, { low: 7, insert: [row(7)] }),
        { kind: "row", delivery: { ...lease, position: 5 }, rowToken: 2, to: { state: "closed", as: "done" } },
        progress(lease, { low: 6 }),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "ok", "ok", "ok", "lost"],
      );
      assert.deepEqual(await statesOf(ledger, sub), { 7: "ready" });
      assert.deepEqual(await worker.record(), []);
    },
  },
  {
    name: "record: subscriptions do not touch each other",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = await define(ledger, {}, { name: "billing" });
      await worker.take(other);
      const before = await everythingOf(worker.engine, other);
      await worker.settle(progress(lease, { low: 5, outcomes: { done: 1 }, insert: [row(3, { state: "running" })] }));
      assert.deepEqual(await everythingOf(worker.engine, other), before);
      await worker.settle(progress(worker.leaseOf(other.sub), { low: 5, insert: [row(5)] }));
      assert.deepEqual(await statesOf(ledger, other.sub), { 5: "ready" });
    },
  },
];
