import assert from "node:assert/strict";
import { at, codeOf, define, event, everySlot, idsOf, progress, readAll, row } from "../build.ts";
import type { Check } from "../check.ts";
import { scene } from "../worker.ts";

export const closeChecks: readonly Check[] = [
  {
    name: "close: a closed log refuses every call",
    about: "log",
    needsProcesses: true,
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      await log.close();
      await log.close();
      const calls = [
        () => log.append([event()]),
        () => log.append([]),
        () => log.read({ after: everySlot(other), limit: 1, scanMax: 1 }),
        () => log.fetch([]),
        () => log.count(["Placed"]),
      ];
      for (const call of calls) assert.equal(await codeOf(call()), "CLOSED", call.toString());
      assert.deepEqual(await readAll(other), []);
    },
  },
  {
    name: "close: waits for appends in flight",
    about: "log",
    needsProcesses: true,
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      const batch = [event(), event()];
      const appending = Promise.all(batch.map((one) => log.append([one])));
      await log.close();
      await appending;
      assert.deepEqual(new Set(idsOf(await readAll(other))), new Set(idsOf(batch)));
    },
  },
  {
    name: "close: a closed ledger refuses every call",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = (await subject.open()).ledger;
      const delivery = at(lease, 1);
      await ledger.close();
      await ledger.close();
      const calls = [
        () => worker.lease(),
        () => ledger.load([lease]),
        () => ledger.record(worker.session, [progress(lease, { low: 1 })]),
        () => ledger.record(worker.session, []),
        () => ledger.deliveries({ kind: "one", delivery }),
        () => ledger.failures(delivery),
        () => ledger.states(lease.sub, ["k"]),
        () => ledger.outbox(1),
        () => define(ledger),
        () => ledger.tally(),
      ];
      for (const call of calls) assert.equal(await codeOf(call()), "CLOSED", call.toString());
      assert.equal((await other.load([lease]))[0]!.low, 0);
    },
  },
  {
    name: "close: what a ledger recorded is there for other processes and after all have closed",
    about: "ledger",
    needsProcesses: true,
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      const other = await subject.open();
      const recording = worker.settle(progress(lease, { low: 9, claim: 20, ranges: [[12, 15]], insert: [row(7)] }));
      await ledger.close();
      assert.equal((await recording).status, "ok");
      const before = [await other.ledger.load([lease]), await other.ledger.tally()];
      assert.equal((await other.ledger.load([lease]))[0]!.low, 9);
      for (const engine of [worker.engine, other]) {
        await engine.ledger.close();
        await engine.log.close();
      }
      const reopened = (await subject.open()).ledger;
      assert.deepEqual([await reopened.load([lease]), await reopened.tally()], before);
    },
  },
];
