/**
 * Random walks over a ledger: several processes lease, record, crash, hand over and are operated on, zombies among them.
 * After each step an oracle looks at the invariants; at the end everything drains. Engines that walk the same way must
 * show the same.
 *
 * FACTLOG_SEED=n replays a run.
 */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import fc from "fast-check";
import type { Subject } from "../../src/conformance/index.ts";
import { brokenEffects } from "./broken/effects.ts";
import { brokenLeases } from "./broken/lease.ts";
import { brokenOutside } from "./broken/outside.ts";
import { brokenRecords } from "./broken/record.ts";
import { brokenSubject } from "./broken/sabotage.ts";
import { serverNames } from "../support/postgres.ts";
import { subjectsWith } from "./subjects.ts";
import { acts, type Step } from "./walk/step.ts";
import { Walk } from "./walk/walk.ts";

const act = fc.oneof(
  { weight: 5, arbitrary: fc.constant("read" as const) },
  { weight: 4, arbitrary: fc.constant("end" as const) },
  { weight: 3, arbitrary: fc.constantFrom("start", "take" as const) },
  { weight: 5, arbitrary: fc.constantFrom(...acts) },
);
const step: fc.Arbitrary<Step> = fc.record({ act, who: fc.nat(2), which: fc.nat(11), how: fc.nat(2_000) });
const steps = fc.array(step, { minLength: 30, maxLength: 90, size: "max" });
const policies = fc.constantFrom("hold-key", "skip-event", "stop" as const);

type Policy = "hold-key" | "skip-event" | "stop";

async function walk(fresh: () => Promise<Subject>, policy: Policy, some: readonly Step[]): Promise<unknown[]> {
  const subject = await fresh();
  try {
    return await new Walk([await subject.open(), await subject.open(), await subject.open()], policy).run(some);
  } finally {
    await subject.close();
  }
}
const walkOn = (name: string, policy: Policy, some: readonly Step[]): Promise<unknown[]> =>
  walk(walkable[name]!, policy, some);

/** Few slots, so that the processes meet. */
const walkable = subjectsWith(3);

const seed = Number(process.env["FACTLOG_SEED"] ?? Date.now() % 2 ** 31);

async function assertWalks(
  t: TestContext,
  numRuns: number,
  one: (policy: Policy, some: readonly Step[]) => Promise<void>,
): Promise<void> {
  t.diagnostic(`FACTLOG_SEED=${seed}`);
  await fc.assert(fc.asyncProperty(policies, steps, one), { seed, numRuns });
}

/** What must have happened for a walk to have proved anything. */
const happenings = [
  "ok",
  "lost",
  "refused",
  "LEASE_LOST",
  "CONFLICT",
  "held",
  "running",
  "retrying",
  "dead",
  "crash",
  "stopped",
];

suite("random walk", () => {
  test("memory keeps its invariants", async (t) => {
    const seen = new Map<string, number>();
    await assertWalks(t, 150, async (policy, some) => {
      const text = JSON.stringify(await walkOn("memory", policy, some));
      for (const word of happenings) seen.set(word, (seen.get(word) ?? 0) + text.split(`"${word}"`).length - 1);
    });
    t.diagnostic(JSON.stringify(Object.fromEntries(seen)));
    for (const word of happenings) assert.ok(seen.get(word)! > 0, `"${word}" never happened`);
  });

  test("a memory ledger beside a foreign log keeps its invariants", (t) =>
    assertWalks(t, 40, async (policy, some) => void (await walkOn("foreign log with a memory ledger", policy, some))));

  test("sqlite keeps its invariants and shows what memory shows", (t) =>
    assertWalks(t, 25, async (policy, some) =>
      assert.deepEqual(await walkOn("sqlite in memory", policy, some), await walkOn("memory", policy, some)),
    ));

  test("sqlite with several processes on one file shows what memory shows", (t) =>
    assertWalks(t, 4, async (policy, some) =>
      assert.deepEqual(await walkOn("sqlite file", policy, some), await walkOn("memory", policy, some)),
    ));

  for (const name of serverNames) {
    test(`${name} shows what memory shows`, (t) =>
      assertWalks(t, 6, async (policy, some) =>
        assert.deepEqual(await walkOn(name, policy, some), await walkOn("memory", policy, some)),
      ));
  }
});

/** Faults that must be found by walking alone. */
const mutants = [
  "record skips the token fence",
  "the dead record on",
  "low may fall",
  "held is decided by the caller",
  "held is decided by what the holder once loaded",
  "only the slot's holder lets the next of a key go on",
  "closing frees the whole key",
  "closing frees nobody",
  "an attempt ends under any token",
  "a row starts twice",
  "a start needs no lease",
  "taking over keeps the token",
  "death is declared without a second look",
  "giving a slot back takes its running rows along",
  "emitted events are lost",
  "events are emitted before the fence is looked at",
  "redrive and discard do not compare what was seen",
  "discard leaves the next of the key held",
  "workers of the older revision keep their slots",
  "closing a row is not counted",
];

suite("a random walk finds", () => {
  const broken = [...brokenLeases, ...brokenRecords, ...brokenEffects, ...brokenOutside];
  for (const name of mutants) {
    test(name, async () => {
      const fault = broken.find((one) => one.name === name);
      assert.ok(fault, "there is no such broken engine");
      const property = fc.asyncProperty(
        policies,
        steps,
        async (policy, some) => void (await walk(() => brokenSubject(fault, 3), policy, some)),
      );
      const { failed, numRuns } = await fc.check(property, { seed, numRuns: 2_000, endOnFailure: true });
      assert.ok(failed, `nothing found in ${numRuns} walks (FACTLOG_SEED=${seed})`);
    });
  }
});
