/** The suite on every engine. */
import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import { checks, runCheck } from "../../src/conformance/index.ts";
import { subjectsWith } from "./subjects.ts";

const passed = new Set<string>();

/** The longest suite by far adds least to the others: it runs in CI, by FACTLOG_SUITES=whole. */
const isLeftOut = (name: string): boolean =>
  name.startsWith("foreign log with a postgres") && process.env["FACTLOG_SUITES"] !== "whole";

for (const [name, fresh] of Object.entries(subjectsWith(4))) {
  if (isLeftOut(name)) continue;
  suite(name, () => {
    for (const check of checks) {
      test(check.name, async () => {
        if ((await runCheck(check, fresh)) === "passed") passed.add(check.name);
      });
    }
  });
}

after(() => {
  const never = checks.filter(({ name }) => !passed.has(name)).map(({ name }) => name);
  assert.deepEqual(never, [], "checks that no engine has passed: each capability is tested both ways");
});
