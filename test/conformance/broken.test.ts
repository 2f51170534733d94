/** A suite that nobody has seen red proves nothing: for every check there is a broken engine that it catches. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { checks, runCheck } from "../../src/conformance/index.ts";
import { brokenDeferrals } from "./broken/deferred.ts";
import { brokenEffects } from "./broken/effects.ts";
import { brokenJournals } from "./broken/journal.ts";
import { brokenLeases } from "./broken/lease.ts";
import { brokenLogs } from "./broken/log.ts";
import { brokenLooks } from "./broken/look.ts";
import { brokenEngines, brokenOutside } from "./broken/outside.ts";
import { brokenRecords } from "./broken/record.ts";
import { brokenSubject } from "./broken/sabotage.ts";
import { brokenRegisters } from "./broken/register.ts";
import { brokenTimetables } from "./broken/timetable.ts";
import { brokenTransactions } from "./broken/transact.ts";

const broken = [
  ...brokenLogs,
  ...brokenLooks,
  ...brokenLeases,
  ...brokenRecords,
  ...brokenDeferrals,
  ...brokenEffects,
  ...brokenTransactions,
  ...brokenOutside,
  ...brokenEngines,
  ...brokenRegisters,
  ...brokenTimetables,
  ...brokenJournals,
];
const named = new Map(checks.map((check) => [check.name, check]));

test("every check has a broken engine that it must catch", () => {
  const caught = new Set(broken.flatMap(({ fails }) => fails));
  assert.deepEqual(
    [...named.keys()].filter((name) => !caught.has(name)),
    [],
  );
  assert.deepEqual(
    [...caught].filter((name) => !named.has(name)),
    [],
  );
  assert.equal(new Set(broken.map(({ name }) => name)).size, broken.length);
});

for (const fault of broken) {
  suite(fault.name, () => {
    for (const name of fault.fails) {
      test(`is caught by "${name}"`, async () => {
        const check = named.get(name);
        assert.ok(check, "there is no such check");
        const run = runCheck(check, () => brokenSubject(fault, 4));
        await assert.rejects(
          async () => assert.fail(`the check says: ${await run}`),
          (error: Error) => {
            return !error.message.startsWith("the check says");
          },
        );
      });
    }
  });
}
