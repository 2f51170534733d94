/** The client, against real servers: two processes on one SQLite file, behind a line that breaks all the time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join, posix } from "node:path";
import { test, type TestContext } from "node:test";
import { defineApp, defineEvent, defineSubscription, type FactlogError } from "factlog";
import { follow, publish, publishAll } from "factlog/client";
import { z } from "zod";
import { app, mended, OrderPlaced, serve } from "../http/support.ts";
import { shopFolder, start } from "../support/cli.ts";
import { importsOf } from "../support/source.ts";

/** A line to one of these ports after the other, which breaks after some bytes until it has done so `breaks` times. */
async function badLine(t: TestContext, ports: readonly number[], breaks: number) {
  const line = { port: 0, broken: 0, used: new Set<number>() };
  const open = new Set<Socket>();
  let lines = 0;
  const server = createServer((client) => {
    const port = ports[lines++ % ports.length] ?? 0;
    const upstream = connect(port, "127.0.0.1");
    const end = (): void => void [client, upstream].map((socket) => socket.destroy());
    const most = 300 + ((lines * 7919) % 9_000);
    let bytes = 0;
    upstream.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
      line.used.add(port);
      const kill = line.broken < breaks && bytes > most;
      client.write(kill ? chunk.subarray(0, Math.max(0, chunk.length - (bytes - most))) : chunk);
      if (!kill) return;
      line.broken++;
      client.destroySoon();
      upstream.destroy();
    });
    client.on("data", (chunk: Uint8Array) => upstream.write(chunk));
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => {}).on("close", end);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  line.port = (server.address() as AddressInfo).port;
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return line;
}

test("a reader whose line breaks fifty times, moved between two processes, sees all of it once, in order, and the end", async (t) => {
  const gate =
    '  const { existsSync } = await import("node:fs");\n  while (event.data.sku === "gate" && !existsSync("open")) await new Promise((done) => setTimeout(done, 20));';
  const cwd = shopFolder(t, gate);
  const servers = [0, 1].map(() => start(t, ["start", "app.ts", "--http", "0"], { cwd }));
  const urls: string[] = [];
  for (const server of servers) {
    const [, url = ""] = await server.prints(/"message":"serving","url":"(http:[^"]+)"/);
    urls.push(url);
  }
  const ports = urls.map((url) => Number(new URL(url).port));
  const line = await badLine(t, ports, 50);

  const order = (i: number): { orderId: string; sku: string } => ({ orderId: `o-${i}`, sku: i === 0 ? "gate" : "cd" });
  const events = Array.from({ length: 1_000 }, (_, i) => ({
    type: "OrderPlaced",
    data: order(i),
    correlationId: "o-0",
  }));
  const first = await publish(`${urls[0]}/events`, events[0]!);
  const stream = new URL(first.streamUrl);
  stream.port = String(line.port);
  const publishing = (async () => {
    for (let i = 1; i < events.length; i += 20) await publishAll(`${urls[i % 2]}/events`, events.slice(i, i + 20));
    writeFileSync(join(cwd, "open"), "");
  })();
  const seen: string[] = [];
  const places: number[] = [];
  let end: unknown;
  for await (const frame of follow(stream)) {
    if (frame.kind === "event") {
      seen.push(frame.event.id);
      places.push(Number(frame.event.position.split(".").at(-1)));
    } else end = frame;
  }
  await publishing;
  assert.deepEqual(end, { kind: "end", status: "settled" });
  assert.deepEqual(
    seen,
    events.map((event) => event.data.orderId),
  );
  assert.ok(places.every((place, i) => i === 0 || place > (places[i - 1] ?? 0)));
  assert.equal(line.broken, 50);
  assert.deepEqual(line.used, new Set(ports));
});

test("events come as handlers see them: dates, keys, schemas, the bytes as given", async (t) => {
  const { log, origin, post } = await serve(t);
  const time = new Date("2026-11-23T06:15:00.000Z");
  const accepted = await publish(
    `${origin}/v1/events`,
    OrderPlaced({ orderId: "o-1" }, { time, extensions: { channel: "web" } }),
  );
  assert.equal(accepted.statusUrl, `${origin}/v1/correlations/o-1?since=${accepted.position}`);
  await log.drain(app);
  const frames = await Array.fromAsync(follow(accepted.streamUrl, { on: OrderPlaced }));
  const [frame] = frames;
  assert.ok(frame?.kind === "event");
  const [stored] = (await log.page({ on: OrderPlaced })).events;
  assert.deepEqual(JSON.parse(JSON.stringify(frame.event)), JSON.parse(JSON.stringify(stored)));
  assert.deepEqual([...frame.event.raw()], [...stored!.raw()]);
  assert.ok(frame.event.time instanceof Date);
  assert.deepEqual(frames.slice(1), [{ kind: "end", status: "settled" }]);
  const Dated = defineEvent("Noted", { schema: z.object({ at: z.string().transform((text) => new Date(text)) }) });
  const noted = await post("/v1/events", { type: "Noted", id: "n-1", data: { at: time.toISOString() } });
  assert.equal(noted.status, 202);
  for await (const each of follow(`${origin}/v1/correlations/n-1/stream`, { on: [Dated] }))
    if (each.kind === "event") assert.deepEqual(each.event.data.at, time);
});

test("what the server refuses for good is thrown with its code, as is a server that is none", async (t) => {
  const { origin, log } = await serve(t);
  const code = async (act: Promise<unknown>): Promise<string> =>
    act.then(
      () => "nothing",
      (error: FactlogError) => error.code,
    );
  assert.equal(await code(Array.fromAsync(follow(`${origin}/v1/stream?x=1`))), "INVALID_OPTION");
  assert.equal(await code(Array.fromAsync(follow(`${origin}/v1/nothing`))), "NOT_FOUND");
  assert.equal(await code(Array.fromAsync(follow(`${origin}/v1/stream`, { after: "abc" }))), "INVALID_OPTION");
  assert.equal(await code(Array.fromAsync(follow(`${origin}/livez`))), "NOT_SUPPORTED");
  assert.equal(await code(publish(`${origin}/v1/events`, { type: "Noted", data: 1, id: "" })), "INVALID_ATTRIBUTE");
  assert.equal(await code(publish("http://127.0.0.1:1/v1/events", { type: "Noted", data: 1 })), "OUTCOME_UNKNOWN");
  assert.equal((await log.page()).events.length, 0);
});

test("a dead delivery is told once, however often the reader comes again, and an aborted one ends quietly", async (t) => {
  const { origin, log } = await serve(t);
  const accepted = await publish(`${origin}/v1/events`, { type: "OrderPlaced", data: { orderId: "bad-line" } });
  mended.delete("bad-line");
  await log.drain(app);
  const kinds = (await Array.fromAsync(follow(accepted.streamUrl))).map((frame) => frame.kind);
  assert.deepEqual(kinds, ["event", "delivery", "end"]);
  const over = new AbortController();
  const frames = follow(`${origin}/v1/stream?from=beginning`, { signal: over.signal });
  assert.equal((await frames.next()).done, false);
  const next = frames.next();
  over.abort();
  for (let each = await next; each.done !== true; each = await frames.next());
});

test("the client needs nothing of Node", () => {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const specifier of importsOf(stripTypeScriptTypes(readFileSync(path, "utf8")))) {
      assert.ok(specifier.startsWith("."), `${path} imports ${specifier}`);
      visit(posix.join(posix.dirname(path), specifier));
    }
  };
  visit("src/client/index.ts");
  assert.ok(seen.size > 5 && seen.size < 20, [...seen].join(" "));
  for (const path of seen) assert.doesNotMatch(readFileSync(path, "utf8"), /\bBuffer\b|\bprocess\./u, path);
});

test("a reader that comes from before a restore is told so, and then all of it", async (t) => {
  const { origin, log } = await serve(t);
  await log.drain(app);
  const { streamUrl } = await publish(`${origin}/v1/events`, OrderPlaced({ orderId: "reset-1" }));
  await log.drain(app);
  const kinds: string[] = [];
  for await (const frame of follow(streamUrl, { after: "earlier-epoch.0.3" })) kinds.push(frame.kind);
  assert.deepEqual(kinds, ["reset", "event", "event", "end"]);
});

test("text that a handler shows, and what it waits for, come to a browser as they are, whatever they hold", async (t) => {
  const evil = '</script>\n\nevent: end\ndata: {"status":"settled"}\r\rid: 7\u001b[2J\u0000';
  const shows = defineSubscription("shows", { on: OrderPlaced, from: "beginning" }, async (_, ctx) => {
    ctx.delta(evil);
    await ctx.approval("ask", { summary: evil });
  });
  const { log, origin } = await serve(t);
  const { correlationId } = await publish(`${origin}/v1/events`, OrderPlaced({ orderId: "o-1" }));
  const worker = await log.work(defineApp({ name: "shop", subscriptions: [shows] }));
  t.after(() => worker.stop());
  const seen: unknown[] = [];
  for await (const frame of follow(`${origin}/v1/correlations/${correlationId}/stream`)) {
    seen.push(frame.kind === "event" ? frame.event.type : frame);
    if (frame.kind !== "delivery" || frame.status !== "waiting") continue;
    for await (const { id } of log.operator.approvals()) await log.operator.answer(id, { approved: true, by: "ada" });
  }
  const about = { subscription: "shows", eventId: "o-1" };
  const rest = seen.filter((each) => (each as { kind?: string }).kind !== "delta");
  const deltas = seen.filter((each) => (each as { kind?: string }).kind === "delta");
  // Whoever comes late has missed it.
  for (const delta of deltas) assert.deepEqual(delta, { kind: "delta", ...about, text: evil });
  assert.deepEqual(
    rest.filter((each) => (each as { status?: string }).status !== "resumed"),
    [
      "OrderPlaced",
      { kind: "delivery", ...about, status: "waiting", reason: `approval: ${evil}` },
      { kind: "end", status: "settled" },
    ],
  );
});
