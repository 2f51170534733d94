import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { referencePage, referencePath } from "../../scripts/cli-reference.ts";

test("the reference of the command line says what its help says", () => {
  assert.equal(readFileSync(referencePath, "utf8"), referencePage(), "run: node scripts/cli-reference.ts");
});
