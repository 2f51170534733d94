import assert from "node:assert/strict";
import type { TransactionSource } from "../../app/store.ts";
import type { Effects, Ledger, SlotLease } from "../../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../../engine/transact.ts";
import { at, closedAs, codeOf, effects, ending, event, everythingOf, idsOf, progress, readAll } from "../build.ts";
import { differing, retryAt, row, rowAt, starting, statesOf, tallyOf } from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

/** Transactions on the ledger's own connections. */
const sourceOf = ({ capabilities }: Ledger): TransactionSource => ({
  name: "the suite",
  dialect: capabilities.transactions,
  mode: capabilities.transactions === "sqlite" ? "sync" : "async",
  control: "ours",
});

type Settling = Partial<Omit<OwnSettle, "lease" | "position" | "effects">> & { readonly effects?: Partial<Effects> };

function transact(
  worker: Worker,
  lease: SlotLease,
  position: number,
  { effects: given, ...fields }: Settling = {},
): Promise<Transacted> {
  const own = { lease, position, ...fields, ...(given === undefined ? {} : { effects: effects(position, given) }) };
  return transactAll(worker, [own]);
}
function transactAll(worker: Worker, settles: readonly OwnSettle[]): Promise<Transacted> {
  return worker.ledger.transact(
    worker.session,
    request(worker.ledger, () => settles),
  );
}
/** `run` as its source wants it. */
function request(ledger: Ledger, run: () => readonly OwnSettle[]): Transact {
  const source = sourceOf(ledger);
  return { source, run: source.mode === "sync" ? run : async () => run() };
}
const settledOf = async (ledger: Ledger, lease: SlotLease): Promise<readonly number[]> =>
  (await ledger.load([lease]))[0]!.settled;
const eventsOf = async ({ engine, ledger }: Worker): Promise<string[]> =>
  ledger.capabilities.sharesLog
    ? idsOf(await readAll(engine.log))
    : (await ledger.outbox(10_000)).map((waiting) => waiting.event.id);

export const transactChecks: readonly Check[] = [
  {
    name: "transact: a source of another dialect is NOT_SUPPORTED, one of its own is bound",
    about: "ledger",
    async run(subject) {
      const { ledger } = await scene(subject);
      const own = sourceOf(ledger);
      await ledger.bind(own);
      const other = own.dialect === "memory" ? "postgres" : "memory";
      assert.equal(await codeOf(ledger.bind({ ...own, dialect: other })), "NOT_SUPPORTED");
    },
  },
  {
    name: "transact: what it settled stands at once, and load says so until progress has passed it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const [one, two] = [event(), event()];
      const given = { emits: [one, two], state: { key: "k", value: "1" } };
      assert.deepEqual(await transact(worker, lease, 5, { effects: given }), { status: "settled" });
      assert.deepEqual(await transact(worker, lease, 9), { status: "settled" });
      assert.deepEqual([await eventsOf(worker), await ledger.states(sub, ["k"])], [idsOf([one, two]), ["1"]]);
      assert.deepEqual(await settledOf(ledger, lease), [5, 9]);
      await worker.settle(progress(lease, { low: 7, outcomes: { done: 1 } }));
      assert.deepEqual(await settledOf(ledger, lease), [9]);
      await worker.settle(progress(lease, { low: 9, outcomes: { done: 1 } }));
      assert.deepEqual(await settledOf(ledger, lease), []);
      assert.deepEqual(await transact(worker, lease, 9), { status: "lost", position: 9 });
    },
  },
  {
    name: "transact: what rejects, and what the ledger refuses, leaves nothing",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      const known = event();
      await transact(worker, lease, 1, { effects: { emits: [known] } });
      const before = [await everythingOf(worker.engine, subscription), await eventsOf(worker)];
      const thrown = new Error("the handler threw");
      const run = (): never => {
        throw thrown;
      };
      const rejected = await ledger.transact(worker.session, request(ledger, run));
      assert.deepEqual([rejected.status, "error" in rejected && rejected.error === thrown], ["failed", true]);
      const emits = [event(), differing(known)];
      const refused = await transact(worker, lease, 2, { effects: { emits, state: { key: "k", value: "1" } } });
      assert.equal(refused.status, "failed");
      assert.equal("error" in refused && (refused.error as { code?: string }).code, "ID_CONFLICT");
      assert.deepEqual([await everythingOf(worker.engine, subscription), await eventsOf(worker)], before);
      assert.deepEqual(await transact(worker, lease, 2), { status: "settled" });
    },
  },
  {
    name: "transact: one who lost the slot, the row or its session changes nothing",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub, subscription } = await scene(subject);
      const fenced = { effects: { emits: [event()], state: { key: "k", value: "1" } } };
      const other = worker.leaseOf(sub, 1);
      await worker.settle(progress(other, { low: 5, insert: [row(5, { state: "running" })] }));
      const heir = await Worker.join(subject);
      await worker.lease({ giveBack: [lease] });
      await heir.take(subscription, 1);
      const answers = [
        await transact(worker, lease, 3, fenced),
        await transact(heir, lease, 3, fenced),
        await transact(worker, other, 5, { ...fenced, rowToken: 7 }),
        await transact(heir, other, 5, { ...fenced, rowToken: 1 }),
        await transact(worker, other, 6, { ...fenced, rowToken: 1 }),
      ];
      await heir.bury(worker);
      answers.push(await transact(worker, other, 5, { ...fenced, rowToken: 1 }));
      answers.push(await transact(worker, other, 6, fenced));
      assert.deepEqual(
        answers.map(({ status }) => status),
        answers.map(() => "lost"),
      );
      assert.deepEqual([await eventsOf(worker), await ledger.states(sub, ["k"])], [[], [undefined]]);
      assert.deepEqual([await settledOf(ledger, lease), await settledOf(ledger, other)], [[], []]);
    },
  },
  {
    name: "transact: a second one of the same delivery comes to nothing, and is answered stood",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const [first, second] = [event(), event()];
      assert.equal((await transact(worker, lease, 4, { effects: { emits: [first] } })).status, "settled");
      const answer = await transact(worker, lease, 4, { effects: { emits: [second] } });
      assert.deepEqual(answer, { status: "stood", position: 4 });
      assert.deepEqual([await eventsOf(worker), await settledOf(ledger, lease)], [idsOf([first]), [4]]);
    },
  },
  {
    name: "transact: a delivery that got its row while it ran settles under that row, though its slot has gone",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      await worker.lease({ giveBack: [lease] });
      const heir = await Worker.join(subject);
      await heir.take(subscription, 1);
      assert.deepEqual(await transact(worker, lease, 5), { status: "settled" });
      assert.deepEqual(await settledOf(ledger, lease), []);
      assert.equal((await worker.settle(ending(at(lease, 5), 1, closedAs()))).status, "ok");
      assert.equal(await rowAt(ledger, at(lease, 5)), undefined);
    },
  },
  {
    name: "transact: a settled row whose session dies is closed as done and charged nothing; its key goes on",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject, { crashesMax: 1 });
      const rows = [row(5, { state: "running" }), row(6), row(8, { key: "other", state: "running" })];
      await worker.settle(progress(lease, { low: 9, claim: 9, insert: rows }));
      await transact(worker, lease, 5, { rowToken: 1 });
      const before = await tallyOf(ledger, sub);
      const heir = await Worker.join(subject);
      await heir.bury(worker, { crashDueMs: 0 });
      assert.deepEqual(await statesOf(ledger, sub), { 6: "ready", 8: "dead" });
      const { slots } = await tallyOf(ledger, sub);
      const { matched, outcomes } = slots[lease.slot]!;
      assert.deepEqual([matched, outcomes.done], [before.slots[lease.slot]!.matched, 1]);
      assert.deepEqual(await settledOf(ledger, lease), []);
    },
  },
  {
    name: "transact: a settled row that is released, or whose session leaves, is closed as done",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const rows = [5, 6, 7].map((position) => row(position, { key: `k${position}`, state: "running" }));
      await worker.settle(progress(lease, { low: 9, insert: rows }));
      await transact(worker, lease, 5, { rowToken: 1 });
      await transact(worker, lease, 6, { rowToken: 1 });
      await worker.lease({ release: [{ ...at(lease, 5), rowToken: 1 }] });
      assert.deepEqual(await statesOf(ledger, sub), { 6: "running", 7: "running" });
      await worker.lease({ leave: true });
      assert.deepEqual(await statesOf(ledger, sub), { 7: "ready" });
      assert.equal((await tallyOf(ledger, sub)).slots[lease.slot]!.outcomes.done, 2);
    },
  },
  {
    name: "transact: progress that passes a row which was settled keeps what a death would need",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 3, insert: [row(3, { state: "retrying", dueMs: 0 })] }));
      await worker.settle(starting(lease, 3, 1));
      await transact(worker, lease, 3, { rowToken: 2 });
      await worker.settle(progress(lease, { low: 8 }));
      await (await Worker.join(subject)).bury(worker);
      assert.deepEqual(await statesOf(ledger, sub), {});
      assert.equal((await tallyOf(ledger, sub)).slots[lease.slot]!.outcomes.done, 1);
    },
  },
  {
    name: "transact: a row that failed after all keeps its place until it is closed once",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 3, insert: [row(3, { state: "running" })] }));
      await transact(worker, lease, 3, { rowToken: 1, effects: { emits: [event()] } });
      await worker.settle(ending(at(lease, 3), 1, retryAt(0)));
      const token = (await rowAt(ledger, at(lease, 3)))!.rowToken;
      await worker.settle(starting(lease, 3, token));
      const again = await transact(worker, lease, 3, { rowToken: token + 1, effects: { emits: [event()] } });
      assert.deepEqual([again.status, (await eventsOf(worker)).length], ["stood", 1]);
      assert.equal((await worker.settle(ending(at(lease, 3), token + 1, closedAs()))).status, "ok");
      assert.equal((await tallyOf(ledger, sub)).slots[lease.slot]!.outcomes.done, 1);
    },
  },
  {
    name: "transact: several deliveries settle together, or none of them",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const other = worker.leaseOf(sub, 1);
      await worker.settle(progress(other, { low: 5, insert: [row(5, { state: "running" })] }));
      const fact = event();
      const settles = [
        { lease, position: 3 },
        { lease: other, position: 5, rowToken: 1 },
        { lease: other, position: 8, effects: effects(8, { emits: [fact] }) },
      ];
      const stale = { lease: { ...other, token: other.token + 1 }, position: 9 };
      assert.deepEqual(await transactAll(worker, [...settles, stale]), { status: "lost", position: 9 });
      assert.deepEqual([await settledOf(ledger, lease), await settledOf(ledger, other)], [[], []]);
      assert.deepEqual(await eventsOf(worker), []);
      assert.deepEqual(await transactAll(worker, settles), { status: "settled" });
      assert.deepEqual([await settledOf(ledger, lease), await settledOf(ledger, other)], [[3], [8]]);
      assert.deepEqual(await transactAll(worker, [{ lease, position: 4 }, settles[2]!]), {
        status: "stood",
        position: 8,
      });
      assert.deepEqual([await settledOf(ledger, lease), await eventsOf(worker)], [[3], idsOf([fact])]);
    },
  },
];
