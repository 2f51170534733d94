import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { emptyFolder, factlog, objectsIn, start } from "../support/cli.ts";

test("the night at 2 AM: nothing lost, nothing done twice, nothing left behind", async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), "factlog-demo-test-"));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const env = { TMPDIR: temporary, TMP: temporary, TEMP: temporary };
  const { code, stdout, stderr } = await factlog(t, ["demo", "--json"], { cwd: emptyFolder(t), env });
  assert.equal(code, 0, stderr);
  const [summary] = objectsIn(stdout);
  const { seconds, ...counts } = summary as { seconds: number } & Record<string, unknown>;
  assert.ok(seconds > 0);
  assert.deepEqual(counts, {
    ok: true,
    orders: 38,
    publishedTwice: 1,
    stored: 38,
    paid: 38,
    reserved: 38,
    repeatedCalls: 1,
    doubleEffects: 0,
    lost: 0,
    deadLettersLeft: 0,
    redriven: 1,
    forecast: 38,
    kills: 1,
  });
  assert.deepEqual(readdirSync(temporary), []);
});

test("it is told as it happens, and ended in the middle it leaves nothing behind", async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), "factlog-demo-test-"));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const demo = start(t, ["demo"], { cwd: emptyFolder(t), env: { TMPDIR: temporary, TMP: temporary, TEMP: temporary } });
  await demo.prints(/^02:00 {2}kill -9: the warehouse dies in o-9/m);
  await demo.prints(
    /^02:30 {2}Nobody had to get up\. 25 more orders came in and were paid; 26 wait for the warehouse\.$/m,
  );
  await demo.end("SIGINT");
  assert.deepEqual(readdirSync(temporary), []);
});
