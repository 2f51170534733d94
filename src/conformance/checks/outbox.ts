import assert from "node:assert/strict";
import type { AnnounceChange, RelayChange, SlotLease } from "../../engine/ledger.ts";
import {
  assertHas,
  at,
  closedAs,
  define,
  differing,
  effects,
  ending,
  event,
  idsOf,
  progress,
  readAll,
  row,
} from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, Worker, type Scene } from "../worker.ts";

const apart = ({ sharesLog }: { sharesLog: boolean }): boolean => !sharesLog;
const relaying = (lease: SlotLease, ...done: number[]): RelayChange => ({ kind: "relay", lease, done });
const announcing = (lease: SlotLease, one: ReturnType<typeof event>): AnnounceChange => ({
  kind: "announce",
  fence: { lease },
  event: one,
});

/** A worker that also holds the relay's one slot. */
async function withRelay(subject: Subject): Promise<Scene & { readonly relay: SlotLease }> {
  const given = await scene(subject);
  const relay = await define(given.ledger, { types: [], slots: "one", order: "none" }, { name: "relay" });
  await given.worker.take(relay, 1);
  return { ...given, relay: given.worker.leaseOf(relay.sub) };
}

export const outboxChecks: readonly Check[] = [
  {
    name: "outbox: is always empty where log and ledger are one database",
    about: "ledger",
    needs: ({ sharesLog }) => sharesLog,
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const emits = [event(), event()];
      await worker.settle(progress(lease, { low: 1, outcomes: { done: 1 }, effects: [effects(1, { emits })] }));
      await worker.settle(announcing(lease, event()));
      assert.deepEqual(await ledger.outbox(10), []);
      assert.equal((await readAll(worker.engine.log)).length, 3);
    },
  },
  {
    name: "outbox: emitted and announced events wait there in the order of their commits, not in the log",
    about: "ledger",
    needs: apart,
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      const events = Array.from({ length: 5 }, () => event());
      const [a, b, c, d, e] = events;
      const settled = await worker.record(
        progress(lease, { low: 6, outcomes: { done: 1 }, effects: [effects(6, { emits: [a!, b!] })] }),
        announcing(lease, c!),
        ending(at(lease, 5), 1, closedAs(), effects(5, { emits: [d!, e!] })),
      );
      assertHas(settled[1]!.announced!, { appended: undefined, diverged: false });
      const rows = await ledger.outbox(10);
      for (const [i, one] of rows.entries()) assertHas(one.event, events[i]!);
      assert.deepEqual(
        rows.map(({ seq }) => seq),
        rows.map(({ seq }) => seq).toSorted((x, y) => x - y),
      );
      assert.deepEqual(idsOf((await ledger.outbox(2)).map((one) => one.event)), idsOf(events.slice(0, 2)));
      assert.deepEqual(await readAll(worker.engine.log), []);
    },
  },
  {
    name: "outbox: the relay's record removes what it has appended, under its lease",
    about: "ledger",
    needs: apart,
    async run(subject) {
      const { worker, ledger, lease, relay } = await withRelay(subject);
      const emits = [event(), event(), event()];
      await worker.settle(progress(lease, { low: 1, outcomes: { done: 1 }, effects: [effects(1, { emits })] }));
      const rows = await ledger.outbox(2);
      await worker.engine.log.append(rows.map((one) => one.event));
      const done = rows.map(({ seq }) => seq);
      const stale = await worker.settle(relaying({ ...relay, token: relay.token + 1 }, ...done));
      const stranger = await (await Worker.join(subject)).settle(relaying(relay, ...done));
      assert.deepEqual([stale.status, stranger.status, (await ledger.outbox(10)).length], ["lost", "lost", 3]);
      assert.equal((await worker.settle(relaying(relay, ...done))).status, "ok");
      assert.deepEqual(idsOf((await ledger.outbox(10)).map((one) => one.event)), [emits[2]!.id]);
      assert.equal((await worker.settle(relaying(relay, ...done))).status, "ok");
      assert.deepEqual(new Set(idsOf(await readAll(worker.engine.log))), new Set(idsOf(emits.slice(0, 2))));
    },
  },
  {
    name: "outbox: numbers are not given again after the relay has emptied it",
    about: "ledger",
    needs: apart,
    async run(subject) {
      const { worker, ledger, lease, relay } = await withRelay(subject);
      await worker.settle(announcing(lease, event()));
      const [first] = await ledger.outbox(1);
      await worker.settle(relaying(relay, first!.seq));
      await worker.settle(announcing(lease, event()));
      const [second] = await ledger.outbox(1);
      assert.ok(second!.seq > first!.seq);
    },
  },
  {
    name: "outbox: of what waits there the first content of an announced event stands",
    about: "ledger",
    needs: apart,
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const one = event();
      const answers = await worker.record(
        announcing(lease, one),
        announcing(lease, one),
        announcing(lease, differing(one)),
      );
      assert.deepEqual(
        answers.map(({ status, announced }) => [status, announced]),
        [false, false, true].map((diverged) => ["ok", { appended: undefined, diverged }]),
      );
      const [first, ...others] = await ledger.outbox(10);
      assertHas(first!.event, one);
      assert.deepEqual(others, []);
    },
  },
];
