/** What `doctor` is told: figures where all is well, and the fault where something was tampered with. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { suite, test, type TestContext } from "node:test";
import { deadWith, ending, at, event, progress, row } from "../../../src/conformance/build.ts";
import { subjectOf } from "../../../src/conformance/index.ts";
import { scene } from "../../../src/conformance/worker.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { firstRowToken } from "../../../src/engine/ledger.ts";
import { sqlite } from "../../../src/engines/sqlite/index.ts";
import { openEngine, place } from "./support.ts";

/** A store where something is done, dead, held, running and pending; `pending` counts what is not yet read. */
async function inUse(t: TestContext): Promise<{ readonly engine: Engine; readonly path: string }> {
  const path = place(t);
  const subject = subjectOf(sqlite(path, { slots: 1 }));
  t.after(() => subject.close());
  const { worker, lease } = await scene(subject, { types: ["Placed", "Paid"] });
  await worker.engine.log.append([
    ...Array.from({ length: 10 }, () => event()),
    event({ type: "Other" }),
    event({ type: "Paid" }),
    event({ type: "Paid" }),
  ]);
  const key = "k2";
  const running = row(3, { state: "running" });
  await worker.settle(
    progress(lease, {
      low: 5,
      ranges: [[7, 8]],
      outcomes: { done: 2, skipped: 1 },
      insert: [running, row(4), row(5, { key, state: "running" }), row(8, { key })],
    }),
  );
  await worker.settle(ending(at(lease, 5), firstRowToken, deadWith()));
  return { engine: worker.engine, path };
}

function tamper(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

const faults = async (engine: Engine): Promise<string[]> =>
  (await engine.inspect()).filter(({ ok }) => !ok).map(({ check, message }) => `${check}: ${message}`);

suite("a store", () => {
  test("that is well says so with its figures", async (t) => {
    const { engine } = await inUse(t);
    const findings = await engine.inspect();
    assert.deepEqual(await faults(engine), []);
    const messages = new Map(findings.map(({ check, message }) => [check, message]));
    assert.match(messages.get("settings")!, /SQLite 3\.\d+.* journal_mode wal/);
    assert.match(messages.get("file")!, /quick_check ok/);
    assert.equal(messages.get("events"), "13 of 13 events verified, 0 bad");
    assert.equal(messages.get("deliveries"), "warehouse: matched 7 = closed 3 + rows 4 over 1 slots");
    // Positions 6, 9 and 10 are Placed and above low in no range; 12 and 13 are Paid.
    assert.equal(messages.get("conservation"), "warehouse: owed 12 = matched 7 + pending 5");
    assert.match(
      messages.get("counters")!,
      /held 2, ready 0, running 1, retrying 0, dead 1, deferred 0, blocking 1, stopping 0/,
    );
  });

  test("in memory is inspected too", async (t) => {
    const engine = await openEngine(t, ":memory:");
    await engine.log.append([event()]);
    assert.deepEqual(await faults(engine), []);
  });
});

const tampering: readonly (readonly [what: string, sql: string, fault: RegExp])[] = [
  ["a changed fact", "UPDATE factlog_event SET data = '{}' WHERE position = 4", /events: .*checksum wrong at 4/],
  ["a lost fact", "DELETE FROM factlog_event WHERE position = 9", /appended: 12 over all types, head 13/],
  ["a wrong count of facts", "UPDATE factlog_type SET appended = 7", /appended: /],
  [
    "a lost delivery",
    "DELETE FROM factlog_delivery WHERE position = 4",
    /deliveries: .*slot 0: matched 7, closed 3, rows 3/,
  ],
  ["a delivery closed twice", "UPDATE factlog_slot SET done = done + 1", /deliveries: .*closed 4/],
  [
    "progress without a trace",
    "UPDATE factlog_slot SET low = 10",
    /conservation: .*Placed: owed 10, matched 7, pending 0/,
  ],
  ["a wrong tally", "UPDATE factlog_tally SET n = 5 WHERE state = 0", /counters: .*held: 5 counted, 2 there/],
  [
    "a wrong count of blocked keys",
    "UPDATE factlog_tally SET n = 0 WHERE state = 5",
    /counters: .*blocking: 0 counted, 1 there/,
  ],
  ["a key held for ever", "UPDATE factlog_delivery SET holds = 0 WHERE position = 3", /keys: .*position 4, key "k"/],
];
suite("tampering is found:", () => {
  for (const [what, sql, fault] of tampering) {
    test(what, async (t) => {
      const { engine, path } = await inUse(t);
      tamper(path, sql);
      assert.match((await faults(engine)).join("\n"), fault);
    });
  }
});
