/** examples/python, where there is a python3. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { test } from "node:test";
import { Running, shopFolder, start } from "../support/cli.ts";

const here = spawnSync("python3", ["--version"]).status === 0;
const python = (...args: readonly string[]): Running =>
  new Running(spawn("python3", args, { stdio: ["ignore", "pipe", "pipe"] }));

test(`publishes and follows to the end, from Python (${here ? "python3 is here" : "no python3 here: nothing was run"})`, async (t) => {
  if (!here) return;
  const cwd = shopFolder(t);
  const server = start(t, ["start", "app.ts", "--http", "0"], { cwd });
  const [, url = ""] = await server.prints(/"message":"serving","url":"(http:[^"]+)"/);
  const data = '{"orderId": "o-1", "sku": "cd"}';
  const first = await python("examples/python/publish.py", url, "OrderPlaced", data).ended;
  assert.deepEqual([first.code, first.stderr], [0, "stored o-1\n"]);
  assert.equal((await python("examples/python/publish.py", url, "OrderPlaced", data).ended).stderr, "duplicate o-1\n");
  const refused = await python("examples/python/publish.py", url, "OrderPlaced", "{").ended;
  assert.deepEqual([refused.code, refused.stderr.slice(0, 12)], [1, "INVALID_DATA"]);
  const followed = await python("examples/python/follow.py", first.stdout.trim()).ended;
  assert.equal(followed.stderr, "");
  assert.equal(followed.stdout, 'OrderPlaced o-1 {"orderId": "o-1", "sku": "cd"}\nend settled\n');
});
