/** docs/reference/errors.md explains every code, and no other. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { errorCodes } from "../../src/errors.ts";
import { filesMatching, shapeOf } from "../support/source.ts";

const path = "docs/reference/errors.md";
const sections = new Map(
  readFileSync(path, "utf8")
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf("\n")).trim(), section] as const),
);
/** In the section of a code that no line of this version uses. */
const reserved = "Reserved:";

test("every code has a section, and every section a code", () => {
  assert.deepEqual([...sections.keys()].toSorted(), [...errorCodes].toSorted());
});

test("every section says what to do", () => {
  const silent = [...sections].filter(([, text]) => !text.includes("**What to do.**") && !text.includes(reserved));
  assert.deepEqual(
    silent.map(([code]) => code),
    [],
  );
});

test("a code is called reserved if and only if no source uses it", () => {
  const sources = filesMatching("src/**/*.ts").filter(
    (file) => file !== "src/errors.ts" && !file.startsWith("src/conformance/"),
  );
  const text = sources.map((file) => readFileSync(file, "utf8")).join("\n");
  const asserts = shapeOf("src/errors.ts").code.includes("assert(");
  const unused = errorCodes.filter((code) => !text.includes(`"${code}"`) && !(code === "ASSERTION" && asserts));
  const called = [...sections].filter(([, section]) => section.includes(reserved)).map(([code]) => code);
  assert.deepEqual(called.toSorted(), unused.toSorted());
});
