/** One transaction for many, and nobody harmed by another. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { suite, test } from "node:test";
import { codeOf, differing, event, everySlot, idsOf, readAll } from "../../../src/conformance/build.ts";
import { SqliteLog } from "../../../src/engines/sqlite/event-log.ts";
import { limits } from "../../../src/limits.ts";
import { hurried, openBeneath, openEngine, place } from "./support.ts";

suite("group commit", () => {
  test("a hundred publishes in flight share a few commits", async (t) => {
    const store = await openBeneath(t, place(t));
    const log = new SqliteLog(store);
    t.after(() => log.close());
    const before = store.queue.commits;
    const places = await Promise.all(Array.from({ length: 100 }, () => log.append([event()])));
    assert.deepEqual(
      places.map(([one]) => one!.position),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    assert.equal(store.queue.commits - before, 1);
  });

  test("a commit has a bound, and the next goes on", async (t) => {
    const store = await openBeneath(t, place(t));
    const log = new SqliteLog(store);
    t.after(() => log.close());
    const count = limits.commitEventsMax + 10;
    await Promise.all(Array.from({ length: count }, () => log.append([event()])));
    assert.equal(store.queue.commits, 2);
    assert.equal((await log.count()).heads.get(0), count);
  });

  test("a commit is bounded in bytes too", async (t) => {
    const store = await openBeneath(t, place(t));
    const log = new SqliteLog(store);
    t.after(() => log.close());
    const data = JSON.stringify("x".repeat(limits.eventBytesMax - 2));
    const count = Math.ceil((3 * limits.commitBytesMax) / data.length);
    await Promise.all(Array.from({ length: count }, () => log.append([event({ data })])));
    assert.ok(store.queue.commits >= 3, `${store.queue.commits} commits`);
  });

  test("what waits has a bound: BUSY, and nothing of it is stored", async (t) => {
    const { log } = await openEngine(t, ":memory:");
    const batch = Array.from({ length: 10_000 }, () => event());
    const waiting = Array.from({ length: limits.publishesWaitingMax / batch.length }, (_, i) =>
      log.append(batch.map((one) => event({ ...one, id: `${one.id}-${i}` }))),
    );
    assert.equal(await codeOf(log.append([event()])), "BUSY");
    await Promise.all(waiting);
    assert.equal((await log.count()).heads.get(0), limits.publishesWaitingMax);
    assert.equal(await codeOf(log.append([event()])), "resolved");
  });
});

suite("members of one transaction", () => {
  test("a refused one harms no other", async (t) => {
    const { log } = await openEngine(t, place(t));
    const known = event();
    await log.append([known]);
    const broken = event({ data: {} as unknown as string });
    const results = await Promise.allSettled([
      log.append([event({ id: "before" })]),
      log.append([event({ id: "half" }), differing(known)]),
      log.append([broken]),
      log.append([event({ id: "half too" }), broken]),
      log.append([differing(known)]),
      log.append([known]),
      log.append([event({ id: "after" }), event({ id: "after too" })]),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "rejected", "rejected", "rejected", "fulfilled", "fulfilled"],
    );
    assert.deepEqual(idsOf(await readAll(log)), [known.id, "before", "after", "after too"]);
  });

  test("a name met first by a refused one is found again by the next", async (t) => {
    const { log } = await openEngine(t, place(t));
    const known = event();
    await log.append([known]);
    const fields = { source: "new source", type: "New", schema: "new" };
    const results = await Promise.allSettled([
      log.append([event(fields), differing(known)]),
      log.append([event({ ...fields, id: "kept" })]),
      log.append([event({ type: "Other", id: "other" })]),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled", "fulfilled"],
    );
    const events = await readAll(log);
    assert.deepEqual(
      events.slice(1).map(({ id, type, source, schema }) => [id, type, source, schema]),
      [
        ["kept", "New", "new source", "new"],
        ["other", "Other", "conformance", ""],
      ],
    );
    assert.deepEqual(Object.fromEntries((await log.count()).appended), { Placed: 1, New: 1, Other: 1 });
  });

  test("one identity twice in a transaction is one event", async (t) => {
    const { log } = await openEngine(t, place(t));
    const one = event();
    const [first, second, third] = await Promise.all([
      log.append([one]),
      log.append([one]),
      log.append([event(), one, one]),
    ]);
    assert.deepEqual([first![0]!.duplicate, second![0]!.duplicate], [false, true]);
    assert.deepEqual(
      third!.map(({ duplicate }) => duplicate),
      [false, true, true],
    );
    assert.equal((await readAll(log)).length, 2);
  });
});

suite("while another writes", () => {
  test("a transaction is tried again until it is let in", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path);
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    other.exec("BEGIN IMMEDIATE");
    const append = log.append([event()]);
    const ended = await Promise.race([append.then(() => "stored"), log.wake(50, AbortSignal.timeout(1_000))]);
    assert.equal(ended, undefined, "it waits, and the event loop goes on");
    other.exec("COMMIT");
    assert.equal((await append)[0]!.position, 1);
  });

  test("STORE_BUSY comes in the end, and nothing was stored", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path, { env: hurried(100) });
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    other.exec("BEGIN IMMEDIATE");
    const codes = await Promise.all([codeOf(log.append([event()])), codeOf(log.append([event(), event()]))]);
    assert.deepEqual(codes, ["STORE_BUSY", "STORE_BUSY"]);
    other.exec("COMMIT");
    assert.equal((await readAll(log)).length, 0);
    assert.equal(await codeOf(log.append([event()])), "resolved");
  });

  test("reading goes on", async (t) => {
    const path = place(t);
    const { log, ledger } = await openEngine(t, path);
    await log.append([event()]);
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    other.exec("BEGIN EXCLUSIVE");
    assert.equal((await readAll(log)).length, 1);
    assert.deepEqual(await ledger.tally(), []);
    other.exec("COMMIT");
  });
});

suite("closing", () => {
  test("waits for what is in flight", async (t) => {
    const path = place(t);
    const { log, ledger } = await openEngine(t, path);
    const append = log.append([event()]);
    await Promise.all([log.close(), ledger.close()]);
    assert.equal((await append)[0]!.position, 1);
    const again = await openEngine(t, path);
    const { atHead } = await again.log.read({ after: everySlot(again.log), limit: 10, scanMax: 10 });
    assert.ok(atHead);
    assert.equal((await readAll(again.log)).length, 1);
  });

  test("a port that was closed refuses, the other goes on", async (t) => {
    const { log, ledger } = await openEngine(t, place(t));
    await log.close();
    await log.close();
    assert.equal(await codeOf(log.append([event()])), "CLOSED");
    assert.deepEqual(await ledger.tally(), []);
    await ledger.close();
    assert.equal(await codeOf(ledger.tally()), "CLOSED");
  });
});
