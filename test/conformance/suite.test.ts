/** The suite's own parts: the runner, the foreign log's pairing, the memory handle. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { foreignLog, pairing, runCheck, runChecks, subjectOf, type Check } from "../../src/conformance/index.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { realEnv } from "../../src/env.ts";

const check = (name: string, run: Check["run"], needs?: Check["needs"]): Check => ({
  name,
  about: "log",
  run,
  ...(needs === undefined ? {} : { needs }),
});

suite("runChecks", () => {
  test("reports what passed, what failed and why, and what is for other engines", async () => {
    const wrong = new Error("wrong");
    const some = [
      check("good", async () => undefined),
      check("bad", async () => Promise.reject(wrong)),
      check(
        "other",
        async () => assert.fail("must not run"),
        ({ dedupe }) => dedupe === "none",
      ),
    ];
    const results: unknown[] = [];
    await runChecks(
      some,
      async () => subjectOf(memory()),
      ({ check: { name }, ...rest }) => results.push([name, rest]),
    );
    assert.deepEqual(results, [
      ["good", { outcome: "passed" }],
      ["bad", { outcome: "failed", error: wrong }],
      ["other", { outcome: "not needed" }],
    ]);
  });

  test("each check has a store of its own, closed and removed afterwards, whatever happened", async () => {
    const trace: string[] = [];
    const fresh = async (): Promise<ReturnType<typeof subjectOf>> => {
      trace.push("fresh");
      return subjectOf(memory(), { dispose: async () => void trace.push("disposed") });
    };
    const bad = check("bad", async (subject) => {
      const { log } = await subject.open();
      trace.push("ran");
      await log.close();
      throw new Error("wrong");
    });
    await assert.rejects(runCheck(bad, fresh), /wrong/);
    assert.deepEqual(trace, ["fresh", "ran", "disposed"]);
  });

  test("a store of one process is not asked for more", async () => {
    const several: Check = { ...check("several", async () => assert.fail("must not run")), needsProcesses: true };
    assert.equal(await runCheck(several, async () => subjectOf(memory(), { alone: true })), "not needed");
    const one = check("one", async (subject) => assert.equal(await subject.open(), await subject.open()));
    assert.equal(await runCheck(one, async () => subjectOf(memory(), { alone: true })), "passed");
  });
});

suite("pairing", () => {
  test("a ledger that cannot stand alone is NOT_SUPPORTED", async () => {
    const handle = { ...memory({ slots: 8 }) };
    delete handle.openLedger;
    await assert.rejects(pairing(foreignLog(), handle).open(realEnv), { code: "NOT_SUPPORTED" });
  });

  test("log and ledger must have as many slots", async () => {
    await assert.rejects(pairing(foreignLog({ slots: 8 }), memory({ slots: 4 })).open(realEnv), {
      code: "SLOTS_MISMATCH",
    });
  });
});

suite("memory", () => {
  test("each handle is a store of its own, under its name if it has one", () => {
    assert.notEqual(memory().identity, memory().identity);
    assert.equal(memory({ name: "shop" }).identity, "memory:shop");
  });

  test("slots are a whole number of at least 1", () => {
    for (const slots of [0, -1, 1.5, Number.NaN]) assert.throws(() => memory({ slots }), { code: "INVALID_OPTION" });
  });
});
