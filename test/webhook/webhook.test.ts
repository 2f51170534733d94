/** Webhooks against real receivers: signed, bounded in every way, never led anywhere else. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { type Env, realEnv } from "../../src/env.ts";
import type { FactlogError } from "../../src/errors.ts";
import { limits } from "../../src/limits.ts";
import { isPublic } from "../../src/webhook/address.ts";
import { type GivenUp, Outlet } from "../../src/webhook/outlet.ts";
import { post } from "../../src/webhook/post.ts";
import { eventually } from "../runtime/support.ts";
import { Receiver, secret } from "./receiver.ts";

const never = new AbortController().signal;
const message = { id: "msg_1", body: '{"type":"test","data":{}}' };
const target = ({ url }: Receiver): { webhook: string; secret: string; allowPrivate: true } => ({
  webhook: url,
  secret,
  allowPrivate: true,
});
/** The time-out of ten seconds takes a tenth of one. */
const quick: Env = { ...realEnv, after: (delayMs, task) => realEnv.after(delayMs / 100, task) };
/** Only the waits between attempts are short. */
const eager: Env = {
  ...realEnv,
  after: (delayMs, task) => realEnv.after(delayMs === limits.webhookTimeoutMs ? delayMs : 1, task),
};
const fails =
  (code: string, pattern: RegExp) =>
  (error: FactlogError): boolean => {
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  };

test("a message is signed by Standard Webhooks, and a 2xx is taken for an answer", async (t) => {
  const receiver = await Receiver.listen(t, (response) => response.writeHead(202).end("thanks"));
  assert.equal(await post(realEnv, target(receiver), message, never), 202);
  const [received] = receiver.received;
  assert.deepEqual([received?.id, received?.body.type], ["msg_1", "test"]);
  assert.equal(received?.headers["content-type"], "application/json");
});

test("a redirect is not followed: it is a failure", async (t) => {
  const other = await Receiver.listen(t, (response) => response.end());
  const receiver = await Receiver.listen(t, (response) => response.writeHead(302, { location: other.url }).end());
  await assert.rejects(post(realEnv, target(receiver), message, never), fails("WEBHOOK_FAILED", /it answered 302/));
  assert.equal(other.received.length, 0);
});

test("500 is a failure, and so is an answer that does not end, is too long, or never comes", async (t) => {
  const broken = await Receiver.listen(t, (response) => response.writeHead(500).end());
  await assert.rejects(post(realEnv, target(broken), message, never), fails("WEBHOOK_FAILED", /it answered 500/));

  const endless = await Receiver.listen(t, (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write("x".repeat(1024)));
    };
    response.writeHead(200).on("drain", more);
    more();
  });
  await assert.rejects(
    post(realEnv, target(endless), message, never),
    fails("WEBHOOK_FAILED", /its answer is longer than 65536 bytes/),
  );

  const slow = await Receiver.listen(t, (response) => response.writeHead(200).write("a"));
  await assert.rejects(post(quick, target(slow), message, never), fails("WEBHOOK_FAILED", /no whole answer within/));

  const silent = await Receiver.listen(t, () => {});
  await assert.rejects(post(quick, target(silent), message, never), fails("WEBHOOK_FAILED", /no whole answer within/));
});

test("a name that leads to this machine is not connected to, unless that is meant", async (t) => {
  let connections = 0;
  const server = createServer((_, response) => response.end()).on("connection", () => connections++);
  t.after(() => server.close());
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as { port: number };
  for (const host of ["localhost", "127.0.0.1", "[::ffff:7f00:1]"]) {
    const webhook = `http://${host}:${port}/`;
    await assert.rejects(
      post(realEnv, { webhook, secret }, message, never),
      fails("ADDRESS_PRIVATE", /leads to, an address on this machine/),
    );
  }
  assert.equal(connections, 0);
  assert.equal(
    await post(realEnv, { webhook: `http://localhost:${port}/`, secret, allowPrivate: true }, message, never),
    200,
  );
});

test("public addresses are told from others, in whatever form", () => {
  const all = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"];
  assert.deepEqual(all.map(isPublic), [true, true, true, true]);
  const none = ["::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::8.8.8.8", "fe80::1%eth0", "224.0.0.1", "name", ""];
  assert.deepEqual(none.filter(isPublic), []);
});

test("an outlet tries again with the same id, in order, and gives up at the bound", async (t) => {
  const receiver = await Receiver.listen(t, (response, count) => response.writeHead(count < 3 ? 503 : 200).end());
  const given: GivenUp[] = [];
  const outlet = new Outlet(eager, target(receiver), (what) => given.push(what));
  outlet.push({ ...message, id: "msg_1" });
  outlet.push({ ...message, id: "msg_2" });
  await eventually("all are there", () => receiver.received.length === 4);
  assert.deepEqual(
    receiver.received.map(({ id }) => id),
    ["msg_1", "msg_1", "msg_1", "msg_2"],
  );
  await outlet.stop();
  assert.equal(given.length, 0);

  const dead = await Receiver.listen(t, (response) => response.writeHead(500).end());
  const hopeless = new Outlet(eager, target(dead), (what) => given.push(what));
  hopeless.push(message);
  await eventually("given up", () => given.length === 1);
  assert.equal(dead.received.length, limits.webhookAttemptsMax);
  assert.deepEqual([given[0]?.to, given[0]?.attempts], [new URL(dead.url).origin, limits.webhookAttemptsMax]);

  const gone = await Receiver.listen(t, (response) => response.writeHead(410).end());
  new Outlet(realEnv, target(gone), (what) => given.push(what)).push(message);
  await eventually("given up", () => given.length === 2);
  assert.equal(gone.received.length, 1, "410: the receiver is gone");
});

test("stopping sends what waits once more without waiting between, and holds up nothing for long", async (t) => {
  const receiver = await Receiver.listen(t, (response) => response.writeHead(503).end());
  const given: GivenUp[] = [];
  const outlet = new Outlet(realEnv, target(receiver), (what) => given.push(what));
  outlet.push({ ...message, id: "msg_1" });
  outlet.push({ ...message, id: "msg_2" });
  await eventually("one was tried", () => receiver.received.length === 1);
  await outlet.stop();
  assert.deepEqual(
    given.map(({ id }) => id),
    ["msg_1", "msg_2"],
  );

  const silent = await Receiver.listen(t, () => {});
  const stuck = new Outlet(quick, target(silent), (what) => given.push(what));
  stuck.push({ ...message, id: "msg_3" });
  await eventually("it hangs", () => silent.received.length === 1);
  await stuck.stop();
  await eventually("given up", () => given.length === 3);
});
