import assert from "node:assert/strict";
import type { DeliveryRef, DeliveryRow } from "../../engine/ledger.ts";
import { at, define, progress, row, rowStates } from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, type Scene } from "../worker.ts";

const placesOf = (rows: readonly DeliveryRow[]): string[] => rows.map(({ slot, position }) => `${slot}.${position}`);

/** Rows in two slots and two subscriptions, due at various times. */
async function manyRows(subject: Subject): Promise<Scene & { readonly other: number }> {
  const given = await scene(subject);
  const { worker, sub, lease } = given;
  const { sub: other, ...rest } = await define(worker.ledger, {}, { name: "billing" });
  await worker.take({ sub: other, ...rest });
  const due = (position: number, dueMs: number, state: "ready" | "retrying" = "ready"): ReturnType<typeof row> =>
    row(position, { key: `k${position}`, dueMs, state, correlationId: `c${position % 2}` });
  await worker.record(
    progress(lease, {
      low: 9,
      insert: [due(1, 300), due(2, 100, "retrying"), due(3, 200), row(4, { key: "k1" }), due(9, 100)],
    }),
    progress(worker.leaseOf(sub, 1), {
      low: 9,
      insert: [due(2, 150), due(5, 100), row(6, { key: "d", state: "dead" })],
    }),
    progress(worker.leaseOf(other), { low: 9, insert: [due(1, 50), row(8, { key: "r", state: "running" })] }),
  );
  return { ...given, other };
}

export const deliveryChecks: readonly Check[] = [
  {
    name: "deliveries: due rows come by due time, of the named slots, up to the limit",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await manyRows(subject);
      const slots = [lease, worker.leaseOf(sub, 1)];
      const due = async (dueMs: number, limit = 100, some = slots): Promise<string[]> =>
        placesOf(await ledger.deliveries({ kind: "due", slots: some, dueMs, limit }));
      const all = await due(1_000);
      assert.deepEqual(all.slice(3), ["1.2", "0.3", "0.1"]);
      assert.deepEqual(all.slice(0, 3).toSorted(), ["0.2", "0.9", "1.5"]);
      assert.deepEqual(await due(200), all.slice(0, 5));
      assert.deepEqual(await due(99), []);
      assert.deepEqual(await due(1_000, 2), all.slice(0, 2));
      assert.deepEqual(await due(150, 100, [slots[1]!]), ["1.5", "1.2"]);
      assert.deepEqual(await due(1_000, 100, []), []);
    },
  },
  {
    name: "deliveries: rows of a state come by subscription, slot and position, page by page",
    about: "ledger",
    async run(subject) {
      const { ledger, sub, other } = await manyRows(subject);
      const ready = ["0.1", "0.3", "0.9", "1.2", "1.5", "0.1"];
      const all = await ledger.deliveries({ kind: "state", state: "ready", limit: 100 });
      assert.deepEqual(placesOf(all), ready);
      assert.deepEqual(
        all.map((one) => one.sub),
        [sub, sub, sub, sub, sub, other],
      );
      for (const limit of [1, 2, 4, 6]) {
        const found: DeliveryRow[] = [];
        for (let after: DeliveryRef | undefined; ; after = found.at(-1)) {
          const page = await ledger.deliveries({
            kind: "state",
            state: "ready",
            limit,
            ...(after === undefined ? {} : { after }),
          });
          assert.ok(page.length <= limit);
          found.push(...page);
          if (page.length < limit) break;
        }
        assert.deepEqual(found, all, `pages of ${limit}`);
      }
    },
  },
  {
    name: "deliveries: rows of a state are found by subscription, key and correlation",
    about: "ledger",
    async run(subject) {
      const { ledger, sub, other } = await manyRows(subject);
      const find = async (fields: { sub?: number; key?: string; correlationId?: string }): Promise<string[]> =>
        placesOf(await ledger.deliveries({ kind: "state", state: "ready", limit: 100, ...fields }));
      assert.deepEqual(await find({ sub: other }), ["0.1"]);
      assert.deepEqual(await find({ sub: sub + other }), []);
      assert.deepEqual(await find({ key: "k1" }), ["0.1", "0.1"]);
      assert.deepEqual(await find({ sub, key: "k1" }), ["0.1"]);
      assert.deepEqual(await find({ correlationId: "c0" }), ["1.2"]);
      assert.deepEqual(await find({ sub, correlationId: "c1" }), ["0.1", "0.3", "0.9", "1.5"]);
      assert.deepEqual(await find({ sub, key: "k3", correlationId: "c0" }), []);
    },
  },
  {
    name: "deliveries: each row is in one state",
    about: "ledger",
    async run(subject) {
      const { ledger } = await manyRows(subject);
      const byState = await Promise.all(
        rowStates.map((state) => ledger.deliveries({ kind: "state", state, limit: 100 })),
      );
      const places = byState.map(placesOf);
      assert.deepEqual(Object.fromEntries(rowStates.map((state, i) => [state, places[i]])), {
        held: ["0.4"],
        ready: ["0.1", "0.3", "0.9", "1.2", "1.5", "0.1"],
        running: ["0.8"],
        retrying: ["0.2"],
        dead: ["1.6"],
        deferred: [],
      });
      for (const [i, state] of rowStates.entries()) for (const one of byState[i]!) assert.equal(one.state, state);
    },
  },
  {
    name: "deliveries: one is found by its reference, or none",
    about: "ledger",
    async run(subject) {
      const { ledger, lease } = await manyRows(subject);
      const one = async (delivery: DeliveryRef): Promise<number> =>
        (await ledger.deliveries({ kind: "one", delivery })).length;
      assert.equal(await one(at(lease, 3)), 1);
      for (const wrong of [{ position: 5 }, { slot: 1 }, { gen: lease.gen + 1 }, { sub: lease.sub + 7 }]) {
        assert.equal(await one({ ...at(lease, 3), ...wrong }), 0);
      }
    },
  },
];
