/** The proof of redrive jobs, in small: `node --conditions=@factlog/source prove/redrive/main.ts` is 10,000 dead letters. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

test("a redrive whose worker is killed twice: each done or dead, its effect once, its key in order", async () => {
  const args = ["--conditions=@factlog/source", "prove/redrive/main.ts", "--json", "--keys", "10", "--each", "20"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { ok, total, effects, dead, outOfOrder, killedAt, faults } = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(
    { ok, total, effects, dead, outOfOrder, faults },
    { ok: true, total: 200, effects: 190, dead: 10, outOfOrder: 0, faults: [] },
  );
  assert.ok((killedAt as number[]).every((share) => share < 1));
});
