/** What the documents show is executed: example files end in what they print, and code in the documents is a region of them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { serverNames, serverUrl, sql } from "../support/postgres.ts";
import { filesMatching } from "../support/source.ts";
import { blocksOf } from "./markdown.ts";

const run = promisify(execFile);
const plain = filesMatching("examples/docs/*.ts");
/** They run where a server is asked for, each on a database of its own. */
const onPostgres = filesMatching("examples/docs/postgres/*.ts");
const examples = [...plain, ...onPostgres];

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

for (const path of plain) {
  test(`${path} prints what it says`, async () => {
    const { stdout } = await run(process.execPath, ["--conditions=@factlog/source", path]);
    assert.equal(stdout, outputOf(path));
  });
}

for (const path of serverNames.length > 0 ? onPostgres : []) {
  test(`${path} prints what it says`, async (t) => {
    const server = await serverUrl();
    const database = `docs_${process.pid}`;
    await sql(server, `CREATE DATABASE ${database}`);
    t.after(() => sql(server, `DROP DATABASE ${database} WITH (FORCE)`));
    const env = { ...process.env, FACTLOG_URL: server.replace(/postgres$/u, database) };
    const { stdout } = await run(process.execPath, ["--conditions=@factlog/source", path], { env });
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
