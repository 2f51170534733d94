/** `factlog start`: production workers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { samplesIn } from "../support/prometheus.ts";
import { factlog, objectsIn, order, shopFolder, start, writeApp } from "../support/cli.ts";

test("works until SIGTERM has drained it, with logs as JSON lines on stderr", async (t) => {
  const cwd = shopFolder(
    t,
    '  if (event.data.sku === "slow") await new Promise((done) => setTimeout(done, 300, console.log("begun")));',
  );
  const worker = start(t, ["start", "app.ts", "--json"], { cwd });
  await worker.prints(/"message":"joined"/);
  await factlog(t, ["publish", "OrderPlaced", order("o-1", "slow")], { cwd });
  await worker.prints(/^begun$/m);
  const { code, stdout, stderr } = await worker.end();
  assert.equal(code, 0);
  assert.match(stdout, /^reserve slow for o-1, key [0-9a-f]+$/m);
  assert.deepEqual(objectsIn(stdout.slice(stdout.indexOf("{"))), [{ stopped: true, app: "shop" }]);
  const logs = objectsIn(stderr);
  assert.deepEqual(
    logs.map(({ level, message }) => [level, message]),
    [
      ["info", "working"],
      ["info", "joined"],
      ["info", "left"],
      ["info", "stopped"],
    ],
  );
  assert.equal(logs[0]?.["log"], "sqlite:factlog.db");
});

test("--once ends when nothing is due; --only and --except choose; names are checked", async (t) => {
  const cwd = shopFolder(t);
  const empty = await factlog(t, ["start", "app.ts", "--once", "--json"], { cwd });
  assert.deepEqual(objectsIn(empty.stdout), [{ drained: true, deliveries: 0, dead: 0, waiting: 0 }]);
  await factlog(t, ["publish", "OrderPlaced", order("o-1")], { cwd });
  const none = await factlog(t, ["start", "app.ts", "--once", "--except", "warehouse"], { cwd });
  assert.equal(none.stdout, "0 deliveries, 0 dead, 0 waiting for another attempt\n");
  const one = await factlog(t, ["start", "app.ts", "--once", "--only", "warehouse"], { cwd });
  assert.match(one.stdout, /^reserve cd for o-1, .*\n1 delivery, 0 dead, 0 waiting for another attempt\n$/);
  const unknown = await factlog(t, ["start", "app.ts", "--only", "wharehouse"], { cwd });
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /^UNKNOWN_SUBSCRIPTION .*warehouse\.$/m);
});

test("--metrics serves the measures on loopback while it works, and nothing else", async (t) => {
  const cwd = shopFolder(t);
  const worker = start(t, ["start", "app.ts", "--metrics", "0"], { cwd });
  const [, url = ""] = await worker.prints(/"message":"metrics","url":"(http:\/\/127\.0\.0\.1:\d+\/metrics)"/);
  await worker.prints(/"message":"joined"/);
  const answer = await fetch(url);
  assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const samples = samplesIn(await answer.text());
  const depth = samples.find(({ name }) => name === "factlog_subscription_depth");
  assert.deepEqual([answer.status, depth?.labels, depth?.value], [200, { subscription: "warehouse" }, 0]);
  assert.equal((await fetch(url.replace("/metrics", "/"))).status, 404);
  assert.equal((await fetch(url, { method: "POST" })).status, 405);
  const port = new URL(url).port;
  const taken = await factlog(t, ["start", "app.ts", "--metrics", port], { cwd });
  assert.equal(taken.code, 2);
  assert.match(taken.stderr, /INVALID_OPTION --metrics .*EADDRINUSE/);
  assert.equal((await worker.end()).code, 0);
  assert.equal((await factlog(t, ["start", "app.ts", "--once", "--metrics", "0"], { cwd })).code, 2);
});

test("a new subscription on a log with history has to say where it starts", async (t) => {
  const cwd = shopFolder(t);
  await factlog(t, ["publish", "OrderPlaced", order("o-1")], { cwd });
  const refused = await factlog(t, ["start", "app.ts"], { cwd });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^FROM_REQUIRED warehouse is new, .*factlog subscription create warehouse --from/m);
  assert.equal((await factlog(t, ["subscription", "create", "warehouse", "--from", "beginning"], { cwd })).code, 0);
  assert.match((await factlog(t, ["start", "app.ts", "--once"], { cwd })).stdout, /^1 delivery/m);
});

test("kill -9 in the middle of a delivery: the other worker takes over, same idempotency key", async (t) => {
  const cwd = shopFolder(
    t,
    '  console.log("begin", event.id, ctx.idempotencyKey("reserve"));\n  if (process.env.HANG === event.id) await new Promise(() => {});',
  );
  const first = start(t, ["start", "app.ts"], { cwd, env: { HANG: "o-4" } });
  await first.prints(/"message":"joined"/);
  await factlog(t, ["publish", "OrderPlaced", order("o-4")], { cwd });
  const [, key] = await first.prints(/^begin o-4 ([0-9a-f]+)$/m);
  const second = start(t, ["start", "app.ts"], { cwd });
  await second.prints(/"message":"joined"/);
  await first.end("SIGKILL");
  await second.prints(/"message":"took over warehouse"/);
  await second.prints(new RegExp(`^begin o-4 ${key}$`, "m"));
  await second.prints(/o-4 -> warehouse was delivered again after a worker died, same idempotency key/);
  assert.equal((await second.end()).code, 0);
});

test("a handler that ends the process is found and set aside; the worker in charge goes on", async (t) => {
  const cwd = shopFolder(t);
  writeApp(cwd, '  if (event.data.sku === "killer") process.exit(7);', "retry: { crashesMax: 2 }");
  assert.equal((await factlog(t, ["start", "app.ts", "--once"], { cwd })).code, 0);
  await factlog(t, ["publish", "OrderPlaced", "-"], {
    cwd,
    input: [order("o-1", "killer"), order("o-2"), order("o-3")].join("\n"),
  });
  let deaths = 0;
  for (;;) {
    const { code } = await factlog(t, ["start", "app.ts", "--once"], { cwd });
    const [status] = objectsIn((await factlog(t, ["status", "--json"], { cwd })).stdout);
    const [warehouse] = (status?.["subscriptions"] ?? []) as Record<string, unknown>[];
    if (warehouse?.["dead"] === 1 && warehouse["depth"] === 0) break;
    if (code === 7) deaths++;
    assert.ok(deaths < 20, "the killer is not found");
  }
  const [letter] = objectsIn((await factlog(t, ["dead", "list", "--json"], { cwd })).stdout);
  assert.deepEqual([letter?.["eventId"], letter?.["class"]], ["o-1", "crash"]);
});

test("--http serves beside the work, to this machine, and goes with it", async (t) => {
  const cwd = shopFolder(t);
  const worker = start(t, ["start", "app.ts", "--http", "0"], { cwd });
  const [, url = ""] = await worker.prints(/"message":"serving","url":"(http:\/\/127\.0\.0\.1:\d+\/v1)"/);
  const sent = await fetch(`${url}/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: `{"type":"OrderPlaced","data":${order("o-1")}}`,
  });
  assert.equal(sent.status, 202);
  const { streamUrl } = (await sent.json()) as { streamUrl: string };
  assert.match(await (await fetch(new URL(streamUrl, url))).text(), /^event: end\ndata: \{"status":"settled"\}$/m);
  const open = await fetch(`${url}/stream`);
  const { code } = await worker.end();
  assert.equal(code, 0);
  assert.equal(await open.text(), "retry: 1000\n\n");
  const [, port = ""] = /:(\d+)\//.exec(url) ?? [];
  const one = start(t, ["start", "app.ts", "--http", port], { cwd });
  await one.prints(/"message":"serving"/);
  const other = await factlog(t, ["start", "app.ts", "--http", port], { cwd });
  assert.match(other.stderr, /INVALID_OPTION port \d+ of 127\.0\.0\.1 cannot be had: another process has it/);
  assert.equal((await one.end()).code, 0);
});
