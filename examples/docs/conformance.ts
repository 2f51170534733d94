/** docs/reference/conformance.md: the engine suite, run on an engine. */
import { checks, runChecks, subjectOf } from "factlog/conformance";
import { sqlite } from "factlog/sqlite";

// #region run
const failed: string[] = [];
const fresh = async () => subjectOf(sqlite(":memory:", { slots: 4 }), { alone: true });
await runChecks(checks, fresh, ({ check, outcome }) => {
  if (outcome === "failed") failed.push(check.name);
});
console.log("failed", failed.length, "more than a hundred", checks.length > 100);
// #endregion

// Output:
// failed 0 more than a hundred true
