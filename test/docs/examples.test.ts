/** What the documents show is executed: example files end in what they print, and code in the documents is a region of them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { filesMatching } from "../support/source.ts";
import { blocksOf } from "./markdown.ts";

const run = promisify(execFile);
const examples = filesMatching("examples/docs/*.ts");

/** The comment at the end of an example: what it prints. */
function outputOf(path: string): string {
  const [, shown] = readFileSync(path, "utf8").split("\n// Output:\n");
  assert.ok(shown !== undefined, `${path} does not end in "// Output:" and what it prints`);
  return shown.replaceAll(/^\/\/ ?/gm, "");
}

/** The code between `// #region` and `// #endregion`, moved to the left edge. */
function regionsOf(path: string): string[] {
  const regions = [...readFileSync(path, "utf8").matchAll(/^( *)\/\/ #region .+\n([\s\S]*?)^ *\/\/ #endregion$/gm)];
  return regions.map(([, indent = "", code = ""]) => code.replaceAll(new RegExp(`^${indent}`, "gm"), "").trimEnd());
}

test("there are examples", () => assert.ok(examples.length > 5));

for (const path of examples) {
  test(`${path} prints what it says`, async () => {
    const { stdout } = await run(process.execPath, ["--conditions=@factlog/source", path]);
    assert.equal(stdout, outputOf(path));
  });
}

test("every piece of TypeScript in docs/ is a region of an example, or a block of the README", () => {
  const shown = new Set([
    ...examples.flatMap(regionsOf),
    ...blocksOf("README.md")
      .filter(({ language }) => language === "ts")
      .map(({ text }) => text.trimEnd()),
  ]);
  const strangers = filesMatching("docs/**/*.md")
    .flatMap(blocksOf)
    .filter(({ language, text }) => language === "ts" && !shown.has(text.trimEnd()));
  assert.deepEqual(
    strangers.map(({ path, line }) => `${path}:${line}`),
    [],
  );
});

test("every region is shown somewhere", () => {
  const shown = new Set(
    filesMatching("docs/**/*.md").flatMap((path) => blocksOf(path).map(({ text }) => text.trimEnd())),
  );
  const hidden = examples.flatMap((path) =>
    regionsOf(path)
      .filter((region) => !shown.has(region))
      .map((region) => `${path}: ${region.split("\n")[0]}`),
  );
  assert.deepEqual(hidden, []);
});
