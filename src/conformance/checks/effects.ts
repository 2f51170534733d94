import assert from "node:assert/strict";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Effects, ProgressChange } from "../../engine/ledger.ts";
import {
  assertHas,
  at,
  closedAs,
  deadWith,
  define,
  differing,
  effects,
  ending,
  event,
  everythingOf,
  idsOf,
  progress,
  readAll,
  retryAt,
  row,
  rowAt,
  statesOf,
} from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, Worker, type Scene } from "../worker.ts";

/** Where emitted events are: in the log, or in the outbox until a relay brings them there. */
async function emitted({ log, ledger }: Engine): Promise<EncodedEvent[]> {
  return ledger.capabilities.sharesLog ? readAll(log) : (await ledger.outbox(10_000)).map((one) => one.event);
}

/** The two ways in which a delivery closes, each with these effects: position 5 has a running row, 6 has none. */
async function closings(
  subject: Subject,
): Promise<Scene & { close: (which: "row" | "no row", given: Partial<Effects>) => Promise<string> }> {
  const given = await scene(subject);
  const { worker, lease } = given;
  await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
  return {
    ...given,
    async close(which, fields) {
      const row = ending(at(lease, 5), 1, closedAs(), effects(5, fields));
      const noRow = progress(lease, { low: 6, outcomes: { done: 1 }, effects: [effects(6, fields)] });
      return (await worker.settle(which === "row" ? row : noRow)).status;
    },
  };
}

export const effectChecks: readonly Check[] = [
  {
    name: "effects: emitted events are there when the delivery is closed, in their order",
    about: "ledger",
    async run(subject) {
      const { worker, close } = await closings(subject);
      const [first, second, third] = [event({ key: "a" }), event({ key: "a" }), event({ key: "a" })];
      assert.equal(await close("row", { emits: [first, second] }), "ok");
      assert.equal(await close("no row", { emits: [third] }), "ok");
      const found = await emitted(worker.engine);
      assert.deepEqual(idsOf(found), idsOf([first, second, third]));
      assertHas(found[0]!, first);
    },
  },
  {
    name: "effects: an attempt that does not close its delivery has none",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [row(5, { state: "running" }), row(6, { key: "z", state: "running" })];
      await worker.settle(progress(lease, { low: 6, insert }));
      const given = { emits: [event()], state: { key: "k", value: "1" } };
      const answers = await worker.record(
        ending(at(lease, 5), 1, retryAt(1), effects(5, given)),
        ending(at(lease, 6), 1, deadWith(), effects(6, given)),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "ok"],
      );
      assert.deepEqual([await emitted(worker.engine), await ledger.states(sub, ["k"])], [[], [undefined]]);
    },
  },
  {
    name: "effects: several deliveries of one change have their effects in order",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const events = Array.from({ length: 6 }, () => event({ key: "a" }));
      const each = [0, 1, 2].map((i) =>
        effects(i + 1, { emits: events.slice(2 * i, 2 * i + 2), state: { key: `k${i}`, value: `${i}` } }),
      );
      await worker.settle(progress(lease, { low: 3, outcomes: { done: 3 }, effects: each }));
      assert.deepEqual(idsOf(await emitted(worker.engine)), idsOf(events));
      assert.deepEqual(await ledger.states(sub, ["k0", "k1", "k2"]), ["0", "1", "2"]);
    },
  },
  {
    name: "effects: a lost change has no effects",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription, sub } = await scene(subject);
      const before = await everythingOf(worker.engine, subscription);
      const all = { emits: [event()], state: { key: "k", value: "1" } };
      const stale = { ...lease, token: lease.token + 1 };
      await worker.record(
        progress(stale, { low: 6, outcomes: { done: 1 }, effects: [effects(6, all)] }),
        ending(at(lease, 5), 1, closedAs(), effects(5, all)),
      );
      assert.deepEqual(await emitted(worker.engine), []);
      assert.deepEqual(await worker.ledger.states(sub, ["k"]), [undefined]);
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
    },
  },
  {
    name: "effects: emitting a known event again is fine",
    about: "ledger",
    async run(subject) {
      const { worker, close } = await closings(subject);
      const one = event();
      assert.equal(await close("row", { emits: [one, one] }), "ok");
      assert.equal(await close("no row", { emits: [event({ ...one, timeMs: 9 })] }), "ok");
      assert.deepEqual(idsOf(await emitted(worker.engine)), [one.id]);
    },
  },
  {
    name: "effects: emitting other content under a known identity is refused, and the change leaves nothing",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription, sub } = await scene(subject);
      const known = event();
      await worker.settle(
        progress(lease, { low: 5, insert: [row(5, { state: "running" })], effects: [effects(4, { emits: [known] })] }),
      );
      const before = [await everythingOf(worker.engine, subscription), await emitted(worker.engine)];
      const state = { key: "k", value: "1" };
      const good = effects(8, { emits: [event()], state });
      const bad = effects(9, { emits: [event(), differing(known)], state });
      const answers = await worker.record(
        ending(at(lease, 5), 1, closedAs(), { ...bad, position: 5 }),
        progress(lease, { low: 9, outcomes: { done: 2 }, insert: [row(7)], effects: [good, bad] }),
      );
      assert.deepEqual(
        answers.map(({ status, refused }) => [status, refused?.position]),
        [
          ["refused", 5],
          ["refused", 9],
        ],
      );
      for (const { refused } of answers) assert.equal((refused!.error as { code?: string }).code, "ID_CONFLICT");
      assert.deepEqual([await everythingOf(worker.engine, subscription), await emitted(worker.engine)], before);
      assert.deepEqual(await worker.ledger.states(sub, ["k"]), [undefined]);
    },
  },
  {
    name: "effects: two deliveries that emit other content under one identity: the second is named",
    about: "ledger",
    async run(subject) {
      const { worker, lease } = await scene(subject);
      const one = event();
      const both = [effects(1, { emits: [one] }), effects(2, { emits: [differing(one)] })];
      const answer = await worker.settle(progress(lease, { low: 2, outcomes: { done: 2 }, effects: both }));
      assert.deepEqual([answer.status, answer.refused?.position], ["refused", 2]);
      assert.deepEqual(await emitted(worker.engine), []);
    },
  },
  {
    name: "effects: a refused change does not take the others with it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const known = event();
      await worker.settle(
        progress(lease, { low: 1, outcomes: { done: 1 }, effects: [effects(1, { emits: [known] })] }),
      );
      const [good, bad, last] = [event(), differing(known), event()];
      const closing = (position: number, emits: EncodedEvent): ProgressChange =>
        progress(lease, { low: position, outcomes: { done: 1 }, effects: [effects(position, { emits: [emits] })] });
      const answers = await worker.record(
        closing(2, good),
        closing(3, bad),
        closing(4, last),
        progress(worker.leaseOf(sub, 1), { low: 7 }),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "refused", "ok", "ok"],
      );
      assert.deepEqual(new Set(idsOf(await emitted(worker.engine))), new Set(idsOf([known, good, last])));
      assert.deepEqual(
        (await ledger.load([lease, worker.leaseOf(sub, 1)])).map(({ low }) => low),
        [4, 7],
      );
    },
  },
  {
    name: "effects: state is set and deleted with the closing",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub, close } = await closings(subject);
      assert.equal(await close("row", { state: { key: "a", value: '{"n":1}' } }), "ok");
      assert.equal(await close("no row", { state: { key: "ü'\"", value: '"\\u0000"' } }), "ok");
      assert.deepEqual(await ledger.states(sub, ["ü'\"", "none", "a", "a"]), [
        '"\\u0000"',
        undefined,
        '{"n":1}',
        '{"n":1}',
      ]);
      const change = [
        effects(7, { state: { key: "a", value: undefined } }),
        effects(8, { state: { key: "ü'\"", value: "2" } }),
      ];
      await worker.settle(progress(lease, { low: 8, outcomes: { done: 2 }, effects: change }));
      assert.deepEqual(await ledger.states(sub, ["a", "ü'\""]), [undefined, "2"]);
      const other = await define(ledger, {}, { name: "billing" });
      assert.deepEqual(await ledger.states(other.sub, ["ü'\""]), [undefined]);
    },
  },
  {
    name: "effects: without the capability a write is refused as NOT_SUPPORTED, and the change leaves nothing",
    about: "ledger",
    needs: ({ writes }) => !writes,
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      const writes = [{ text: ["CREATE TABLE conformance (n INTEGER)"], values: [] }];
      const all = { writes, emits: [event()], state: { key: "k", value: "1" } };
      const answer = await worker.settle(ending(at(lease, 5), 1, closedAs(), effects(5, all)));
      assert.deepEqual([answer.status, answer.refused?.position], ["refused", 5]);
      assert.equal((answer.refused!.error as { code?: string }).code, "NOT_SUPPORTED");
      assert.equal((await rowAt(ledger, at(lease, 5)))!.state, "running");
      assert.deepEqual([await emitted(worker.engine), await ledger.states(sub, ["k"])], [[], [undefined]]);
    },
  },
  {
    name: "effects: with the capability writes stand or fall with the change",
    about: "ledger",
    needs: ({ writes }) => writes,
    async run(subject) {
      const { worker, ledger, lease, sub, subscription } = await scene(subject);
      const statement = (text: string[], ...values: unknown[]): Effects["writes"][number] => ({ text, values });
      const insertOf = (n: number): Effects["writes"][number] =>
        statement(["INSERT INTO conformance (n) VALUES (", ")"], n);
      const close = (position: number, ...writes: Effects["writes"]): ProgressChange =>
        progress(lease, {
          low: position,
          outcomes: { done: 1 },
          effects: [effects(position, { writes, emits: [event()], state: { key: `${position}`, value: "1" } })],
        });
      const create = statement(["CREATE TABLE conformance (n INTEGER PRIMARY KEY)"]);
      assert.equal((await worker.settle(close(1, create, insertOf(1)))).status, "ok");
      const before = [await everythingOf(worker.engine, subscription), await emitted(worker.engine)];
      const answer = await worker.settle(close(2, insertOf(2), insertOf(1)));
      assert.deepEqual([answer.status, answer.refused?.position], ["refused", 2]);
      assert.ok(answer.refused!.error instanceof Error);
      assert.deepEqual([await everythingOf(worker.engine, subscription), await emitted(worker.engine)], before);
      const answers = await worker.record(close(2, insertOf(2)), close(3, insertOf(2)), close(4, insertOf(3)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "refused", "ok"],
      );
      assert.deepEqual(await ledger.states(sub, ["2", "3", "4"]), ["1", undefined, "1"]);
      const stale = { ...lease, token: lease.token + 1 };
      assert.equal((await worker.settle({ ...close(5, insertOf(5)), lease: stale })).status, "lost");
      assert.equal((await worker.settle(close(5, insertOf(5)))).status, "ok");
    },
  },
  {
    name: "effects: what several workers do in turn is all there",
    about: "ledger",
    async run(subject) {
      const { worker, lease, sub, ledger, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      await worker.lease({ giveBack: [worker.leaseOf(sub, 1)] });
      await other.take(subscription, 1);
      const mine = other.leaseOf(sub, 1);
      const events = Array.from({ length: 10 }, () => event());
      const records = events.map((one, i) => {
        const [who, slot] = i % 2 === 0 ? ([worker, lease] as const) : ([other, mine] as const);
        return who.settle(
          progress(slot, { low: i + 1, outcomes: { done: 1 }, effects: [effects(i + 1, { emits: [one] })] }),
        );
      });
      assert.deepEqual(new Set((await Promise.all(records)).map(({ status }) => status)), new Set(["ok"]));
      assert.deepEqual(new Set(idsOf(await emitted(worker.engine))), new Set(idsOf(events)));
      assert.deepEqual(
        (await ledger.load([lease, mine])).map(({ low }) => low),
        [9, 10],
      );
      assert.deepEqual(await statesOf(ledger, sub), {});
    },
  },
];
