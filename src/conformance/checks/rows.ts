import assert from "node:assert/strict";
import { limits } from "../../limits.ts";
import {
  assertHas,
  at,
  closedAs,
  codeOf,
  deadWith,
  encodedPart,
  ending,
  event,
  everythingOf,
  failure,
  progress,
  retryAt,
  row,
  rowAt,
  starting,
  statesOf,
  tallyOf,
} from "../build.ts";
import type { Check } from "../check.ts";
import { scene, Worker } from "../worker.ts";

export const rowChecks: readonly Check[] = [
  {
    name: "rows: a row is what was inserted",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const stored = { ...event({ group: "g" }), slot: 3, position: 4, recordedMs: 77 };
      const given = row(4, {
        eventSlot: 3,
        state: "retrying",
        dueMs: 900,
        failures: 2,
        failure: failure("x"),
        event: stored,
      });
      const running = row(5, { key: "k5", state: "running", holds: false });
      await worker.settle(progress(lease, { low: 5, insert: [given, running] }));
      const common = { sub, gen: lease.gen, slot: 0, rowToken: 1, scope: 0, crashes: 0, redriven: false };
      const found = (await rowAt(ledger, at(lease, 4)))!;
      assertHas(found, { ...given, ...common, session: undefined });
      assert.deepEqual(encodedPart(found.event!), encodedPart(stored));
      const { state, dueMs, session, holds, failure: none, event: absent } = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual(
        [state, dueMs, session, holds, none, absent],
        ["running", undefined, worker.session, false, undefined, undefined],
      );
    },
  },
  {
    name: "rows: one delivery has one row",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5)] }));
      const before = await everythingOf(worker.engine, subscription);
      assert.notEqual(await codeOf(worker.settle(progress(lease, { low: 6, insert: [row(5)] }))), "resolved");
      assert.deepEqual(await everythingOf(await subject.open(), subscription), before);
    },
  },
  {
    name: "rows: the ledger decides what is held",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      const insert = [
        row(6, { state: "ready" }),
        row(7, { state: "retrying", dueMs: 9, failures: 1, failure: failure("x") }),
        row(8, { state: "dead", failure: failure("y") }),
        row(9, { key: "other" }),
        row(10),
      ];
      await worker.settle(progress(lease, { low: 10, insert }));
      await worker.settle(progress(worker.leaseOf(sub, 1), { low: 20, insert: [row(20)] }));
      assert.deepEqual(await statesOf(ledger, sub), {
        5: "running",
        6: "held",
        7: "held",
        8: "held",
        9: "ready",
        10: "held",
        20: "ready",
      });
      assert.equal((await rowAt(ledger, at(lease, 7)))!.dueMs, undefined);
      assert.equal((await tallyOf(ledger, sub)).rows.held, 4);
    },
  },
  {
    name: "rows: rows of one change hold each other back",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [row(3, { state: "retrying", dueMs: 50 }), row(4), row(5)];
      await worker.settle(progress(lease, { low: 5, insert }));
      assert.deepEqual(await statesOf(ledger, sub), { 3: "retrying", 4: "held", 5: "held" });
    },
  },
  {
    name: "rows: a later row holds back none before it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 2, ranges: [[9, 9]], insert: [row(9, { state: "running" })] }));
      await worker.settle(progress(lease, { low: 5, ranges: [[9, 9]], insert: [row(5, { state: "ready" })] }));
      assert.deepEqual(await statesOf(ledger, sub), { 5: "ready", 9: "running" });
    },
  },
  {
    name: "rows: a row that runs is never held",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [row(5, { state: "retrying", dueMs: 9 }), row(7, { state: "running" })];
      await worker.settle(progress(lease, { low: 7, insert }));
      assert.deepEqual(await statesOf(ledger, sub), { 5: "retrying", 7: "running" });
    },
  },
  {
    name: "rows: a row that holds nothing is not held and holds back none",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject, { order: "none", onExhausted: "skip-event" });
      const insert = [row(4, { holds: false }), row(5, { holds: false, state: "dead" }), row(6, { holds: false })];
      await worker.settle(progress(lease, { low: 6, insert }));
      assert.deepEqual(await statesOf(ledger, sub), { 4: "ready", 5: "dead", 6: "ready" });
      await worker.settle(progress(lease, { low: 9, insert: [row(7), row(8, { holds: false }), row(9)] }));
      const { 7: first, 8: free, 9: held } = await statesOf(ledger, sub);
      assert.deepEqual([first, free, held], ["ready", "ready", "held"]);
    },
  },
  {
    name: "rows: closing makes exactly the next of the key ready",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [
        row(5, { state: "running" }),
        row(6, { key: "z", state: "running" }),
        row(7),
        row(8, { key: "z" }),
        row(9),
      ];
      await worker.settle(progress(lease, { low: 9, insert }));
      const answer = await worker.settle(ending(at(lease, 5), 1, closedAs()));
      assertHas(answer, { status: "ok", freed: [], promoted: true });
      assert.deepEqual(await statesOf(ledger, sub), { 6: "running", 7: "ready", 8: "held", 9: "held" });
      assert.equal((await rowAt(ledger, at(lease, 7)))!.dueMs, 0);
    },
  },
  {
    name: "rows: closing counts how it ended",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const ends = ["done", "skipped", "discarded", "expired", "duplicate"] as const;
      const insert = ends.map((_, i) => row(i + 1, { key: `k${i}`, state: "running" }));
      await worker.settle(progress(lease, { low: 5, insert }));
      await worker.record(...ends.map((as, i) => ending(at(lease, i + 1), 1, closedAs(as))));
      const { slots, rows } = await tallyOf(ledger, sub);
      assert.deepEqual(slots[0]!.outcomes, { done: 1, skipped: 1, discarded: 1, expired: 1, duplicate: 1 });
      assert.deepEqual([slots[0]!.matched, rows.running], [5, 0]);
    },
  },
  {
    name: "rows: a key is freed with its last row",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6)] }));
      assert.deepEqual((await worker.settle(ending(at(lease, 5), 1, closedAs()))).freed, []);
      const next = (await rowAt(ledger, at(lease, 6)))!;
      assert.deepEqual((await worker.settle(starting(lease, 6, next.rowToken))).freed, []);
      const last = await worker.settle(ending(at(lease, 6), next.rowToken + 1, closedAs()));
      assertHas(last, { status: "ok", freed: ["k"], promoted: false });
      assert.deepEqual((await ledger.load([lease]))[0]!.busy, []);
    },
  },
  {
    name: "rows: a retry keeps the key and is due at its time",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6)] }));
      const answer = await worker.settle(ending(at(lease, 5), 1, retryAt(8_000, 3)));
      assertHas(answer, { status: "ok", freed: [], promoted: false });
      const { state, dueMs, failures, failure: newest, session } = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual(
        { state, dueMs, failures, session },
        { state: "retrying", dueMs: 8_000, failures: 3, session: undefined },
      );
      assert.deepEqual(newest, failure("failure 3"));
      assert.equal((await statesOf(ledger, sub))[6], "held");
    },
  },
  {
    name: "rows: a deferral charges nothing",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running", failures: 2 })] }));
      await worker.settle(ending(at(lease, 5), 1, { state: "ready", dueMs: 8_000, failures: 2 }));
      const { state, dueMs, failures, crashes, failure: none } = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual([state, dueMs, failures, crashes, none], ["ready", 8_000, 2, 0, undefined]);
    },
  },
  {
    name: "rows: a dead row that holds its key blocks it",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6)] }));
      const answer = await worker.settle(ending(at(lease, 5), 1, deadWith()));
      assertHas(answer, { status: "ok", freed: [], promoted: false });
      assert.deepEqual(await statesOf(ledger, sub), { 5: "dead", 6: "held" });
      const { failures, failure: last, dueMs, session } = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual([failures, last, dueMs, session], [8, failure("given up"), undefined, undefined]);
      const { blockedKeys, state } = await tallyOf(ledger, sub);
      assert.deepEqual([blockedKeys, state], [1, "active"]);
    },
  },
  {
    name: "rows: a dead row that does not hold its key lets the next go on",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject, { onExhausted: "skip-event" });
      await worker.settle(progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6), row(7)] }));
      const answer = await worker.settle(ending(at(lease, 5), 1, deadWith({ holds: false })));
      assertHas(answer, { status: "ok", freed: [], promoted: true });
      assert.deepEqual(await statesOf(ledger, sub), { 5: "dead", 6: "ready", 7: "held" });
      await worker.settle(progress(lease, { low: 8, insert: [row(8, { key: "z", state: "running" })] }));
      assert.deepEqual((await worker.settle(ending(at(lease, 8), 1, deadWith({ holds: false })))).freed, ["z"]);
      assert.equal((await tallyOf(ledger, sub)).blockedKeys, 0);
    },
  },
  {
    name: "rows: a dead row that stops its subscription does, inserted or settled",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject, { onExhausted: "stop" });
      const stateNow = async (): Promise<unknown> => (await tallyOf(ledger, sub)).state;
      await worker.settle(
        progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6, { key: "z", state: "dead" })] }),
      );
      assert.equal(await stateNow(), "active");
      await worker.settle(ending(at(lease, 5), 1, deadWith({ stop: true })));
      assert.equal(await stateNow(), "stopped");
      assert.equal((await worker.lease()).subscriptions[0]!.state, "stopped");
    },
  },
  {
    name: "rows: a row inserted as dead may stop its subscription",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject, { onExhausted: "stop" });
      await worker.settle(
        progress(lease, { low: 5, insert: [row(5, { state: "dead", stop: true, failure: failure("poison") })] }),
      );
      assert.equal((await tallyOf(ledger, sub)).state, "stopped");
      assert.equal((await rowAt(ledger, at(lease, 5)))!.failure!.error, "poison");
    },
  },
  {
    name: "rows: only the runner under the row's token ends an attempt, once",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      await worker.settle(progress(lease, { low: 6, insert: [row(5, { state: "running" }), row(6)] }));
      const before = await everythingOf(worker.engine, subscription);
      const close = (rowToken: number, position = 5): ReturnType<typeof ending> =>
        ending(at(lease, position), rowToken, closedAs());
      const lost = [close(0), close(2), close(1, 6), close(1, 4), ending({ ...at(lease, 5), slot: 1 }, 1, closedAs())];
      assert.deepEqual(new Set((await worker.record(...lost)).map(({ status }) => status)), new Set(["lost"]));
      assert.equal((await other.settle(close(1))).status, "lost");
      assert.equal((await ledger.record(other.session + 1, [close(1)]))[0]!.status, "lost");
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      const answers = await worker.record(close(1), close(1), ending(at(lease, 5), 1, retryAt(1)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        ["ok", "lost", "lost"],
      );
    },
  },
  {
    name: "rows: a token ends no attempt but its own",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5, { state: "running" })] }));
      await worker.settle(ending(at(lease, 5), 1, retryAt(1)));
      assert.equal((await worker.settle(ending(at(lease, 5), 1, closedAs()))).status, "lost");
      const { rowToken } = (await rowAt(ledger, at(lease, 5)))!;
      assert.equal((await worker.settle(starting(lease, 5, rowToken))).status, "ok");
      assert.equal((await worker.settle(ending(at(lease, 5), rowToken, closedAs()))).status, "lost");
      assert.equal((await worker.settle(ending(at(lease, 5), rowToken + 1, closedAs()))).status, "ok");
    },
  },
  {
    name: "rows: of two starts of one row one wins",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(progress(lease, { low: 5, insert: [row(5)] }));
      const answers = await Promise.all([worker.settle(starting(lease, 5, 1)), worker.settle(starting(lease, 5, 1))]);
      assert.deepEqual(answers.map(({ status }) => status).toSorted(), ["lost", "ok"]);
      const { state, rowToken, session, dueMs } = (await rowAt(ledger, at(lease, 5)))!;
      assert.deepEqual([state, rowToken, session, dueMs], ["running", 2, worker.session, undefined]);
      assert.equal((await worker.settle(starting(lease, 5, 2))).status, "lost");
    },
  },
  {
    name: "rows: of the rows that hold one key one runs at a time",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease, sub } = await scene(subject);
      const insert = [row(5, { state: "dead", holds: false }), row(6, { state: "running" }), row(7)];
      await worker.settle(progress(lease, { low: 7, insert }));
      await ledger.command({ kind: "redrive", delivery: at(lease, 5), rowToken: 1, nowMs: 0, audit: event() });
      const { rowToken } = (await rowAt(ledger, at(lease, 5)))!;
      const start = { ...starting(lease, 5, rowToken), holds: true };
      assert.equal((await worker.settle(start)).status, "lost");
      assert.deepEqual(await statesOf(ledger, sub), { 5: "ready", 6: "running", 7: "held" });
      await worker.settle(ending(at(lease, 6), 1, retryAt(0)));
      assert.equal((await worker.settle(start)).status, "ok");
      assert.equal((await rowAt(ledger, at(lease, 5)))!.holds, true);
      assert.equal((await worker.settle(starting(lease, 6, 2))).status, "lost");
      await worker.settle(ending(at(lease, 5), rowToken + 1, closedAs()));
      assert.equal((await worker.settle(starting(lease, 6, 2))).status, "ok");
    },
  },
  {
    name: "rows: a start needs the slot's lease, the row's token and a row that waits",
    about: "ledger",
    async run(subject) {
      const { worker, lease, subscription } = await scene(subject);
      const other = await Worker.join(subject);
      const insert = [
        row(5, { state: "retrying" }),
        row(6),
        row(7, { key: "d", state: "dead" }),
        row(8, { key: "r", state: "running" }),
      ];
      await worker.settle(progress(lease, { low: 8, insert }));
      const before = await everythingOf(worker.engine, subscription);
      const stale = { ...lease, token: lease.token + 1 };
      const wrong = [
        starting(stale, 5, 1),
        starting(lease, 5, 2),
        ...[6, 7, 8, 9].map((position) => starting(lease, position, 1)),
      ];
      assert.deepEqual(new Set((await worker.record(...wrong)).map(({ status }) => status)), new Set(["lost"]));
      assert.equal((await other.settle(starting(lease, 5, 1))).status, "lost");
      assert.deepEqual(await everythingOf(worker.engine, subscription), before);
      assert.equal((await worker.settle(starting(lease, 5, 1))).status, "ok");
    },
  },
  {
    name: "rows: failures are kept in their order, the first and the newest within the bound",
    about: "ledger",
    async run(subject) {
      const { worker, ledger, lease } = await scene(subject);
      await worker.settle(
        progress(lease, {
          low: 5,
          insert: [row(5, { state: "retrying", failures: 1, failure: failure("failure 1") })],
        }),
      );
      assert.deepEqual(await ledger.failures(at(lease, 4)), []);
      for (let n = 2; n <= limits.failuresKeptMax + 5; n++) {
        const { rowToken } = (await rowAt(ledger, at(lease, 5)))!;
        await worker.record(starting(lease, 5, rowToken), ending(at(lease, 5), rowToken + 1, retryAt(1, n)));
      }
      const kept = (await ledger.failures(at(lease, 5))).map(({ error }) => Number(error.slice("failure ".length)));
      assert.equal(kept.length, limits.failuresKeptMax);
      assert.deepEqual([kept[0], kept.at(-1)], [1, limits.failuresKeptMax + 5]);
      assert.deepEqual(
        kept,
        kept.toSorted((a, b) => a - b),
      );
    },
  },
];
