/** The operator over HTTP: the same as the command line's --json. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { factlog, objectsIn } from "../support/cli.ts";
import { app, mended, refusal, serve } from "./support.ts";

const json = async (response: Promise<Response>): Promise<Record<string, unknown>> =>
  (await (await response).json()) as Record<string, unknown>;

test("a subscription and a key of it are paused and resumed", async (t) => {
  const { log, get, post } = await serve(t, {});
  await log.drain(app);
  const [name] = app.subscriptionNames;
  const status = async (): Promise<unknown> =>
    ((await json(get("/v1/status")))["subscriptions"] as { name: string; state: string; pausedKeys: number }[])
      .filter((each) => each.name === name)
      .map(({ state, pausedKeys }) => [state, pausedKeys]);
  const path = `/v1/subscriptions/${name}`;
  assert.deepEqual(await json(post(`${path}/pause`, "")), { subscription: name, paused: true });
  assert.deepEqual(await json(post(`${path}/pause`, { key: "k" })), { subscription: name, key: "k", paused: true });
  assert.deepEqual(await status(), [["paused", 1]]);
  await post(`${path}/resume`, "");
  await post(`${path}/resume`, { key: "k" });
  assert.deepEqual(await status(), [["active", 0]]);
  assert.equal(await refusal(post("/v1/subscriptions/nobody/pause", "")), "404 NOT_FOUND");
  assert.equal(await refusal(post(`${path}/pause`, { key: 1 })), "400 INVALID_ATTRIBUTE");
});

test("a redrive job is planned, started, listed and cancelled", async (t) => {
  const { log, get, post } = await serve(t, {});
  for (const orderId of ["bad-a", "bad-b"]) await post("/v1/events", { type: "OrderPlaced", data: { orderId } });
  await log.drain(app);
  assert.equal((await json(post("/v1/redrives", { dryRun: true })))["deadLetters"], 2);
  assert.equal(await refusal(post("/v1/redrives", {})), "400 INVALID_ATTRIBUTE");
  assert.equal(await refusal(post("/v1/redrives", { confirm: 3 })), "409 CONFLICT");
  const job = await json(post("/v1/redrives", { confirm: 2, ratePerSecond: 1 }));
  assert.deepEqual(((await json(get("/v1/redrives")))["redrives"] as object[])[0], job);
  const cancelled = await json(post(`/v1/redrives/${job["id"] as string}/cancel`, ""));
  assert.deepEqual([cancelled["state"], cancelled["left"]], ["cancelled", 2]);
  assert.equal(await refusal(post(`/v1/redrives/${job["id"] as string}/cancel`, "")), "409 CONFLICT");
});

test("dead letters are listed, shown, redriven and discarded; status and doctor say what the command line says", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "factlog-http-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const url = `sqlite:${join(folder, "shop.db")}`;
  const { log, get, post } = await serve(t, { url });
  for (const orderId of ["bad-a", "bad-b", "o-1"]) await post("/v1/events", { type: "OrderPlaced", data: { orderId } });
  await log.drain(app);

  const cli = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    objectsIn((await factlog(t, [...args, "--json", "--url", url], { cwd: folder })).stdout);
  const listed = await json(get("/v1/dead"));
  const letters = listed["deadLetters"] as { id: string; eventId: string }[];
  assert.deepEqual(letters, await cli("dead", "list"));
  assert.equal(letters.length, 2);
  assert.deepEqual(await json(get("/v1/dead?limit=1")), { deadLetters: letters.slice(0, 1), more: true });
  assert.deepEqual(await json(get("/v1/dead?key=bad-b")), {
    deadLetters: letters.filter((each) => each.eventId === "bad-b"),
    more: false,
  });
  const path = (orderId: string): string =>
    `/v1/dead/${encodeURIComponent(letters.find((each) => each.eventId === orderId)!.id)}`;
  const id = letters.find((each) => each.eventId === "bad-a")!.id;
  const shown = await json(get(path("bad-a")));
  assert.deepEqual(shown, (await cli("dead", "show", id))[0]);

  const [status] = await cli("status");
  // What hangs on the moment, and on what a process has seen before.
  const { log: _, sampledAt: _sampledAt, ...cliStatus } = status!;
  const fleeting = new Set(["sampledAt", "lagMs", "ratePerSecond", "errorRate", "drainMs"]);
  const sampled = (value: Record<string, unknown>): unknown =>
    JSON.parse(JSON.stringify(value, (name, each: unknown) => (fleeting.has(name) ? undefined : each)));
  assert.deepEqual(sampled(await json(get("/v1/status"))), sampled(cliStatus));
  const doctor = await json(get("/v1/doctor"));
  assert.equal(doctor["ok"], true);
  const checks = (findings: unknown): unknown[] => (findings as { check: string }[]).map((each) => each.check);
  const [cliDoctor] = await cli("doctor");
  assert.deepEqual(
    checks(doctor["findings"]).filter((check) => check !== "schemas"),
    checks(cliDoctor?.["findings"]),
  );

  assert.equal(await refusal(post(`${path("bad-b")}/discard`, {})), "400 INVALID_ATTRIBUTE");
  assert.equal(await refusal(post(`${path("bad-b")}/discard`, { reason: " " })), "400 INVALID_OPTION");
  assert.equal(await refusal(post(`${path("bad-b")}/discard`, { reason: "x", force: true })), "400 INVALID_ATTRIBUTE");
  assert.deepEqual(await json(post(`${path("bad-b")}/discard`, { reason: "never sold" })), {
    discarded: 1,
    reason: "never sold",
  });
  mended.add("bad-a");
  const both = await Promise.all([post(`${path("bad-a")}/redrive`, ""), post(`${path("bad-a")}/redrive`, {})]);
  const statuses = both.map((each) => each.status);
  assert.equal(statuses.filter((status) => status === 200).length, 1);
  assert.ok(statuses.some((status) => status === 404 || status === 409));
  assert.equal(await refusal(get(path("bad-b"))), "404 NOT_FOUND");
  assert.equal(await refusal(get("/v1/dead/nothing")), "400 INVALID_OPTION");
  await log.drain(app);
  assert.deepEqual(await json(get("/v1/dead")), { deadLetters: [], more: false });
});

test("a process is alive, and ready as long as its log can be read", async (t) => {
  const { get, log } = await serve(t);
  assert.equal((await get("/livez")).status, 200);
  assert.deepEqual(await json(get("/readyz")), { ready: true });
  await log.close();
  assert.equal((await get("/readyz")).status, 503);
  assert.equal((await get("/livez")).status, 200);
  assert.equal(await refusal(get("/v1/events")), "503 CLOSED");
});
