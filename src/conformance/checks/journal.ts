import assert from "node:assert/strict";
import type { StepChange, StepRecord, Wait } from "../../engine/journal.ts";
import type { DeliveryRef } from "../../engine/ledger.ts";
import { limits } from "../../limits.ts";
import {
  assertHas,
  at,
  closedAs,
  codeOf,
  deadWith,
  ending,
  event,
  progress,
  row,
  rowAt,
  starting,
  statesOf,
  tallyOf,
} from "../build.ts";
import type { Check, Subject } from "../check.ts";
import { scene, type Scene, Worker } from "../worker.ts";

interface Run extends Scene {
  readonly delivery: DeliveryRef;
  /** A step of the running delivery moves on. */
  readonly step: (name: string, to: StepChange["to"], rowToken?: number) => ReturnType<Worker["settle"]>;
  readonly steps: (scope?: number) => Promise<readonly StepRecord[]>;
}

/** A delivery that runs, at position 5 of key "k". */
async function running(subject: Subject): Promise<Run> {
  const given = await scene(subject);
  const { worker, lease, ledger } = given;
  await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
  const delivery = at(lease, 5);
  return {
    ...given,
    delivery,
    step: (name, to, rowToken = 1) => worker.settle({ kind: "step", delivery, rowToken, name, atMs: 7_000, to }),
    steps: (scope = 0) => ledger.steps(delivery, scope),
  };
}
const started = (attempts = 1): StepChange["to"] => ({ state: "started", version: "v1", attempts });
const done = (value: unknown): StepChange["to"] => ({ state: "done", value: JSON.stringify(value) });
const waiting = (fields: Partial<Wait>): StepChange["to"] => ({
  state: "waiting",
  version: "",
  wait: { kind: "event", dueMs: 50_000, types: [], key: undefined, after: 0, about: undefined, ...fields },
});
const forPaid = waiting({ types: ["Paid", "Refunded"], key: "order", after: 5 });
const suspended = (fields: object = {}) =>
  ({ state: "retrying", dueMs: 50_000, failures: 0, waits: true, ...fields }) as const;
const paid = (position: number, type = "Paid") => ({ type, key: "order", position });
const namesOf = (steps: readonly StepRecord[]): string[] => steps.map(({ name }) => name);

const stepChecks: readonly Check[] = [
  {
    name: "step: a step is kept as it moves on, by its name, with its attempts, usage and value",
    about: "ledger",
    async run(subject) {
      const { step, steps } = await running(subject);
      await step("b", started());
      await step("a/x#2", started(2));
      assertHas((await steps())[1]!, {
        name: "b",
        state: "started",
        version: "v1",
        attempts: 1,
        atMs: 7_000,
        value: undefined,
      });
      assert.deepEqual(namesOf(await steps()), ["a/x#2", "b"]);
      await step("b", { state: "done", value: '{"n":1.50,"t":"\\u0000ü"}', usage: '{"tokens":3}' });
      await step("a/x#2", { state: "failed", usage: '{"tokens":1}' });
      const [a, b] = await steps();
      assertHas(a!, { state: "failed", attempts: 2, value: undefined, usage: '{"tokens":1}' });
      assertHas(b!, {
        state: "done",
        attempts: 1,
        value: '{"n":1.50,"t":"\\u0000ü"}',
        usage: '{"tokens":3}',
        found: [],
      });
    },
  },
  {
    name: "step: what is done stays as it is, and is told to whoever would do it again",
    about: "ledger",
    async run(subject) {
      const { step, steps } = await running(subject);
      await step("a", done("first"));
      assert.equal((await step("a", done("second"))).stood, '"first"');
      assert.equal((await step("a", started(9))).stood, '"first"');
      assert.equal((await step("a", { state: "dropped" })).stood, '"first"');
      assertHas((await steps())[0]!, { state: "done", value: '"first"' });
    },
  },
  {
    name: "step: a large value is loaded when it is asked for",
    about: "ledger",
    async run(subject) {
      const { step, steps, ledger, delivery } = await running(subject);
      const large = "ü".repeat(limits.stepInlineBytes / 2);
      await step("large", done(large));
      await step("small", done("s"));
      const [first, second] = await steps();
      assert.deepEqual([first!.value, first!.bytes], [undefined, limits.stepInlineBytes + 2]);
      assert.deepEqual([second!.value, second!.bytes], ['"s"', 3]);
      assert.equal(await ledger.stepValue(delivery, 0, "large"), JSON.stringify(large));
      assert.equal(await ledger.stepValue(delivery, 0, "none"), undefined);
    },
  },
  {
    name: "step: only the holder of the running row writes",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, delivery } = await running(subject);
      const stranger = await Worker.join(subject);
      const change = { kind: "step", delivery, rowToken: 1, name: "a", atMs: 1, to: started() } as const;
      assert.equal((await step("a", started(), 2)).status, "lost");
      assert.equal((await stranger.settle(change)).status, "lost");
      await worker.settle(ending(delivery, 1, { state: "retrying", dueMs: 1, failures: 1 }));
      assert.equal((await step("a", started())).status, "lost");
      assert.deepEqual(await steps(), []);
    },
  },
  {
    name: "step: steps outlive attempt, crash and redrive; a fresh redrive has none of them",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, ledger, delivery } = await running(subject);
      await step("a", done(1));
      await worker.settle(ending(delivery, 1, deadWith()));
      const redrive = async (fresh: boolean): Promise<void> => {
        const { rowToken } = (await rowAt(ledger, delivery))!;
        await ledger.command({ kind: "redrive", delivery, rowToken, nowMs: 1, fresh, audit: event() });
      };
      await redrive(false);
      const found = (await rowAt(ledger, delivery))!;
      assert.deepEqual([found.scope, namesOf(await steps(found.scope))], [0, ["a"]]);
      await worker.settle(starting(worker.leaseOf(delivery.sub), 5, found.rowToken));
      await worker.settle(ending(delivery, found.rowToken + 1, deadWith()));
      await redrive(true);
      const fresh = (await rowAt(ledger, delivery))!;
      assert.deepEqual([fresh.scope, await steps(fresh.scope)], [1, []]);
      assert.deepEqual(namesOf(await steps(0)), ["a"]);
    },
  },
  {
    name: "step: a redrive forgets the steps that it names, and no others",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, ledger, delivery } = await running(subject);
      for (const name of ["a", "b", "b/c"]) await step(name, done(name));
      await step("paid", forPaid);
      await worker.settle(ending(delivery, 1, deadWith()));
      const { rowToken } = (await rowAt(ledger, delivery))!;
      const drop = ["b", "paid", "none"];
      await ledger.command({ kind: "redrive", delivery, rowToken, nowMs: 1, drop, audit: event() });
      assert.deepEqual(namesOf(await steps()), ["a", "b/c"]);
      assert.deepEqual(await ledger.awaited(), []);
      assert.equal((await rowAt(ledger, delivery))?.scope, 0);
    },
  },
];

const waitChecks: readonly Check[] = [
  {
    name: "wait: a delivery that waits holds no process, is counted, and is due at its time",
    about: "ledger",
    async run(subject) {
      const { step, worker, ledger, delivery, lease, sub } = await running(subject);
      await step("pause", waiting({ kind: "sleep" }));
      await worker.settle(ending(delivery, 1, suspended()));
      assertHas((await rowAt(ledger, delivery))!, {
        state: "retrying",
        waits: true,
        dueMs: 50_000,
        session: undefined,
      });
      assert.equal((await tallyOf(ledger, sub)).waiting, 1);
      const { rowToken } = (await rowAt(ledger, delivery))!;
      const due = await ledger.deliveries({ kind: "due", slots: [lease], dueMs: 50_000, limit: 9 });
      assert.deepEqual(
        due.map(({ position }) => position),
        [5],
      );
      assert.equal((await worker.settle(starting(lease, 5, rowToken))).status, "ok");
      assertHas((await rowAt(ledger, delivery))!, { state: "running", waits: false });
      assert.equal((await tallyOf(ledger, sub)).waiting, 0);
    },
  },
  {
    name: "wait: a signal of an awaited type and key, from behind, makes the delivery due at once, and is remembered",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, ledger, delivery } = await running(subject);
      await step("paid", forPaid);
      await worker.settle(ending(delivery, 1, suspended()));
      assert.deepEqual(
        (await ledger.awaited()).toSorted((a, b) => (a < b ? -1 : 1)),
        ["Paid", "Refunded"],
      );
      assert.equal(await ledger.signal(paid(5)), 0);
      assert.equal(await ledger.signal({ ...paid(9), key: "another" }), 0);
      assert.equal(await ledger.signal({ ...paid(9), type: "Placed" }), 0);
      assertHas((await rowAt(ledger, delivery))!, { state: "retrying" });
      assert.equal(await ledger.signal(paid(9)), 1);
      assertHas((await rowAt(ledger, delivery))!, { state: "ready", waits: false, dueMs: 0 });
      await ledger.signal(paid(7, "Refunded"));
      await ledger.signal(paid(9));
      assert.deepEqual((await steps())[0]!.found, [7, 9]);
    },
  },
  {
    name: "wait: a signal that comes while the handler runs makes it due as soon as it waits",
    about: "ledger",
    async run(subject) {
      const { step, worker, ledger, delivery } = await running(subject);
      await step("paid", forPaid);
      assert.equal(await ledger.signal(paid(9)), 1);
      assertHas((await rowAt(ledger, delivery))!, { state: "running" });
      const settled = await worker.settle(ending(delivery, 1, suspended()));
      assert.deepEqual([settled.status, settled.promoted], ["ok", true]);
      assertHas((await rowAt(ledger, delivery))!, { state: "ready", waits: false, dueMs: 0 });
      const { rowToken } = (await rowAt(ledger, delivery))!;
      await worker.settle(starting(worker.leaseOf(delivery.sub), 5, rowToken));
      await worker.settle(ending(delivery, rowToken + 1, suspended()));
      assertHas((await rowAt(ledger, delivery))!, { state: "retrying", waits: true });
    },
  },
  {
    name: "wait: a signal does not hasten what failed",
    about: "ledger",
    async run(subject) {
      const { step, worker, ledger, delivery } = await running(subject);
      await step("paid", forPaid);
      await worker.settle(ending(delivery, 1, { state: "retrying", dueMs: 60_000, failures: 1 }));
      await ledger.signal(paid(9));
      assertHas((await rowAt(ledger, delivery))!, { state: "retrying", dueMs: 60_000 });
    },
  },
  {
    name: "wait: what is done, dropped, closed or looked for elsewhere is awaited no longer",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, ledger, delivery } = await running(subject);
      await step("a", forPaid);
      await step("a", done(null));
      await step("b", forPaid);
      await step("b", { state: "dropped" });
      assert.deepEqual([await ledger.awaited(), namesOf(await steps())], [[], ["a"]]);
      await step("c", forPaid);
      await step("c", waiting({ types: ["Refunded"], key: "order", after: 20 }));
      assert.deepEqual(await ledger.awaited(), ["Refunded"]);
      assert.equal(await ledger.signal(paid(9, "Refunded")), 0);
      await worker.settle(ending(delivery, 1, closedAs()));
      assert.equal(await ledger.signal(paid(30, "Refunded")), 0);
      assert.deepEqual(await ledger.awaited(), []);
    },
  },
  {
    name: "wait: a delivery that lets go of its key while it waits lets the next one run",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, delivery, lease, sub } = await running(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(6)] }));
      assert.deepEqual(await statesOf(ledger, sub), { 5: "running", 6: "held" });
      const settled = await worker.settle(ending(delivery, 1, suspended({ holds: false })));
      assert.equal(settled.promoted, true);
      assert.deepEqual(await statesOf(ledger, sub), { 5: "retrying", 6: "ready" });
      const begin = async (position: number, holds?: boolean) => {
        const { rowToken } = (await rowAt(ledger, { ...delivery, position }))!;
        return (await worker.settle({ ...starting(lease, position, rowToken), ...(holds ? { holds } : {}) })).status;
      };
      assert.equal(await begin(6), "ok");
      assert.equal(await begin(5, true), "lost");
    },
  },
];

const approvalChecks: readonly Check[] = [
  {
    name: "approval: approvals that wait are listed by their delivery, from one to the next",
    about: "ledger",
    async run(subject) {
      const { step, worker, ledger, delivery, lease } = await running(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(6, { state: "running", key: "other" })] }));
      const asked = waiting({ kind: "approval", about: '{"summary":"refund?"}', dueMs: undefined });
      await step("b", asked);
      await step("a", asked);
      await step("paid", forPaid);
      await worker.settle({ kind: "step", delivery: at(lease, 6), rowToken: 1, name: "a", atMs: 1, to: asked });
      const first = await ledger.waits({ kind: "approval", limit: 2 });
      assert.deepEqual(
        first.map(({ delivery: { position }, step: { name } }) => [position, name]),
        [
          [5, "a"],
          [5, "b"],
        ],
      );
      assertHas(first[0]!, { delivery, scope: 0 });
      assertHas(first[0]!.step.wait!, { about: '{"summary":"refund?"}', dueMs: undefined });
      const rest = await ledger.waits({ kind: "approval", after: first[1]!, limit: 9 });
      assert.deepEqual(
        rest.map(({ delivery: { position } }) => position),
        [6],
      );
      await worker.settle(ending(at(lease, 6), 1, closedAs()));
      assert.equal((await ledger.waits({ kind: "approval", limit: 9 })).length, 2);
    },
  },
  {
    name: "approval: the first answer is the step's value, wakes its delivery, and is a fact",
    about: "ledger",
    async run(subject) {
      const { step, steps, worker, ledger, delivery } = await running(subject);
      await step("ok", waiting({ kind: "approval" }));
      await worker.settle(ending(delivery, 1, suspended()));
      const audit = event();
      const answer = {
        kind: "answer",
        delivery,
        scope: 0,
        step: "ok",
        value: '{"approved":true}',
        nowMs: 9_000,
      } as const;
      await ledger.command({ ...answer, audit });
      assertHas((await steps())[0]!, { state: "done", value: '{"approved":true}', atMs: 9_000, wait: undefined });
      assertHas((await rowAt(ledger, delivery))!, { state: "ready", dueMs: 0 });
      assert.equal(await codeOf(ledger.command({ ...answer, value: "false", audit: event() })), "CONFLICT");
      assert.equal(await codeOf(ledger.command({ ...answer, step: "none", audit: event() })), "NOT_FOUND");
      assertHas((await steps())[0]!, { value: '{"approved":true}' });
      const { sharesLog } = ledger.capabilities;
      const facts = sharesLog
        ? (await worker.engine.log.count([audit.type])).appended.get(audit.type)
        : (await ledger.outbox(9)).length;
      assert.equal(facts, 1);
    },
  },
  {
    name: "approval: an answer that came first stands against the handler's own end of it",
    about: "ledger",
    async run(subject) {
      const { step, ledger, delivery } = await running(subject);
      await step("ok", waiting({ kind: "approval" }));
      await ledger.command({ kind: "answer", delivery, scope: 0, step: "ok", value: "true", nowMs: 1, audit: event() });
      assert.equal((await step("ok", done(false))).stood, "true");
      await step("no", waiting({ kind: "approval" }));
      assert.equal((await step("no", done(false))).stood, undefined);
      const late = { kind: "answer", delivery, scope: 0, step: "no", value: "true", nowMs: 1, audit: event() } as const;
      assert.equal(await codeOf(ledger.command(late)), "CONFLICT");
    },
  },
];

export const journalChecks: readonly Check[] = [...stepChecks, ...waitChecks, ...approvalChecks];
