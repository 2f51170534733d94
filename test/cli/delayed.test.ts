/** publish --after and delayed as processes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { factlog, objectsIn, type Ran, shopFolder } from "../support/cli.ts";

test("an event is delayed, listed and withdrawn", async (t) => {
  const cwd = shopFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const order = (id: string): string => JSON.stringify({ orderId: id, sku: "cd" });
  assert.match(
    (await run("publish", "OrderPlaced", order("o-1"), "--after", "24h")).stdout,
    /^o-1 waits for its time: factlog delayed list/,
  );
  await run("publish", "OrderPlaced", order("o-2"), "--at", "2030-01-01T00:00:00Z");
  const listed = objectsIn((await run("delayed", "list", "--json")).stdout);
  assert.deepEqual(
    listed.map(({ id, type, due }) => [id, type, String(due).slice(0, 4)]),
    [
      ["o-1", "OrderPlaced", String(new Date(Date.now() + 86_400_000).getUTCFullYear())],
      ["o-2", "OrderPlaced", "2030"],
    ],
  );
  assert.match((await run("delayed", "list")).stdout, /2 delayed events: factlog delayed cancel EVENT/);
  assert.equal((await run("tail", "--json")).stdout, "");
  assert.equal((await run("delayed", "cancel", "o-1")).stdout, "o-1 is withdrawn\n");
  assert.match((await run("delayed", "cancel", "o-1")).stderr, /^NOT_FOUND no delayed event o-1 waits/);
  assert.equal(objectsIn((await run("delayed", "list", "--json")).stdout).length, 1);
});

test("times that cannot be are refused", async (t) => {
  const cwd = shopFolder(t);
  const order = JSON.stringify({ orderId: "o-1", sku: "cd" });
  for (const args of [
    ["--after", "soon"],
    ["--at", "soon"],
    ["--after", "1h", "--at", "2030-01-01T00:00:00Z"],
    ["--after", "9999d"],
  ]) {
    const { code, stderr } = await factlog(t, ["publish", "OrderPlaced", order, ...args], { cwd });
    assert.notEqual(code, 0);
    assert.match(stderr, /^INVALID_OPTION /);
  }
  assert.match((await factlog(t, ["publish", "OrderPlaced", "-", "--after", "1h"], { cwd })).stderr, /not for stdin/);
});
