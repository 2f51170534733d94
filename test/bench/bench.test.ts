/** The shape of what `npm run bench` says; how fast it is depends on the machine and is not tested. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { newestPeersRun, newestRun, pageOf } from "../../bench/page.ts";

test("a quick measurement is one line of JSON with its raw limit beside it", () => {
  const args = ["--conditions=@factlog/source", "bench/main.ts", "--quick", "--json", "--only", "publish-100"];
  const lines = execFileSync(process.execPath, args, { encoding: "utf8" }).trimEnd().split("\n");
  const [line, ...more] = lines.map((each) => JSON.parse(each) as Readonly<Record<string, unknown>>);
  assert.deepEqual(more, []);
  const { value, raw, ratio, ...rest } = line ?? {};
  assert.deepEqual(rest, { name: "publish-100", unit: "events/s", target: 0.8, better: "higher" });
  for (const figure of [value, raw, ratio]) assert.ok(typeof figure === "number" && figure > 0);
});

test("the page of figures is what the newest whole run gives", () => {
  const page = readFileSync("docs/reference/performance.md", "utf8");
  assert.equal(page, pageOf(newestRun(), newestPeersRun()));
});
