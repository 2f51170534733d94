/** Reading over HTTP: pages, correlations, and streams that resume without gap or repeat. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { httpApi } from "factlog/http";
import { acceptedIn, app, listening, mended, messagesOf, problemIn, refusal, serve, take } from "./support.ts";

interface PageOfEvents {
  readonly events: readonly { readonly id: string; readonly type: string; readonly data: unknown }[];
  readonly next: string;
  readonly atHead: boolean;
}

test("history comes in pages, each beginning where the last one ended", async (t) => {
  const { get, post } = await serve(t);
  const sent = Array.from({ length: 25 }, (_, i) => ({
    type: i % 5 === 0 ? "TenantNoted" : "Noted",
    id: `n-${i}`,
    data: { tenant: `t-${i % 2}` },
  }));
  await post("/v1/events", sent);
  const all = async (query: string): Promise<string[]> => {
    const ids: string[] = [];
    for (let next = ""; ;) {
      const page = (await (await get(`/v1/events?${query}${next}`)).json()) as PageOfEvents;
      ids.push(...page.events.map((event) => event.id));
      if (page.atHead) return ids;
      next = `&from=${page.next}`;
    }
  };
  const ids = sent.map((event) => event.id);
  assert.deepEqual(await all("limit=7"), ids);
  assert.deepEqual(await all("limit=25"), ids);
  assert.deepEqual(
    await all("type=TenantNoted&limit=2"),
    ids.filter((_, i) => i % 5 === 0),
  );
  assert.deepEqual(await all("type=TenantNoted&type=Noted"), ids);
  assert.deepEqual(await all("group=t-1"), ["n-5", "n-15"]);
  assert.deepEqual(await all("correlation=n-3"), ["n-3"]);
  assert.deepEqual(await all("from=now"), []);
  assert.deepEqual(await all("from=2100-01-01T00:00:00Z"), []);
  assert.deepEqual(await all(`key=${encodeURIComponent("%_'; DROP TABLE event;--")}`), []);
  for (const bad of [
    "limit=0",
    "limit=-1",
    "limit=1001",
    "limit=1e2",
    "limit=NaN",
    "limit=",
    "order=x",
    "from=abc",
    "from=x.0.9007199254740993",
    "key=a&key=b",
    "from=other.0.1",
  ])
    assert.equal(await refusal(get(`/v1/events?${bad}`)), "400 INVALID_OPTION", bad);
});

test("a page of large events is cut by their size, and none is too large for one", async (t) => {
  const { get, post } = await serve(t);
  for (let i = 0; i < 9; i++) await post("/v1/events", { type: "Noted", data: "x".repeat(250_000) });
  const page = (await (await get("/v1/events")).json()) as PageOfEvents;
  assert.equal(page.events.length, 4);
  assert.equal(page.atHead, false);
});

test("a correlation is pending, then settled; a dead one names its dead letter and goes on once redriven", async (t) => {
  const { log, get, post } = await serve(t);
  const worker = await log.work(app);
  t.after(() => worker.stop());
  const good = await acceptedIn(await post("/v1/events", { type: "OrderPlaced", data: { orderId: "o-1" } }));
  const frames = await Array.fromAsync(messagesOf(await get(good.streamUrl)));
  assert.deepEqual(
    frames.map(({ event, id, data }) => [event, id !== undefined, (data as { type?: string }).type]),
    [
      ["event", true, "OrderPlaced"],
      ["event", true, "StockReserved"],
      ["end", false, undefined],
    ],
  );
  const settled = (await (await get(good.statusUrl)).json()) as { status: string; events: unknown[] };
  assert.equal(settled.status, "settled");
  assert.equal(settled.events.length, 2);

  const bad = await acceptedIn(await post("/v1/events", { type: "OrderPlaced", data: { orderId: "bad-1" } }));
  const [, delivery, end] = await Array.fromAsync(messagesOf(await get(bad.streamUrl)));
  assert.equal(delivery?.event, "delivery");
  assert.match(JSON.stringify(delivery?.data), /no such <shelf>/u);
  assert.deepEqual(end?.data, { status: "dead" });
  const dead = (await (await get(bad.statusUrl)).json()) as { status: string; dead: { id: string }[] };
  assert.equal(dead.status, "dead");
  mended.add("bad-1");
  await post(`/v1/dead/${encodeURIComponent(dead.dead[0]!.id)}/redrive`, "");
  const again = await Array.fromAsync(messagesOf(await get(bad.streamUrl, { "last-event-id": bad.position })));
  assert.deepEqual(
    again
      .filter(({ event }) => event !== "delivery")
      .map(({ event, data }) => [event, (data as { type?: string }).type]),
    [
      ["event", "StockReserved"],
      ["end", undefined],
    ],
  );
  assert.equal(await refusal(get("/v1/correlations/nothing")), "404 NOT_FOUND");
});

test("a stream resumes behind its last event: no gap, no repeat, and an end though nothing more comes", async (t) => {
  const { log, get, post } = await serve(t);
  const first = await acceptedIn(await post("/v1/events", { type: "OrderPlaced", data: { orderId: "o-1" } }));
  await log.drain(app);
  const all = await Array.fromAsync(messagesOf(await get(first.streamUrl)));
  const last = all.findLast(({ id }) => id !== undefined)?.id ?? "";
  const rest = await Array.fromAsync(messagesOf(await get(first.streamUrl, { "last-event-id": last })));
  assert.deepEqual(rest, [{ event: "end", id: undefined, data: { status: "settled" } }]);
});

test("a reader that comes from another epoch, as before a restore, is told so and goes on as one that comes anew", async (t) => {
  const { get, post } = await serve(t);
  const sent = await acceptedIn(await post("/v1/events", { type: "Noted", id: "n-1", data: 1 }));
  const old = { "last-event-id": "earlier-epoch.0.7" };
  const kinds = async (path: string, headers = {}): Promise<unknown[]> =>
    (await Array.fromAsync(messagesOf(await get(path, headers)))).map(({ event, data }) =>
      event === "reset" ? data : event,
    );
  const path = new URL(sent.streamUrl, "http://x").pathname;
  assert.deepEqual(await kinds(path, old), [{ reason: "other-epoch" }, "event", "end"]);
  assert.deepEqual(await kinds(`${path}?since=earlier-epoch.0.7`), [{ reason: "other-epoch" }, "event", "end"]);
  const tail = messagesOf(await get("/v1/stream?from=beginning", old));
  const [reset, event] = await take(tail, 2);
  assert.deepEqual([reset?.event, reset?.id, event?.id], ["reset", undefined, sent.position]);
  await tail.return(undefined);
});

test("events are shown as they come, from now on or from a place", async (t) => {
  const { get, post } = await serve(t);
  await post("/v1/events", { type: "Noted", id: "n-0", data: 0 });
  const live = messagesOf(await get("/v1/stream?type=Noted"));
  const past = messagesOf(await get("/v1/stream?from=beginning"));
  await post("/v1/events", { type: "TenantNoted", id: "t-1", data: { tenant: "a" } });
  await post("/v1/events", { type: "Noted", id: "n-1", data: { text: "\n\nevent: forged\ndata: x\r\n\r\nid: 7" } });
  const ids = (messages: { data: unknown }[]): unknown[] => messages.map(({ data }) => (data as { id: string }).id);
  assert.deepEqual(ids(await take(live, 1)), ["n-1"]);
  const seen = await take(past, 3);
  assert.deepEqual(ids(seen), ["n-0", "t-1", "n-1"]);
  await post("/v1/events", '{"type":"Noted","id":"n-2","data":{\n\n"event":\r\r"forged"}}');
  const resumed = messagesOf(await get("/v1/stream?from=beginning", { "last-event-id": seen[1]!.id ?? "" }));
  assert.deepEqual(ids(await take(resumed, 2)), ["n-1", "n-2"]);
  for (const bad of ["abc", "x".repeat(10_000), "other.0.9007199254740993"])
    assert.equal(await refusal(get("/v1/stream", { "last-event-id": bad })), "400 INVALID_OPTION");
  for (const stream of [live, past, resumed]) await stream.return(undefined);
});

test("a reader that takes nothing is cut off, misses nothing when it comes back, and nobody else notices", async (t) => {
  const { post, origin, server, log } = await serve(t, { bounds: { stallMs: 50, bytesMax: 100_000 } });
  for (let i = 0; i < 8; i++)
    await post(
      "/v1/events",
      Array.from({ length: 10 }, () => ({ type: "Noted", data: "x".repeat(100_000) })),
    );
  const connected = once(server, "connection");
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.pause();
  socket.write("GET /v1/stream?from=beginning HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [theirs] = (await connected) as [Socket];
  await once(theirs, "close");
  const received: Uint8Array[] = [];
  socket.on("data", (chunk) => received.push(chunk)).resume();
  await new Promise((resolve) => socket.once("close", resolve));
  const text = Buffer.concat(received).toString();
  const complete = text.slice(0, text.lastIndexOf("\n\n") + 2);
  const ids = [...complete.matchAll(/^id: (.+)$/gmu)].map(([, id = ""]) => id);
  assert.ok(ids.length < 80);

  const patient = httpApi(log, app);
  t.after(() => patient.close());
  const again = await listening(t, createServer(patient.node));
  const headers: Record<string, string> = ids.length === 0 ? {} : { "last-event-id": ids.at(-1) ?? "" };
  const response = await fetch(`${again.origin}/v1/stream?from=beginning`, { headers });
  const rest = await take(messagesOf(response), 80 - ids.length);
  const places = [...ids, ...rest.map((message) => message.id)].map((id) => Number(id?.split(".").at(-1)));
  assert.deepEqual(
    places,
    Array.from({ length: 80 }, (_, i) => i + 1),
  );
});

test("the number of streams is bounded, and those that ended no longer count", async (t) => {
  const { get } = await serve(t, { bounds: { most: 1 } });
  const open = await get("/v1/stream");
  const refused = await get("/v1/stream");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "5");
  assert.equal((await problemIn(refused)).code, "TOO_MANY_STREAMS");
  await open.body?.cancel();
  let again = await get("/v1/stream");
  while (again.status === 503) again = await get("/v1/stream");
  assert.equal(again.status, 200);
  await again.body?.cancel();
});

test("a silent stream gives signs of life, and closing ends it", async (t) => {
  const { get, api } = await serve(t, { bounds: { beatMs: 5 } });
  const response = await get("/v1/stream");
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(":\n\n:\n\n")) text += (await reader.read()).value ?? "";
  await api.close();
  while (!(await reader.read()).done);
  assert.equal(await refusal(get("/v1/stream")), "503 CLOSED");
  assert.equal((await get("/v1/events")).status, 200);
});
