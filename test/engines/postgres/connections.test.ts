/** Connections end at any moment: what was acknowledged is there, what was not is there once or never. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { effects, event, everySlot, progress, readAll, row, spread } from "../../../src/conformance/build.ts";
import { subjectOf } from "../../../src/conformance/index.ts";
import { scene, Worker } from "../../../src/conformance/worker.ts";
import { hasCode } from "../../../src/errors.ts";
import { pause, realEnv } from "../../../src/env.ts";
import { limits } from "../../../src/limits.ts";
import { eventually, fastEnv } from "../../runtime/support.ts";
import { sql } from "../../support/postgres.ts";
import { Wire } from "../../support/postgres/wire.ts";
import { backends, blocked, closeEngine, openEngine, place, terminate } from "./support.ts";

test("an idle connection that ends is made again, and nobody notices", async (t) => {
  const where = await place(t);
  const { log, ledger } = await openEngine(t, where);
  await log.append([event()]);
  await ledger.tally();
  for (const role of ["appends", "writes", "reads", "hub"]) {
    for (const pid of await backends(where, role)) await terminate(where.url, pid);
  }
  await log.append([event()]);
  assert.equal((await readAll(log)).length, 2);
  assert.deepEqual(await ledger.tally(), []);
});

test("a publish whose connection ends under way is of unknown outcome, and under the same id one fact", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  await log.append([event()]);
  const one = event();
  const appending = await blocked(where, "appends", "head", () => log.append([one]), terminate);
  assert.ok(hasCode(appending, "OUTCOME_UNKNOWN"), String(appending));
  await log.append([one]);
  const [again] = await log.append([one]);
  assert.equal(again!.duplicate, true);
  assert.equal((await readAll(log)).length, 2);
});

test("a settle whose connection ends under way is made again, exactly once", async (t) => {
  const where = await place(t);
  const subject = subjectOf(where.handle({ slots: 4 }));
  t.after(() => subject.close());
  const { worker, ledger, lease } = await scene(subject);
  const emitted = event();
  const change = progress(lease, { low: 7, outcomes: { done: 1 }, effects: [effects(7, { emits: [emitted] })] });
  const recorded = await blocked(where, "writes", "head", () => worker.settle(change), terminate);
  assert.deepEqual((recorded as { status: string }).status, "ok");
  assert.equal((await ledger.load([lease]))[0]!.low, 7);
  assert.equal((await readAll(worker.engine.log)).length, 1);
  assert.deepEqual(
    (await ledger.tally())[0]!.slots
      .map(({ matched, outcomes }) => [matched, outcomes.done])
      .flat()
      .reduce((a, b) => a + b),
    2,
  );
});

test("a settle that was committed while its answer was lost is answered, not made again", async (t) => {
  const where = await place(t);
  const subject = subjectOf(where.handle({ slots: 4 }));
  t.after(() => subject.close());
  const { worker, lease } = await scene(subject);
  await worker.settle(progress(lease, { low: 3, outcomes: { done: 1 } }));
  const text = `SELECT answers, again FROM ${where.schema}.record($1, $2, $3, 0, true, 'x')`;
  const change = JSON.stringify([
    {
      kind: "progress",
      ...lease,
      low: 4,
      ranges: "",
      claim: 4,
      total: 1,
      matched: [["Placed", 1]],
      done: 1,
      skipped: 0,
      discarded: 0,
      expired: 0,
      duplicate: 0,
      seen: [],
    },
  ]);
  const first = await sql<[string, boolean]>(where.url, text, [worker.session, "one flush", change]);
  const second = await sql<[string, boolean]>(where.url, text, [worker.session, "one flush", change]);
  assert.deepEqual([first[0]![1], second[0]![1]], [false, true]);
  assert.equal(second[0]![0], first[0]![0]);
  const [tally] = await worker.ledger.tally();
  assert.equal(tally!.slots[lease.slot]!.matched, 2);
});

/** The store through a wire, on a clock on which the wait for a lost server is short. */
async function wired(t: TestContext) {
  const where = await place(t);
  const wire = await Wire.to(where.url);
  t.after(() => wire.close());
  const handle = where.handle({ slots: 4, url: wire.through(where.url) });
  const env = fastEnv(20);
  const subject = subjectOf({ ...handle, open: () => handle.open(env) });
  t.after(() => subject.close());
  t.after(() => wire.mend());
  return { where, wire, env, subject };
}

test("a settle that was committed before the server was gone for long is not made a second time", async (t) => {
  const { wire, env, subject } = await wired(t);
  const { worker, ledger, lease } = await scene(subject);
  const answered = wire.cutBeforeAnswerTo("one flush or another");
  const key = "one flush or another";
  const settled = worker.settle(progress(lease, { low: 7, outcomes: { done: 1 }, insert: [row(9, { key })] }));
  await answered;
  await pause(env, 2 * limits.busyMaxMs);
  wire.mend();
  assert.equal((await settled).status, "ok");
  const [tally] = await ledger.tally();
  assert.equal(tally!.slots[lease.slot]!.matched, 2);
  assert.equal(tally!.rows.ready, 1);
});

test("a process whose hub is cut for a moment is not taken for dead by itself, and its lock comes back", async (t) => {
  const where = await place(t);
  const subject = subjectOf(where.handle({ slots: 4 }));
  t.after(() => subject.close());
  const worker = await Worker.join(subject);
  const [pid] = await backends(where, "hub");
  await terminate(where.url, pid!);
  const untilMs = realEnv.monotonic() + 5_000;
  let gone = true;
  while (gone && realEnv.monotonic() < untilMs) gone = (await worker.lease()).sessions[0]!.gone;
  assert.equal(gone, false);
  assert.notEqual((await backends(where, "hub"))[0], pid);
});

test("a page of a long backlog reads no more than itself, whatever the planner knows of the table", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const count = 3_000;
  await log.append(spread(count));
  const engine = await where.handle().open(realEnv);
  for (let at = 0; at < 1_000; at += 100) {
    const page = await engine.log.read({
      after: everySlot(engine.log, at),
      types: new Set(["Placed"]),
      limit: 100,
      scanMax: 100_000,
    });
    assert.equal(page.events.length, 100);
  }
  await closeEngine(engine);
  const reads = async (): Promise<number> => {
    const text = `SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_all_tables WHERE relid = '${where.schema}.event'::regclass`;
    return Number((await sql<[string]>(where.url, text))[0]![0]);
  };
  // A backend tells what it has read when it ends.
  await eventually("the reads are told of", async () => (await reads()) > 0);
  assert.ok((await reads()) < count, `${await reads()} rows were read for 1,000`);
});
