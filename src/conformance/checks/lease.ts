import assert from "node:assert/strict";
import type { LeaseState } from "../../engine/ledger.ts";
import { at, codeOf, define, definition, progress, row, rowAt, starting, tallyOf } from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

const sessionsOf = (state: LeaseState): number[] => state.sessions.map(({ session }) => session);

export const leaseChecks: readonly Check[] = [
  {
    name: "lease: each join makes a session of its own, and no number comes twice",
    about: "ledger",
    async run(subject) {
      const one = await Worker.join(subject);
      const two = await Worker.join(subject);
      const gone = await Worker.join(subject);
      await gone.lease({ leave: true });
      const four = await Worker.join(subject);
      assert.equal(new Set([one.session, two.session, gone.session, four.session]).size, 4);
      assert.deepEqual(sessionsOf(four.state!), [one.session, two.session, four.session]);
    },
  },
  {
    name: "lease: every call is a beat, and others see it with what the session serves",
    about: "ledger",
    async run(subject) {
      const { worker, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      const serves = [{ sub: subscription.sub, revision: 1, inFlight: 3 }];
      const views = [];
      for (const leaseMs of [15_000, 15_000, 9_000]) {
        await worker.lease({ serves, leaseMs });
        views.push((await other.lease()).sessions.find(({ session }) => session === worker.session)!);
      }
      const [first, second, third] = views.map(({ beat }) => beat);
      assert.deepEqual([second! - first!, third! - second!], [1, 1]);
      assert.deepEqual([views[2]!.serves, views[2]!.leaseMs], [serves, 9_000]);
      const own = other.state!.sessions.find(({ session }) => session === other.session);
      assert.ok(own !== undefined, "my own session is among the sessions");
      assert.equal((await tallyOf(worker.ledger, subscription.sub)).inFlight, 3);
    },
  },
  {
    name: "lease: takes free slots until it holds that many",
    about: "ledger",
    async run(subject) {
      const one = await Worker.join(subject);
      const two = await Worker.join(subject);
      const all = one.engine.log.capabilities.slots;
      const subscription = await define(one.ledger);
      await one.take(subscription, 3);
      assert.equal(one.held.length, 3);
      await one.take(subscription, 3);
      assert.equal(one.held.length, 3);
      await one.take(subscription, 0);
      assert.equal(one.held.length, 3);
      await two.take(subscription, all);
      assert.equal(two.held.length, all - 3);
      const slots = [...one.held, ...two.held].map(({ slot }) => slot);
      assert.equal(new Set(slots).size, all);
      const owners = new Map(
        (await tallyOf(one.ledger, subscription.sub)).slots.map(({ slot, session }) => [slot, session]),
      );
      for (const { slot } of one.held) assert.equal(owners.get(slot), one.session);
    },
  },
  {
    name: "lease: fair shares move by giving back and wanting",
    about: "ledger",
    async run(subject) {
      const one = await Worker.join(subject);
      const two = await Worker.join(subject);
      const subscription = await define(one.ledger);
      await one.take(subscription);
      const all = one.held.length;
      const given = one.held.slice(0, Math.floor(all / 2));
      const state = await one.lease({ giveBack: given });
      assert.equal(state.held.length, all - given.length);
      await two.take(subscription, given.length);
      assert.deepEqual(new Set(two.held.map(({ slot }) => slot)), new Set(given.map(({ slot }) => slot)));
      assert.equal(two.held.length, given.length);
      for (const before of given) assert.ok(two.leaseOf(before.sub, before.slot).token > before.token);
    },
  },
  {
    name: "lease: what is held is answered over all subscriptions, at every call",
    about: "ledger",
    async run(subject) {
      const { worker, lease } = await scene(subject);
      const another = await define(worker.ledger, { slots: "one" }, { name: "relay" });
      const before = worker.held;
      await worker.take(another, 5);
      assert.deepEqual(worker.held.length, before.length + 1);
      assert.deepEqual(worker.leaseOf(lease.sub), lease);
      assert.equal(worker.leaseOf(another.sub).slot, 0);
      assert.deepEqual((await worker.lease()).held.length, before.length + 1);
    },
  },
  {
    name: "lease: lists all subscriptions with their newest revision and state",
    about: "ledger",
    async run(subject) {
      const { worker, subscription } = await scene(subject);
      const second = await define(worker.ledger, {}, { name: "billing" });
      await define(worker.ledger, { crashesMax: 9 }, { name: "billing" });
      const { subscriptions } = await worker.lease();
      assert.deepEqual(
        subscriptions.toSorted((a, b) => a.sub - b.sub),
        [
          { sub: subscription.sub, gen: subscription.gen, revision: 1, state: "active" },
          { sub: second.sub, gen: second.gen, revision: 2, state: "active" },
        ],
      );
    },
  },
  {
    name: "lease: only the newest revision takes slots",
    about: "ledger",
    async run(subject) {
      const worker = await Worker.join(subject);
      const old = await define(worker.ledger);
      const renewed = await define(worker.ledger, { crashesMax: 9 });
      assert.deepEqual((await worker.take(old)).held, []);
      assert.deepEqual((await worker.take({ ...renewed, newest: renewed.newest + 1 })).held, []);
      assert.deepEqual((await worker.take({ ...renewed, gen: renewed.gen + 1 })).held, []);
      assert.ok((await worker.take(renewed)).held.length > 0);
    },
  },
  {
    name: "lease: giving back frees a slot uncharged, and its claim falls to low",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, claim: 50 }));
      await worker.lease({ giveBack: [lease] });
      const [state] = await ledger.load([lease]);
      assert.deepEqual([state!.low, state!.claim, state!.suspect], [10, 10, 0]);
      assert.equal((await worker.settle(progress(lease, { low: 11 }))).status, "lost");
      await worker.take(subscription);
      assert.ok(worker.leaseOf(lease.sub).token > lease.token);
    },
  },
  {
    name: "lease: a slot is given back only by its holder under its token",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = await Worker.join(subject);
      await worker.settle(progress(lease, { low: 10, claim: 50 }));
      await other.lease({ giveBack: [lease] });
      await worker.lease({
        giveBack: [
          { ...lease, token: lease.token - 1 },
          { ...lease, token: lease.token + 1 },
        ],
      });
      assert.deepEqual(worker.leaseOf(lease.sub), lease);
      assert.equal((await ledger.load([lease]))[0]!.claim, 50);
      assert.equal((await worker.settle(progress(lease, { low: 11 }))).status, "ok");
    },
  },
  {
    name: "lease: release makes running rows of mine ready again, uncharged",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(
        progress(lease, {
          low: 2,
          insert: [row(1, { state: "running", failures: 2 }), row(2, { key: "k2", state: "running" })],
        }),
      );
      await worker.lease({ release: [{ ...at(lease, 1), rowToken: 1 }] });
      const released = (await rowAt(ledger, at(lease, 1)))!;
      const { state, session, failures, crashes, dueMs } = released;
      assert.deepEqual(
        { state, session, failures, crashes, dueMs },
        { state: "ready", session: undefined, failures: 2, crashes: 0, dueMs: 0 },
      );
      assert.equal((await rowAt(ledger, at(lease, 2)))!.state, "running");
      assert.equal((await worker.settle(starting(lease, 1, released.rowToken))).status, "ok");
    },
  },
  {
    name: "lease: a row is released only by its runner under its token",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = await Worker.join(subject);
      await worker.settle(
        progress(lease, { low: 2, insert: [row(1, { state: "running" }), row(2, { key: "k2", state: "dead" })] }),
      );
      await other.lease({ release: [{ ...at(lease, 1), rowToken: 1 }] });
      await worker.lease({
        release: [
          { ...at(lease, 1), rowToken: 2 },
          { ...at(lease, 2), rowToken: 1 },
        ],
      });
      assert.equal((await rowAt(ledger, at(lease, 1)))!.state, "running");
      assert.equal((await rowAt(ledger, at(lease, 2)))!.state, "dead");
    },
  },
  {
    name: "lease: leaving frees slots and rows uncharged and removes the session",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      await worker.settle(progress(lease, { low: 10, claim: 50, insert: [row(7, { state: "running" })] }));
      const state = await worker.lease({ leave: true });
      assert.deepEqual([state.held, sessionsOf(state)], [[], [other.session]]);
      const [slot] = await ledger.load([lease]);
      assert.deepEqual([slot!.claim, slot!.suspect], [10, 0]);
      const left = (await rowAt(ledger, at(lease, 7)))!;
      assert.deepEqual([left.state, left.session, left.crashes, left.dueMs], ["ready", undefined, 0, 0]);
      assert.equal((await other.take(subscription)).held.length, other.engine.log.capabilities.slots);
      assert.equal(await codeOf(worker.lease()), "LEASE_LOST");
    },
  },
  {
    name: "lease: one call declares dead, gives back and takes, in this order",
    about: "ledger",
    async run(subject) {
      const { worker: dying, lease, subscription } = await scene(subject);
      const billing = await define(dying.ledger, {}, { name: "billing" });
      const worker = await Worker.join(subject);
      await worker.take(billing, 1);
      const mine = worker.leaseOf(billing.sub);
      const want = [subscription, billing].map(({ sub, gen, newest }) => ({ sub, gen, revision: newest, slots: 1 }));
      await worker.bury(dying, { giveBack: [mine], want });
      assert.ok(worker.leaseOf(subscription.sub).token > lease.token);
      const retaken = worker.held.filter(({ sub }) => sub === billing.sub);
      assert.equal(retaken.length, 1);
      assert.notDeepEqual(retaken, [mine]);
    },
  },
  {
    name: "lease: a death that the engine sees at once is told, and no living session is called gone",
    about: "ledger",
    needs: ({ instantDeath }) => instantDeath,
    needsProcesses: true,
    async run(subject) {
      const dying = await Worker.join(subject);
      const worker = await Worker.join(subject);
      const goneOf = (state: LeaseState): boolean[] => state.sessions.map(({ gone }) => gone);
      assert.deepEqual(goneOf(await worker.lease()), [false, false]);
      await dying.ledger.close();
      await dying.engine.log.close();
      assert.deepEqual(goneOf(await worker.lease()), [true, false]);
    },
  },
  {
    name: "lease: where death is not seen at once no session is called gone",
    about: "ledger",
    needs: ({ instantDeath }) => !instantDeath,
    needsProcesses: true,
    async run(subject) {
      const dying = await Worker.join(subject);
      const worker = await Worker.join(subject);
      await dying.ledger.close();
      await dying.engine.log.close();
      assert.deepEqual(
        (await worker.lease()).sessions.map(({ gone }) => gone),
        [false, false],
      );
    },
  },
  {
    name: "lease: one-slot subscriptions have the slot 0 alone",
    about: "ledger",
    async run(subject) {
      const { worker, sub, lease } = await scene(subject, { slots: "one", order: "log" });
      assert.deepEqual(
        worker.held.map(({ slot }) => slot),
        [0],
      );
      assert.deepEqual(
        (await tallyOf(worker.ledger, sub)).slots.map(({ slot }) => slot),
        [0],
      );
      await worker.settle(progress(lease, { low: 9, insert: [row(9, { eventSlot: 1 })] }));
      assert.equal((await rowAt(worker.ledger, at(lease, 9)))!.eventSlot, 1);
      assert.deepEqual((await tallyOf(worker.ledger, sub)).definition, definition({ slots: "one", order: "log" }));
    },
  },
];
