/** That the bugs of the sabotage drill can still be planted: `npm run sabotage` shows that each of them is seen. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import { type Bug, patched } from "../../prove/sabotage/bug.ts";
import { bugs } from "../../prove/sabotage/bugs.ts";
import { caughtByOneMax, layerNames } from "../../prove/sabotage/layers.ts";

const read = (file: string): string => readFileSync(file, "utf8");

test("every bug applies to the sources as they are, once, and is code", () => {
  const faults = bugs.flatMap((bug) => {
    try {
      for (const text of patched(bug, read).values()) stripTypeScriptTypes(text);
      return [];
    } catch (error) {
      return [`${bug.name}: ${String(error)}`];
    }
  });
  assert.deepEqual(faults, []);
});

test("a patch whose text has moved, or stands there twice, does not apply", () => {
  const edit = { file: "a.ts", find: "x", replace: "y" };
  const bug: Bug = { name: "b", what: "", layer: "simulation", edits: [edit, { ...edit, find: "z", replace: "" }] };
  assert.deepEqual([...patched(bug, () => "z and x")], [["a.ts", " and y"]]);
  for (const text of ["none", "x", "x x z"]) assert.throws(() => patched(bug, () => text), /patch does not apply: b/);
});

test("bugs have names of their own, and no layer is alone in catching them", () => {
  assert.equal(bugs.length, 25);
  assert.equal(new Set(bugs.map(({ name }) => name)).size, bugs.length);
  assert.equal(bugs.filter(({ quick }) => quick).length, 5);
  for (const name of layerNames) assert.ok(bugs.filter(({ layer }) => layer === name).length <= caughtByOneMax, name);
});

test("the published table tells of these bugs and layers", () => {
  const listed = read("docs/reference/sabotage.md")
    .split("\n")
    .map((line) => line.split(" | "))
    .filter((cells) => cells.length === 4 && layerNames.some((name) => name === cells[2]))
    .map(([name = "", what, layer]) => [name.slice(2), what, layer]);
  assert.deepEqual(
    listed,
    bugs.map(({ name, what, layer }) => [name, what, layer]),
  );
});
