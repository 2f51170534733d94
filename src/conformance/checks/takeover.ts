import assert from "node:assert/strict";
import type { Definition } from "../../engine/ledger.ts";
import {
  at,
  closedAs,
  codeOf,
  define,
  ending,
  everythingOf,
  progress,
  row,
  rowAt,
  starting,
  statesOf,
  tallyOf,
} from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, Worker, type Scene } from "../worker.ts";

/** A scene whose worker dies `times` times with the row at 5 running; later events of its key are held. */
async function crashes(subject: Subject, fields: Partial<Definition>, times: number): Promise<Scene> {
  const first = await scene(subject, fields);
  const insert = [row(5, { state: "running" }), row(7), row(9), row(6, { key: "other" })].toSorted(
    (a, b) => a.position - b.position,
  );
  await first.worker.settle(progress(first.lease, { low: 9, insert }));
  let { worker, lease } = first;
  for (let time = 1; ; time++) {
    const next = await Worker.join(subject);
    await next.bury(worker, { crashDueMs: 7_000 + time });
    await next.take(first.subscription);
    [worker, lease] = [next, next.leaseOf(first.sub)];
    if (time === times) return { ...first, worker, lease, ledger: worker.ledger };
    const { rowToken } = (await rowAt(worker.ledger, at(lease, 5)))!;
    await worker.settle(starting(lease, 5, rowToken));
  }
}

export const takeoverChecks: readonly Check[] = [
  {
    name: "takeover: a session is removed only if its beat stood still",
    about: "ledger",
    async run(subject) {
      const living = await Worker.join(subject);
      const worker = await Worker.join(subject);
      const subscription = await define(living.ledger);
      await living.take(subscription);
      const { sessions } = await worker.lease();
      await living.lease();
      const state = await worker.lease({ dead: sessions.filter(({ session }) => session === living.session) });
      assert.equal(state.sessions.length, 2);
      const before = living.held;
      assert.deepEqual((await living.lease()).held, before);
      assert.equal((await worker.bury(living)).sessions.length, 1);
    },
  },
  {
    name: "takeover: who was declared dead gets LEASE_LOST, and nothing else happens",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription } = await scene(subject);
      const worker = await Worker.join(subject);
      await worker.bury(dead);
      await worker.take(subscription, 1);
      const before = await everythingOf(worker.engine, subscription);
      const { sessions } = await worker.lease();
      const want = [{ sub: subscription.sub, gen: subscription.gen, revision: 1, slots: 9 }];
      assert.equal(await codeOf(dead.lease({ dead: sessions, want, giveBack: [lease], leave: true })), "LEASE_LOST");
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.deepEqual((await worker.lease()).sessions.length, 1);
    },
  },
  {
    name: "takeover: slots of the dead become free under a new token, with their progress",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription } = await scene(subject);
      await dead.settle(progress(lease, { low: 10, claim: 50, ranges: [[12, 14]], outcomes: { done: 4 } }));
      const worker = await Worker.join(subject);
      assert.deepEqual((await worker.take(subscription)).held, []);
      await worker.bury(dead);
      await worker.take(subscription);
      assert.equal(worker.held.length, worker.engine.log.capabilities.slots);
      assert.ok(worker.leaseOf(lease.sub).token > lease.token);
      const [state] = await worker.ledger.load([lease]);
      assert.deepEqual([state!.low, state!.ranges], [10, [[12, 14]]]);
    },
  },
  {
    name: "takeover: unreported events up to the claim become suspects",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription, ledger } = await scene(subject);
      await dead.settle(progress(lease, { low: 10, claim: 50 }));
      const second = await Worker.join(subject);
      await second.bury(dead);
      assert.equal((await ledger.load([lease]))[0]!.suspect, 50);
      await second.take(subscription);
      await second.settle(progress(second.leaseOf(lease.sub), { low: 20 }));
      await second.lease({ giveBack: second.held });
      const [given] = await ledger.load([lease]);
      assert.deepEqual([given!.suspect, given!.claim], [50, 20]);
      await second.take(subscription);
      await second.settle(progress(second.leaseOf(lease.sub), { low: 21, claim: 40 }));
      const third = await Worker.join(subject);
      await third.bury(second);
      assert.equal((await ledger.load([lease]))[0]!.suspect, 50);
    },
  },
  {
    name: "takeover: suspicion ends with the progress that reaches it",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription, ledger } = await scene(subject);
      await dead.settle(progress(lease, { low: 10, claim: 50 }));
      const worker = await Worker.join(subject);
      await worker.bury(dead);
      await worker.take(subscription);
      const mine = worker.leaseOf(lease.sub);
      await worker.settle(progress(mine, { low: 49 }));
      assert.equal((await ledger.load([lease]))[0]!.suspect, 50);
      await worker.settle(progress(mine, { low: 50 }));
      assert.equal((await ledger.load([lease]))[0]!.suspect, 0);
    },
  },
  {
    name: "takeover: charges a crash to the rows that the dead session ran, and to nothing else",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription, ledger } = await scene(subject);
      const insert = [
        row(1, { key: "a", state: "running", failures: 2 }),
        row(2, { key: "b", state: "retrying", dueMs: 5, failures: 1 }),
        row(3, { key: "c", state: "dead" }),
        row(4, { key: "d" }),
        row(5, { key: "e", state: "running" }),
      ];
      await dead.settle(progress(lease, { low: 5, insert }));
      const worker = await Worker.join(subject);
      await dead.lease({ giveBack: [lease] });
      await worker.take(subscription, 1);
      await worker.settle(starting(worker.leaseOf(lease.sub), 4, 1));
      await worker.bury(dead, { crashDueMs: 9_000 });
      const rows = await Promise.all(insert.map(({ position }) => rowAt(ledger, at(lease, position))));
      assert.deepEqual(
        rows.map((one) => one!.crashes),
        [1, 0, 0, 0, 1],
      );
      assert.deepEqual(
        rows.map((one) => one!.state),
        ["ready", "retrying", "dead", "running", "ready"],
      );
      const { dueMs, failures, session } = rows[0]!;
      assert.deepEqual({ dueMs, failures, session }, { dueMs: 9_000, failures: 2, session: undefined });
    },
  },
  {
    name: "takeover: who ran a row and was declared dead cannot settle it",
    about: "ledger",
    async run(subject) {
      const { worker: dead, lease, subscription } = await scene(subject);
      await dead.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      const worker = await Worker.join(subject);
      await worker.bury(dead);
      const before = await everythingOf(worker.engine, subscription);
      assert.equal((await dead.settle(ending(at(lease, 5), 1, closedAs()))).status, "lost");
      assert.equal((await dead.settle(progress(lease, { low: 9, outcomes: { done: 1 } }))).status, "lost");
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      await worker.take(subscription);
      const { rowToken } = (await rowAt(worker.ledger, at(lease, 5)))!;
      await worker.settle(starting(worker.leaseOf(lease.sub), 5, rowToken));
      for (const token of [1, rowToken, rowToken + 1]) {
        assert.equal((await dead.settle(ending(at(lease, 5), token, closedAs()))).status, "lost");
      }
    },
  },
  {
    name: "takeover: at the crash limit the row is dead with a failure of class crash",
    about: "ledger",
    async run(subject) {
      const { ledger, lease, sub } = await crashes(subject, { crashesMax: 2 }, 2);
      const dead = (await rowAt(ledger, at(lease, 5)))!;
      const { state, crashes: charged, failures, dueMs, session } = dead;
      assert.deepEqual(
        { state, charged, failures, dueMs, session },
        { state: "dead", charged: 2, failures: 0, dueMs: undefined, session: undefined },
      );
      const history = await ledger.failures(at(lease, 5));
      assert.deepEqual([history.at(-1)!.class, history.at(-1)!.atMs], ["crash", subject.clock.nowMs]);
      assert.equal(dead.failure?.class, "crash");
      assert.equal((await tallyOf(ledger, sub)).rows.dead, 1);
    },
  },
  {
    name: "takeover: below the crash limit the row is due again",
    about: "ledger",
    async run(subject) {
      const { ledger, lease } = await crashes(subject, { crashesMax: 3 }, 2);
      const again = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual([again.state, again.crashes, again.dueMs], ["ready", 2, 7_002]);
    },
  },
  {
    name: "takeover: death by crashes holds the key where the definition says hold-key",
    about: "ledger",
    async run(subject) {
      const { ledger, lease, sub } = await crashes(subject, { crashesMax: 1, onExhausted: "hold-key" }, 1);
      assert.deepEqual(await statesOf(ledger, sub), { 5: "dead", 6: "ready", 7: "held", 9: "held" });
      const { rows, blockedKeys, state } = await tallyOf(ledger, sub);
      assert.deepEqual([rows.held, blockedKeys, state], [2, 1, "active"]);
      assert.ok((await ledger.load([lease]))[0]!.busy.includes("k"));
    },
  },
  {
    name: "takeover: death by crashes frees the next of the key where the definition says skip-event",
    about: "ledger",
    async run(subject) {
      const { ledger, lease, sub } = await crashes(subject, { crashesMax: 1, onExhausted: "skip-event" }, 1);
      assert.deepEqual(await statesOf(ledger, sub), { 5: "dead", 6: "ready", 7: "ready", 9: "held" });
      assert.equal((await rowAt(ledger, at(lease, 5)))!.holds, false);
      assert.equal((await tallyOf(ledger, sub)).blockedKeys, 0);
    },
  },
  {
    name: "takeover: death by crashes stops the subscription where the definition says stop",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, sub } = await crashes(subject, { crashesMax: 1, onExhausted: "stop" }, 1);
      assert.equal((await statesOf(ledger, sub))[5], "dead");
      assert.equal((await tallyOf(ledger, sub)).state, "stopped");
      assert.equal((await worker.lease()).subscriptions[0]!.state, "stopped");
    },
  },
];
