/** The suite on every engine. */
import { suite, test } from "node:test";
import { checks, runCheck } from "../../src/conformance/index.ts";
import { subjectsWith } from "./subjects.ts";

for (const [name, fresh] of Object.entries(subjectsWith(4))) {
  suite(name, () => {
    for (const check of checks) test(check.name, async () => void (await runCheck(check, fresh)));
  });
}
