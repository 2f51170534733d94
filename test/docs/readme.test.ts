/**
 * The README's code runs as it stands, from the package as it would be published, in an empty folder.
 *
 * - A `ts` block whose first line is `// NAME.ts` is written to that file; later ones replace it.
 * - In an `sh` block a line that begins with `$ ` is run, in order; the lines up to the next one are what it prints to
 *   stdout. `…` stands for anything on its line.
 * - Blocks without a language are for reading, but for the one that installs: it is run, with the packed tarball for
 *   `factlog`.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { install, pack, shell } from "../support/package.ts";
import { blocksOf, patternOf, stepsOf } from "./markdown.ts";

const blocks = blocksOf("README.md");
const installing = blocks.find(({ language, text }) => language === "" && text.endsWith(" && npm i factlog zod"))?.text;

test("the README's blocks run in an empty folder and print what they say", async () => {
  assert.ok(installing !== undefined, "the README says how to install");
  const folder = await install(await pack(), installing.replace(/ && npm i factlog zod$/, ""));
  let steps = 0;
  for (const { language, text, line } of blocks) {
    const [, file] = /^\/\/ (\w[\w-]*\.ts)\n/.exec(text) ?? [];
    if (language === "ts" && file !== undefined) writeFileSync(join(folder, file), `${text}\n`);
    if (language !== "sh") continue;
    for (const { command, output } of stepsOf(text)) {
      const { code, stdout, stderr } = await shell(folder, command);
      const where = `README.md:${line}: ${command}\n${stdout}${stderr}`;
      assert.equal(code, 0, where);
      const printed = stdout.trimEnd().split("\n");
      assert.equal(printed.length, output.length, where);
      for (const [i, shown] of output.entries()) assert.match(printed[i] ?? "", patternOf(shown), where);
      steps++;
    }
  }
  assert.ok(steps >= 4, `${steps} commands were run`);
});

test("a line of the README stands for what is printed, no more", () => {
  assert.match("o-1 stored", patternOf("o-1 stored"));
  assert.doesNotMatch("o-1 stored twice", patternOf("o-1 stored"));
  assert.match("key 6d3a (x)", patternOf("key … (x)"));
  assert.deepEqual(stepsOf("$ a b\nc\n$ d"), [
    { command: "a b", output: ["c"] },
    { command: "d", output: [] },
  ]);
});
