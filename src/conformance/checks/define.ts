import assert from "node:assert/strict";
import type { Definition } from "../../engine/ledger.ts";
import { codeOf, define, definition, progress, row, tallyOf } from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

export const defineChecks: readonly Check[] = [
  {
    name: "define: creates a subscription once, at its start",
    about: "ledger",
    async run(subject) {
      const { ledger } = await subject.open();
      const other = (await subject.open()).ledger;
      const start = new Map([
        [0, 30],
        [1, 40],
      ]);
      const created = await define(ledger, {}, { start, baseline: new Map([["Placed", 7]]) });
      assert.deepEqual([created.created, created.revision, created.newest], [true, created.newest, created.revision]);
      assert.deepEqual(
        created.since,
        new Map([
          ["Placed", start],
          ["Paid", start],
        ]),
      );
      const found = await define(other, {}, { start: new Map([[0, 90]]), baseline: new Map([["Placed", 99]]) });
      assert.deepEqual(found, { ...created, created: false });
      const { types, slots, name, state } = await tallyOf(other, created.sub);
      assert.deepEqual(
        types.toSorted((a, b) => a.type.localeCompare(b.type)),
        [
          { type: "Paid", since: start, baseline: 0, matched: 0 },
          { type: "Placed", since: start, baseline: 7, matched: 0 },
        ],
      );
      assert.deepEqual([slots[0]!.low, slots[1]!.low, name, state], [30, 40, "warehouse", "active"]);
    },
  },
  {
    name: "define: of concurrent definitions of one name one creates",
    about: "ledger",
    async run(subject) {
      const ledgers = await Promise.all([1, 2, 3].map(async () => (await subject.open()).ledger));
      const results = await Promise.all(ledgers.map((ledger) => define(ledger)));
      assert.equal(results.filter(({ created }) => created).length, 1);
      assert.equal(new Set(results.map(({ sub }) => sub)).size, 1);
      const other = await define(ledgers[0]!, {}, { name: "billing" });
      assert.notEqual(other.sub, results[0]!.sub);
    },
  },
  {
    name: "define: another definition is a new revision",
    about: "ledger",
    async run(subject) {
      const { ledger } = await subject.open();
      const first = await define(ledger);
      const others: Partial<Definition>[] = [
        { crashesMax: 9 },
        { order: "none" },
        { onExhausted: "stop" },
        { types: ["Placed"] },
      ];
      for (const [i, fields] of others.entries()) {
        const { sub, gen, created, revision, newest } = await define(ledger, fields);
        assert.deepEqual(
          { sub, gen, created, revision, newest },
          { sub: first.sub, gen: first.gen, created: false, revision: i + 2, newest: i + 2 },
        );
        assert.deepEqual((await tallyOf(ledger, sub)).definition, definition(fields));
      }
      assert.equal((await tallyOf(ledger, first.sub)).revision, 5);
    },
  },
  {
    name: "define: types are a set",
    about: "ledger",
    async run(subject) {
      const { ledger } = await subject.open();
      await define(ledger, { types: ["Placed", "Paid"] });
      assert.equal((await define(ledger, { types: ["Paid", "Placed"] })).revision, 1);
    },
  },
  {
    name: "define: an older definition answers its number and stays older, unless it is reinstated",
    about: "ledger",
    async run(subject) {
      const worker = await Worker.join(subject);
      const { ledger } = worker;
      await define(ledger);
      await define(ledger, { crashesMax: 9 });
      const old = await define(ledger);
      assert.deepEqual([old.revision, old.newest], [1, 2]);
      assert.equal((await tallyOf(ledger, old.sub)).definition.crashesMax, 9);
      const again = await define(ledger, {}, { reinstate: true });
      assert.equal(again.revision, again.newest);
      assert.equal((await tallyOf(ledger, old.sub)).definition.crashesMax, 3);
      const after = await define(ledger);
      assert.equal(after.revision, after.newest);
      const passed = await define(ledger, { crashesMax: 9 });
      assert.ok(passed.revision !== passed.newest && passed.newest === after.newest);
      assert.ok((await worker.take(after, 1)).held.length > 0);
    },
  },
  {
    name: "define: types that a newest revision adds count from its start",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, outcomes: { done: 4 } }));
      const start = new Map([
        [0, 60],
        [1, 70],
      ]);
      const { since } = await define(
        ledger,
        { types: ["Placed", "Paid", "Refunded"] },
        {
          start,
          baseline: new Map([
            ["Refunded", 5],
            ["Placed", 50],
          ]),
        },
      );
      assert.deepEqual(
        since,
        new Map([
          ["Placed", new Map()],
          ["Paid", new Map()],
          ["Refunded", start],
        ]),
      );
      const { types, slots } = await tallyOf(ledger, sub);
      const refunded = types.find(({ type }) => type === "Refunded");
      assert.deepEqual(refunded, { type: "Refunded", since: start, baseline: 5, matched: 0 });
      const placed = types.find(({ type }) => type === "Placed");
      assert.deepEqual(placed, { type: "Placed", since: new Map(), baseline: 0, matched: 4 });
      assert.deepEqual([slots[0]!.low, slots[0]!.matched], [10, 4]);
    },
  },
  {
    name: "define: a type that comes back counts anew, and what it matched before stays counted",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, outcomes: { done: 4 }, matched: new Map([["Paid", 4]]) }));
      await define(ledger, { types: ["Placed"] });
      const paid = async (): Promise<unknown> => (await tallyOf(ledger, sub)).types.find(({ type }) => type === "Paid");
      assert.deepEqual(await paid(), { type: "Paid", since: new Map(), baseline: 0, matched: 4 });
      const start = new Map([[0, 60]]);
      const { since, gen } = await define(ledger, {}, { reinstate: true, start, baseline: new Map([["Paid", 9]]) });
      assert.deepEqual(since.get("Paid"), start);
      const [loaded] = await ledger.load([{ sub, gen, slot: 0 }]);
      assert.deepEqual(loaded?.since.get("Paid"), 60);
      assert.deepEqual(await paid(), { type: "Paid", since: start, baseline: 5, matched: 4 });
    },
  },
  {
    name: "define: a newest revision that adds types takes the slots from workers of the older one",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, claim: 50, insert: [row(3, { state: "running" })] }));
      await define(ledger, { crashesMax: 9 });
      assert.equal((await worker.settle(progress(lease, { low: 11 }))).status, "ok");
      await define(ledger, { crashesMax: 9, types: ["Placed", "Paid", "Refunded"] }, { start: new Map([[0, 60]]) });
      assert.equal((await worker.settle(progress(lease, { low: 80 }))).status, "lost");
      assert.deepEqual((await worker.lease()).held, []);
      const [state] = await ledger.load([lease]);
      assert.deepEqual([state!.low, state!.claim, state!.suspect], [11, 11, 0]);
      const { rows, slots } = await tallyOf(ledger, sub);
      assert.deepEqual([rows.running, slots[0]!.session], [1, undefined]);
    },
  },
  {
    name: "define: slots never change",
    about: "ledger",
    async run(subject) {
      const { ledger } = await subject.open();
      const { sub } = await define(ledger);
      assert.equal(await codeOf(define(ledger, { slots: "one" })), "CONFLICT");
      const { definition: kept, revision } = await tallyOf(ledger, sub);
      assert.deepEqual([kept, revision], [definition(), 1]);
      assert.equal((await define(ledger)).revision, 1);
    },
  },
  {
    name: "define: renewing keeps progress and rows",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 10, claim: 20, insert: [row(5, { state: "dead" }), row(6)] }));
      const before = await ledger.load([lease]);
      await define(ledger, { crashesMax: 9 });
      assert.deepEqual(await ledger.load([lease]), before);
      const { rows, slots } = await tallyOf(ledger, sub);
      assert.deepEqual([rows.dead, rows.held, slots[0]!.matched], [1, 1, 2]);
    },
  },
];
