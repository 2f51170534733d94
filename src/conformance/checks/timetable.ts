import assert from "node:assert/strict";
import type { DelayedEvent, DelayedQuery, Tick } from "../../engine/timetable.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { attributesText, parseAttributes } from "../../event/envelope.ts";
import { codeOf, differing, effects, event, idsOf, progress, readAll } from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, Worker } from "../worker.ts";

const all = 1_000;
const at = (dueMs: number, one: EncodedEvent = event()): DelayedEvent => ({ event: one, dueMs });

/** What has become a fact, in its order, wherever the ledger puts facts. */
async function facts({ engine: { log, ledger } }: Worker): Promise<readonly string[]> {
  const { sharesLog } = ledger.capabilities;
  return idsOf(sharesLog ? await readAll(log) : (await ledger.outbox(all)).map((row) => row.event));
}
async function start(subject: Subject): Promise<Worker> {
  return Worker.join(subject);
}
const waiting = async ({ ledger }: Worker): Promise<readonly string[]> =>
  idsOf((await ledger.delayed({ limit: all })).map((one) => one.event));

/** What waits is these. A member that is undefined and one that is not there are the same. */
async function assertWaiting(
  { ledger }: Pick<Worker, "ledger">,
  expected: readonly DelayedEvent[],
  query: Partial<DelayedQuery> = {},
): Promise<void> {
  const plain = (events: readonly DelayedEvent[]): unknown => JSON.parse(JSON.stringify(events));
  assert.deepEqual(plain(await ledger.delayed({ limit: all, ...query })), plain(expected));
}

function correlated(correlationId: string): EncodedEvent {
  return event({ attributes: attributesText({ ...parseAttributes(""), correlationId }) });
}
const ticking = (fields: Partial<Tick>): Tick => ({
  schedule: "nightly",
  seenMs: undefined,
  tickMs: 1_000,
  events: [],
  ...fields,
});

const delayChecks: readonly Check[] = [
  {
    name: "delay: an event waits, whole, and is no fact before its time",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const one = event({ data: '{"text":"\\u0000 ü \\ud83d\\ude00","n":1e400}', key: "k\n", group: "g" });
      assert.deepEqual(await worker.ledger.delay([at(5_000.5, one)]), [{ duplicate: false }]);
      await assertWaiting(worker, [at(5_000.5, one)]);
      assert.deepEqual(await worker.ledger.fire(5_000, all), { fired: 0, conflicts: [] });
      assert.deepEqual(await facts(worker), []);
    },
  },
  {
    name: "delay: at its time an event becomes a fact, once, and waits no longer",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const one = event();
      await worker.ledger.delay([at(5_000, one), at(5_001)]);
      assert.deepEqual(await worker.ledger.fire(5_000, all), { fired: 1, conflicts: [] });
      assert.deepEqual(await worker.ledger.fire(5_000, all), { fired: 0, conflicts: [] });
      assert.deepEqual(await facts(worker), [one.id]);
      assert.equal((await waiting(worker)).length, 1);
    },
  },
  {
    name: "delay: what is due at once becomes facts in the order of the times, then of the delays, a page at a time",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const [a, b, c, d] = [event(), event(), event(), event()];
      await worker.ledger.delay([at(3, a), at(2, b)]);
      await worker.ledger.delay([at(2, c), at(1, d)]);
      assert.equal((await worker.ledger.fire(10, 3)).fired, 3);
      assert.deepEqual(await facts(worker), [d.id, b.id, c.id]);
      assert.equal((await worker.ledger.fire(10, 3)).fired, 1);
      assert.deepEqual(await facts(worker), [d.id, b.id, c.id, a.id]);
    },
  },
  {
    name: "delay: a known identity is answered as a duplicate, and its first time stands",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const one = event();
      await worker.ledger.delay([at(100, one)]);
      assert.deepEqual(await worker.ledger.delay([at(1, one), at(5)]), [{ duplicate: true }, { duplicate: false }]);
      assert.equal((await worker.ledger.fire(50, all)).fired, 1);
      assert.deepEqual(await waiting(worker), [one.id]);
    },
  },
  {
    name: "delay: other content under an identity that waits is refused, and nothing of the call stays",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const one = event();
      await worker.ledger.delay([at(100, one)]);
      assert.equal(await codeOf(worker.ledger.delay([at(1), at(100, differing(one))])), "ID_CONFLICT");
      await assertWaiting(worker, [at(100, one)]);
    },
  },
  {
    name: "delay: an identity that stands in the log is a duplicate, or a conflict, and never waits",
    about: "ledger",
    needs: ({ sharesLog }) => sharesLog,
    async run(subject) {
      const worker = await start(subject);
      const one = event();
      await worker.engine.log.append([one]);
      assert.deepEqual(await worker.ledger.delay([at(100, one)]), [{ duplicate: true }]);
      assert.equal(await codeOf(worker.ledger.delay([at(100, differing(one))])), "ID_CONFLICT");
      assert.deepEqual(await waiting(worker), []);
    },
  },
  {
    name: "delay: what was published meanwhile is not stated again; a conflict is told, and the others go on",
    about: "ledger",
    needs: ({ sharesLog }) => sharesLog,
    async run(subject) {
      const worker = await start(subject);
      const [same, other, third] = [event(), event(), event()];
      await worker.ledger.delay([at(1, same), at(2, other), at(3, third)]);
      await worker.engine.log.append([same, differing(other)]);
      const { source, id } = other;
      assert.deepEqual(await worker.ledger.fire(10, all), { fired: 3, conflicts: [{ source, id }] });
      assert.deepEqual(await facts(worker), [same.id, other.id, third.id]);
      assert.deepEqual(await waiting(worker), []);
    },
  },
  {
    name: "delay: a withdrawn event never becomes a fact; what is not there cannot be withdrawn",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const [one, two] = [event(), event()];
      await worker.ledger.delay([at(1, one), at(1, two)]);
      assert.equal(await worker.ledger.cancel(one), true);
      assert.equal(await worker.ledger.cancel(one), false);
      assert.equal(await worker.ledger.cancel({ ...two, source: "another" }), false);
      await worker.ledger.fire(10, all);
      assert.equal(await worker.ledger.cancel(two), false);
      assert.deepEqual(await facts(worker), [two.id]);
    },
  },
  {
    name: "delay: of a withdrawal and a firing at one moment one wins",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const [a, b] = [await Worker.join(subject), await Worker.join(subject)];
      for (let round = 0; round < 10; round++) {
        const one = event();
        await a.ledger.delay([at(1, one)]);
        const [cancelled, { fired }] = await Promise.all([a.ledger.cancel(one), b.ledger.fire(10, all)]);
        // Neither may have come to it yet, but never both.
        assert.ok(!(cancelled && fired > 0));
        await a.ledger.fire(10, all);
        assert.equal((await facts(a)).includes(one.id), !cancelled);
      }
    },
  },
  {
    name: "delay: two processes that fire at one moment state each fact once",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const [a, b] = [await Worker.join(subject), await Worker.join(subject)];
      const events = Array.from({ length: 20 }, () => event());
      await a.ledger.delay(events.map((one) => at(1, one)));
      for (let left = 20; left > 0;) {
        const fired = await Promise.all([a.ledger.fire(10, 3), b.ledger.fire(10, 3)]);
        left -= fired.reduce((sum, one) => sum + one.fired, 0);
      }
      assert.deepEqual((await facts(a)).toSorted(), idsOf(events).toSorted());
    },
  },
  {
    name: "delay: delayed events are listed by time, from one to the next, and by correlation",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const [a, b, c] = [correlated("one"), correlated("two"), correlated("one")];
      await worker.ledger.delay([at(3, a), at(2, b), at(1, c)]);
      await assertWaiting(worker, [at(1, c), at(2, b)], { limit: 2 });
      await assertWaiting(worker, [at(3, a)], { after: { ...b, dueMs: 2 }, limit: 2 });
      await assertWaiting(worker, [at(1, c), at(3, a)], { correlationId: "one" });
    },
  },
  {
    name: "delay: a delivery's delayed events wait when, and only when, it is closed",
    about: "ledger",
    async run(subject) {
      const { worker, lease } = await scene(subject);
      const [one, lostOne] = [event(), event()];
      const settle = (low: number, delayed: readonly DelayedEvent[], token = lease.token) =>
        worker.settle(
          progress({ ...lease, token }, { low, outcomes: { done: 1 }, effects: [effects(low, { delayed })] }),
        );
      assert.equal((await settle(1, [at(100, one)])).status, "ok");
      assert.equal((await settle(2, [at(100, lostOne)], lease.token + 1)).status, "lost");
      assert.equal((await settle(2, [at(1, one)])).status, "ok");
      await assertWaiting(worker, [at(100, one)]);
    },
  },
  {
    name: "delay: a delivery that delays other content under a known identity is refused, and leaves nothing",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const one = event();
      await ledger.delay([at(100, one)]);
      const delayed = [at(1), at(1, differing(one))];
      const change = progress(lease, { low: 7, outcomes: { done: 1 }, effects: [effects(7, { delayed })] });
      const { status, refused } = await worker.settle(change);
      assert.deepEqual([status, refused?.position], ["refused", 7]);
      assert.equal(await codeOf(Promise.reject(refused?.error as Error)), "ID_CONFLICT");
      await assertWaiting(worker, [at(100, one)]);
    },
  },
];

const tickChecks: readonly Check[] = [
  {
    name: "tick: a schedule moves on from what was seen, with its facts",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const [a, b] = [event(), event()];
      assert.equal(await worker.ledger.ticked("nightly"), undefined);
      assert.equal(await worker.ledger.tick(ticking({ events: [a] })), true);
      assert.equal(await worker.ledger.tick(ticking({ seenMs: 1_000, tickMs: 2_000, events: [b] })), true);
      assert.deepEqual(
        [await worker.ledger.ticked("nightly"), await worker.ledger.ticked("other")],
        [2_000, undefined],
      );
      assert.deepEqual(await facts(worker), [a.id, b.id]);
    },
  },
  {
    name: "tick: whoever saw an older tick changes nothing",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      await worker.ledger.tick(ticking({}));
      assert.equal(await worker.ledger.tick(ticking({ tickMs: 5_000, events: [event()] })), false);
      assert.equal(await worker.ledger.tick(ticking({ seenMs: 999, tickMs: 5_000, events: [event()] })), false);
      assert.deepEqual([await worker.ledger.ticked("nightly"), await facts(worker)], [1_000, []]);
    },
  },
  {
    name: "tick: a fact that cannot be stated leaves the schedule where it was",
    about: "ledger",
    async run(subject) {
      const worker = await start(subject);
      const one = event();
      await worker.ledger.tick(ticking({ events: [one] }));
      const next = ticking({ seenMs: 1_000, tickMs: 2_000, events: [event(), differing(one)] });
      assert.equal(await codeOf(worker.ledger.tick(next)), "ID_CONFLICT");
      assert.deepEqual([await worker.ledger.ticked("nightly"), await facts(worker)], [1_000, [one.id]]);
    },
  },
  {
    name: "tick: of two processes at one tick one states the fact",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const [a, b] = [await Worker.join(subject), await Worker.join(subject)];
      const moved = await Promise.all([a, b].map((worker) => worker.ledger.tick(ticking({ events: [event()] }))));
      assert.equal(moved.filter((first) => first).length, 1);
      assert.equal((await facts(a)).length, 1);
    },
  },
];

export const timetableChecks: readonly Check[] = [...delayChecks, ...tickChecks];
