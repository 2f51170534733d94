/** The commands of docs/guides/http.md run against the app of `factlog init`, served over HTTP, and print what they say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { shopFolder, start } from "../support/cli.ts";
import { shell } from "../support/package.ts";
import { blocksOf, patternOf, stepsOf } from "./markdown.ts";

test("curl prints what the guide shows", async (t) => {
  const cwd = shopFolder(t);
  const server = start(t, ["start", "app.ts", "--http", "0"], { cwd });
  const [, port = ""] = await server.prints(/"url":"http:\/\/127\.0\.0\.1:(\d+)\/v1"/);
  const steps = blocksOf("docs/guides/http.md")
    .filter(({ language }) => language === "sh")
    .flatMap(({ text }) => stepsOf(text));
  assert.ok(steps.length >= 4, `${steps.length} commands are shown`);
  for (const { command, output } of steps) {
    const { code, stdout, stderr } = await shell(cwd, command.replaceAll("localhost:8080", `127.0.0.1:${port}`));
    const where = `${command}\n${stdout}${stderr}`;
    assert.equal(code, 0, where);
    const printed = stdout
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "");
    assert.equal(printed.length, output.length, where);
    for (const [i, shown] of output.entries()) assert.match(printed[i] ?? "", patternOf(shown), where);
  }
});
