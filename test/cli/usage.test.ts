import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { factlog, emptyFolder } from "../support/cli.ts";

test("a wrong command line is told as JSON where JSON was asked for, and as text elsewhere", async (t) => {
  const cwd = emptyFolder(t);
  for (const [args, message] of [
    [["status", "--json", "--nope"], "unknown option '--nope'"],
    [["nosuch", "--json"], "unknown command 'nosuch'"],
    [["dead", "show", "--json"], "missing required argument 'id'"],
  ] as const) {
    const { code, stdout, stderr } = await factlog(t, [...args], { cwd });
    assert.deepEqual([code, stdout], [2, ""]);
    const { error } = JSON.parse(stderr) as { error: { code: string; message: string } };
    assert.deepEqual([error.code, error.message], ["INVALID_OPTION", message]);
  }
  const { code, stderr } = await factlog(t, ["status", "--nope"], { cwd });
  assert.equal(code, 2);
  assert.match(stderr, /^error: unknown option '--nope'\n.*--help/);
});

test("looking makes no log, not even of an empty file", async (t) => {
  const cwd = emptyFolder(t);
  const file = join(cwd, "empty.db");
  writeFileSync(file, "");
  for (const command of [["status"], ["tail"], ["dead", "list"], ["doctor"]]) {
    const { code, stderr } = await factlog(t, [...command, "--url", "sqlite:empty.db"], { cwd });
    assert.equal(code, 1, command.join(" "));
    assert.match(stderr, /^NOT_FOUND there is no log at sqlite:empty\.db/, command.join(" "));
  }
  assert.equal(statSync(file).size, 0);
});
