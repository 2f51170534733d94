/** docs/reference/defaults.md shows the values of src/limits.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../src/limits.ts";
import { tableRowsOf } from "./markdown.ts";

const units: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  bytes: 1,
  KiB: 1_024,
};

/** "15 s" -> 15000, "256 KiB" -> 262144, "1,000" -> 1000. */
function valueOf(text: string): number {
  const [, digits = "", unit = ""] = /^([\d,.]+) ?([A-Za-z]*)$/.exec(text) ?? ["", "none"];
  return Number(digits.replaceAll(",", "")) * (units[unit] ?? Number.NaN);
}

const rows = tableRowsOf("docs/reference/defaults.md").flatMap(([name = "", value = ""]) => {
  const [, limit] = /^`(\w+)`$/.exec(name) ?? [];
  return limit === undefined ? [] : [{ limit, value }];
});

test("the table shows the values of the code", () => {
  assert.ok(rows.length > 30);
  const shown = rows.map(({ limit, value }) => [limit, valueOf(value)]);
  assert.deepEqual(
    shown,
    rows.map(({ limit }) => [limit, (limits as Readonly<Record<string, number>>)[limit]]),
  );
});

test("values are read with their units", () => {
  assert.deepEqual(["15 s", "256 KiB", "1,000", "0.5 h", "x"].map(valueOf), [
    15_000,
    262_144,
    1_000,
    1_800_000,
    Number.NaN,
  ]);
});
