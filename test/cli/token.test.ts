/** factlog token as processes, and a server that is called with what it prints. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { factlog, objectsIn, type Ran, shopFolder, start } from "../support/cli.ts";

test("a token is made, listed, rotated and revoked; the server asks for it as soon as there is one", async (t) => {
  const cwd = shopFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, ["token", ...args], { cwd });
  const server = start(t, ["start", "app.ts", "--http", "0", "--log-requests"], { cwd });
  const [, url = ""] = await server.prints(/"message":"serving","url":"(http:\/\/127\.0\.0\.1:\d+\/v1)"/);
  assert.match((await run("list")).stdout, /^there are no tokens: over HTTP this machine alone is answered/);
  const status = async (token?: string): Promise<number> => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(`${url}/status`, { headers })).status;
  };
  const becomes = async (wanted: number, token?: string): Promise<void> => {
    for (const deadline = performance.now() + 10_000; (await status(token)) !== wanted;)
      assert.ok(performance.now() < deadline, `it does not become ${wanted}`);
  };
  assert.equal(await status(), 200);

  const made = await run("create", "web", "--scope", "publish:*,read:status", "--expires", "30d", "--by", "ada");
  const token = made.stdout.trim();
  assert.match(token, /^factlog_[0-9a-f]{12}_[0-9a-f]{72}$/);
  const id = token.split("_")[1] ?? "";
  assert.match(made.stderr, new RegExp(`web: token ${id}\\. It is shown this once`));
  await becomes(401);
  assert.equal(await status(token), 200);
  await server.prints(new RegExp(`"message":"request","method":"GET","path":"/v1/status","status":200,.*token ${id}`));

  const [rotated] = objectsIn((await run("rotate", id, "--grace", "1h", "--json")).stdout);
  await becomes(200, String(rotated?.["token"]));
  assert.equal(await status(token), 200);
  const listed = objectsIn((await run("list", "--json")).stdout);
  assert.deepEqual(
    listed.map((each) => [each["id"], each["name"], each["scopes"]]),
    [
      [id, "web", ["publish:*", "read:status"]],
      [rotated?.["id"], "web", ["publish:*", "read:status"]],
    ],
  );
  const table = (await run("list")).stdout;
  assert.ok(table.includes(id) && !table.includes(token.slice(21, 60)));
  assert.equal((await run("revoke", id)).stdout, `${id} is revoked\n`);
  await becomes(401, token);
  assert.match((await run("revoke", id)).stderr, /^NOT_FOUND there is no token/);
  assert.match((await run("revoke", String(rotated?.["id"]))).stderr, /it was the last one/);
  await becomes(200);
  const audits = objectsIn((await factlog(t, ["tail", "--json"], { cwd })).stdout).filter(({ type }) =>
    String(type).startsWith("factlog.operator.token-"),
  );
  assert.equal(audits.length, 5);
});

test("what is no right is refused, and others are not let in where there is no token", async (t) => {
  const cwd = shopFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const wrong = await run("token", "create", "web", "--scope", "publsh:*");
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^INVALID_OPTION "publsh:\*" is no scope/);
  assert.equal((await run("token", "create", "web")).code, 2);
  const open = await run("start", "app.ts", "--http", "0", "--host", "0.0.0.0");
  assert.match(open.stderr, /--host 0\.0\.0\.0 lets others call, and there is no access token/);
  assert.notEqual(open.code, 0);
  assert.match((await run("start", "app.ts", "--host", "0.0.0.0")).stderr, /about HTTP: give --http PORT too/);

  const { stdout } = await run("token", "create", "web", "--scope", "*");
  const server = start(t, ["start", "app.ts", "--http", "0", "--host", "0.0.0.0"], { cwd });
  const [, port = ""] = await server.prints(/"url":"http:\/\/0\.0\.0\.0:(\d+)\/v1"/);
  const url = `http://127.0.0.1:${port}/v1/status`;
  assert.equal((await fetch(url)).status, 401);
  assert.equal((await fetch(url, { headers: { authorization: `Bearer ${stdout.trim()}` } })).status, 200);
  const { id } = objectsIn((await run("token", "list", "--json")).stdout)[0] ?? {};
  await run("token", "revoke", String(id));
  for (const deadline = performance.now() + 10_000; ;) {
    const { status } = await fetch(url, { headers: { authorization: `Bearer ${stdout.trim()}` } });
    if (status === 401) break;
    assert.ok(performance.now() < deadline);
  }
  assert.equal((await fetch(url)).status, 401, "the last token is gone, and nobody is let in for that");
});
