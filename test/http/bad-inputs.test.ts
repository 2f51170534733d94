/** RELIABILITY's table of bad inputs: the rows on what is sent over HTTP, by their numbers. Access: tokens.test.ts; webhooks: webhooks.test.ts. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { defineApp, defineEvent, defineSubscription, NonRetryable, openLog } from "factlog";
import { httpApi } from "factlog/http";
import { z } from "zod";
import { limits } from "../../src/limits.ts";
import {
  acceptedIn,
  app,
  dataOf,
  listening,
  messagesOf,
  postHead as head,
  problemIn,
  raw,
  refusal,
  serve,
  take,
} from "./support.ts";

const ok = "202";
/** The status, and the code of a refusal. */
async function told(answer: Promise<Response>): Promise<string> {
  const response = await answer;
  return response.status === 202 ? ok : refusal(Promise.resolve(response));
}
const noted = (data: string, more = ""): string => `{"type":"Noted"${more},"data":${data}}`;
const structured = { "content-type": "application/cloudevents+json" };
const cloudEvent = (more: object): object => ({
  specversion: "1.0",
  id: "1",
  source: "/s",
  type: "Noted",
  data: 1,
  ...more,
});

test("rows 9 and 10: a body above the bound is refused before it is read, or at the first byte too many", async (t) => {
  const { origin, log } = await serve(t);
  const announced = await raw(origin, `${head}Content-Length: ${limits.bodyBytesMax + 1}\r\n\r\n`);
  assert.match(announced, /^HTTP\/1\.1 413 [\s\S]*connection: close/iu);
  const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
  const chunked = [`${head}Transfer-Encoding: chunked\r\n\r\n`, ...Array<string>(17).fill(chunk)];
  assert.match(await raw(origin, ...chunked), /^HTTP\/1\.1 413 [\s\S]*connection: close/iu);
  assert.equal((await log.page()).events.length, 0);
});

test("row 11: what is compressed is not taken, and not unpacked", async (t) => {
  const { post } = await serve(t);
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const before = process.memoryUsage.rss();
  for (const encoding of ["gzip", "br", "deflate", "gzip, gzip"])
    assert.equal(await told(post("/v1/events", bomb, { "content-encoding": encoding })), "415 UNSUPPORTED_MEDIA_TYPE");
  assert.ok(process.memoryUsage.rss() - before < 32 * 1024 * 1024);
});

test("row 12: headers and bodies that never come are closed at their time", async (t) => {
  const log = await openLog("memory:");
  const api = httpApi(log, app);
  t.after(async () => {
    await api.close();
    await log.close();
  });
  // The command's server has these bounds at 10 s and 30 s.
  const bounds = { headersTimeout: 200, requestTimeout: 300, connectionsCheckingInterval: 50 };
  const { origin } = await listening(t, createServer(bounds, api.node));
  assert.match(await raw(origin, "GET /v1/status HT"), /^HTTP\/1\.1 408 /u);
  assert.match(await raw(origin, `${head}Content-Length: 10\r\n\r\n{`), /^HTTP\/1\.1 (?:408|400) /u);
  assert.deepEqual([limits.headersTimeoutMs, limits.requestTimeoutMs], [10_000, 30_000]);
});

test("row 13: headers are bounded in size and number", async (t) => {
  const { origin } = await serve(t);
  assert.match(await raw(origin, `${head}X: ${"x".repeat(65_536)}\r\n\r\n`), /^HTTP\/1\.1 431 /u);
  const many = Array.from({ length: 2_000 }, (_, i) => `X-${i}: 1\r\n`).join("");
  assert.match(await raw(origin, `GET /v1/status HTTP/1.1\r\nHost: localhost\r\n${many}\r\n`), /^HTTP\/1\.1 431 /u);
});

test("row 14: requests that two servers could read differently are refused, and the connection closed", async (t) => {
  const { origin } = await serve(t);
  for (const bad of [
    `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n1`,
    "GET /v1/status HTTP/1.1\nHost: localhost\n\n",
    "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: a\nY: b\r\n\r\n",
  ])
    assert.match(await raw(origin, bad), /^HTTP\/1\.1 400 /u, bad);
});

test("row 15: another media type or charset is not taken", async (t) => {
  const { post } = await serve(t);
  for (const type of [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "text/json",
  ])
    assert.equal(
      await told(post("/v1/events", noted("1"), { "content-type": type })),
      "415 UNSUPPORTED_MEDIA_TYPE",
      type,
    );
});

/** Of JSONTestSuite's `n_` files, one of each sort. */
const noJson =
  `[1 true] [a] ["": 1] [""], [, [,1] [1,,2] ["x",,] [-] [-01] [1.] [.1] [0x1] [1e] [1e+] [+1] [NaN] [Infinity] [-Infinity]
[1+2] [0e+-1] [012] {"a":1,} {a:1} {'a':1} {"a" 1} {"a":} {"a":1,,"b":2} {:1} {"a":1 "b"} ["\\x00"] ["\\u00A"] ["\\uD800\\u"] ["\\a"]
["] [' '] nul tru [True] [fals] <null> [1]x * {}} ]  [ { " \\ 1] [1 { [{ # //`
    .split(/[ \n](?=[^ ])/u)
    .filter((text) => text !== "");
test("row 16: what is no JSON is refused", async (t) => {
  const { post, log } = await serve(t);
  for (const text of noJson) {
    let parses = true;
    try {
      JSON.parse(text);
    } catch {
      parses = false;
    }
    if (!parses) assert.match(await told(post("/v1/events", noted(text))), /^400 /u, text);
  }
  for (const bytes of ["", " ", "\u{feff}" + noted("1"), `${noted("1")}\0`])
    assert.match(await told(post("/v1/events", bytes)), /^400 /u, JSON.stringify(bytes));
  assert.equal((await log.page()).events.length, 0);
});

test("rows 17, 18 and 22: what is JSON is stored and read as it was sent, byte for byte", async (t) => {
  const { post, get, log } = await serve(t);
  const texts = [
    "[]",
    "{}",
    "[[]   ]",
    '{"":0}',
    "[-0]",
    "[0e+1]",
    "[0e1]",
    "[1E22]",
    "[1E-2]",
    "[123.456e78]",
    "[-0.0]",
    "[1e400]",
    "[-1e-400]",
    "12345678901234567890",
    "-0",
    "1e400",
    "true",
    "null",
    '{"a":"b","a":"b"}',
    '{"a":1,"a":2}',
    '"\\u0061\\u30af\\u30ea"',
    '"\\uDBFF\\uDFFE"',
    '"\\u0000"',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\u{7f}"',
    '"\u{2028}\u{2029}"',
    '"€𝄞"',
    '["\\ud800"]',
    '["\\uDFAA"]',
    "[ 1 , 2\t]",
    '{\n"a" : [ ]\r\n}',
  ];
  for (const text of texts) assert.equal(await told(post("/v1/events", noted(text))), ok, text);
  assert.deepEqual(await dataOf(log, "Noted"), texts);
  const page = await (await get("/v1/events?limit=1000")).text();
  for (const text of texts) assert.ok(page.includes(`"data":${text}`), text);
});

test("rows 19 and 20: depth is bounded, and many members hold up nobody", async (t) => {
  const { post } = await serve(t);
  assert.equal(
    await told(post("/v1/events", noted("[".repeat(100_000) + "]".repeat(100_000)))),
    "400 NESTING_TOO_DEEP",
  );
  assert.match(await told(post("/v1/events", "[".repeat(100_000))), /^400 /u);
  assert.equal(await told(post("/v1/events", noted("[".repeat(64) + "]".repeat(64)))), ok);
  const members = Array.from({ length: 90_000 }, (_, i) => `"${i}":0`).join(",");
  const stood: number[] = [];
  for (let i = 0; i < 5; i++) {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const beganMs = performance.now();
    assert.match(await told(post("/v1/events", noted(`{${members}}`))), /^(?:202|400|413)/u);
    assert.ok(performance.now() - beganMs < 1_000);
    delay.disable();
    stood.push(delay.max / 1e6);
  }
  // The machine may have had other things to do in some of them.
  assert.ok(Math.min(...stood) < 100, `the event loop stood still for ${Math.min(...stood)} ms`);
});

test("row 21: an attribute that stands twice is refused", async (t) => {
  const { post } = await serve(t);
  assert.equal(await told(post("/v1/events", '{"type":"Noted","id":"a","id":"b","data":1}')), "400 INVALID_ATTRIBUTE");
  const twice = '{"specversion":"1.0","id":"a","id":"b","source":"/s","type":"Noted","data":1}';
  assert.equal(await told(post("/v1/events", twice, structured)), "400 INVALID_ATTRIBUTE");
});

test("rows 23 and 24: names that mean something to JavaScript mean nothing here", async (t) => {
  const { post, get, log } = await serve(t);
  for (const data of ['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}'])
    assert.equal(await told(post("/v1/events", noted(data))), ok);
  assert.equal(({} as { admin?: unknown }).admin, undefined);
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.equal(await told(post("/v1/events", `{"type":"${name}","data":1}`)), "404 UNKNOWN_EVENT_TYPE", name);
    assert.equal(await told(post("/v1/events", `{"type":"Noted","id":"${name}","data":1}`)), ok, name);
    const extension = await told(post("/v1/events", `{"type":"Noted","extensions":{"${name}":"x"},"data":1}`));
    assert.match(extension, /^(?:202|400)/u, name);
    assert.equal(await told(get(`/v1/events?${name}=1`)), "400 INVALID_OPTION", name);
    assert.equal((await get(`/v1/events?key=${name}`)).status, 200, name);
    assert.match(await told(get(`/v1/dead/${name}`)), /^40[04] /u, name);
  }
  assert.equal((await log.page()).events.length >= 6, true);
});

test("rows 25, 26 and 27: texts that are none, and U+0000 where it cannot stand", async (t) => {
  const { post, log } = await serve(t);
  for (const field of ["id", "subject", "source", "correlationId"])
    for (const bad of ["\\ud800", "a\\udfff", "\\u0000", "a\\u0000b"])
      assert.match(await told(post("/v1/events", noted("1", `,"${field}":"${bad}"`))), /^400 /u, `${field} ${bad}`);
  assert.match(await told(post("/v1/events", { type: "OrderPlaced", data: { orderId: "\ud800" } })), /^400 /u);
  for (const bytes of [[0xff], [0xc0, 0xa0], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    const body = Buffer.concat([Buffer.from('{"type":"Noted","data":"'), Buffer.from(bytes), Buffer.from('"}')]);
    assert.equal(await told(post("/v1/events", body)), "400 INVALID_DATA", bytes.join());
  }
  assert.equal(await told(post("/v1/events", noted('"a\\u0000b"'))), ok);
  assert.deepEqual(await dataOf(log, "Noted"), ['"a\\u0000b"']);
});

const naughty = [
  "undefined",
  "null",
  "NaN",
  "-1/2",
  "0x0",
  "1;DROP TABLE users",
  "'; EXEC xp_cmdshell('dir'); --",
  "<script>alert(0)</script>",
  "Ω≈ç√∫˜µ≤≥÷",
  "田中さんにあげて下さい",
  "👩🏽‍🚀",
  "ثم نفس سقطت",
  "\u202eabc",
  "Ṱ̺̺̕o͞ ̷i̲̬",
  "˙ɐnbᴉlɐ",
  "$HOME",
  "%d%s%n",
  "{0}",
  "../../../etc/passwd",
  "() { 0; }; touch /tmp/x",
  "$(touch /tmp/x)",
  "\u00a0",
  "\u2028",
  "\ufffe",
  "ﷺ".repeat(50),
  " leading",
  "trailing ",
  "🏳️‍🌈",
  "I️İıi",
  "a\tb",
  "%C0%AE",
  "CON",
  "PRN",
  "COM1",
  "http://a/%%30%30",
  "File:///etc/passwd",
  "\\",
  '"',
  "`",
  "*",
  "?",
  "#",
  "&",
  "=",
];
test("row 28: strings that have broken something are kept as they are, or refused", async (t) => {
  const { post, get, log } = await serve(t);
  for (const [i, text] of naughty.entries()) {
    for (const field of ["id", "subject", "source", "correlationId"]) {
      const more = { [field]: text };
      assert.match(
        await told(post("/v1/events", { type: "Noted", data: i, ...more })),
        /^(?:202|4)/u,
        `${field} ${text}`,
      );
    }
    assert.equal(await told(post("/v1/events", { type: "Noted", data: text })), ok);
    const order = { type: "OrderPlaced", source: "/orders", data: { orderId: text } };
    const keyed = await told(post("/v1/events", order));
    if (keyed !== ok) assert.match(keyed, /^400 /u);
    else {
      const found = (await (await get(`/v1/events?key=${encodeURIComponent(text)}`)).json()) as {
        events: { id: string }[];
      };
      assert.deepEqual(
        found.events.map(({ id }) => id),
        [text],
      );
    }
    assert.match(await told(post("/v1/events", { type: text, data: 1 })), /^40[04] /u);
  }
  const stored = (await dataOf(log, "Noted")).map((data) => JSON.parse(data) as unknown);
  assert.deepEqual(
    stored.filter((data) => typeof data === "string"),
    naughty,
  );
});

test("rows 29 to 33: what is no CloudEvent 1.0", async (t) => {
  const { post, log } = await serve(t);
  const bad: readonly (readonly [string, object])[] = [
    ["29", { specversion: "0.3" }],
    ["29", { specversion: "9.9" }],
    ["29", { specversion: undefined }],
    ...["id", "source", "type"].flatMap((name) => [
      ["30", { [name]: undefined }] as const,
      ["30", { [name]: "" }] as const,
    ]),
    ...["Foo", "my_attr", "a-b", "ünder", ""].map((name) => ["31", { [name]: "x" }] as const),
    ...["2026-02-30T00:00:00Z", "yesterday", "2026-11-23", 7].map((time) => ["32", { time }] as const),
    ["33", { data_base64: "AA==" }],
    ["33", { data: undefined, data_base64: "%%%" }],
    ["33", { data: undefined, data_base64: 7 }],
  ];
  for (const [row, fields] of bad) {
    const answer = await post("/v1/events", cloudEvent(fields), structured);
    assert.equal(answer.status, 400, `row ${row}: ${JSON.stringify(fields)}`);
    const { detail } = await problemIn(answer);
    if (row === "30") assert.ok(detail.includes(Object.keys(fields)[0]!), detail);
  }
  assert.equal((await log.page()).events.length, 0);
});

test("rows 34 and 35: a batch is all or nothing, and bounded", async (t) => {
  const { post, log } = await serve(t);
  const answer = await post("/v1/events", [
    { type: "Noted", data: 1 },
    { type: "OrderPlaced", data: { orderId: 7 } },
    { type: "Noted", data: 3 },
  ]);
  assert.equal(answer.status, 400);
  assert.deepEqual((await problemIn(answer)).details?.["index"], 1);
  const empty = await post("/v1/events", []);
  assert.deepEqual([empty.status, await empty.json()], [202, []]);
  const many = `[${Array<string>(10_001).fill(noted("1")).join(",")}]`;
  assert.equal(await told(post("/v1/events", many)), "413 BODY_TOO_LARGE");
  assert.equal((await log.page()).events.length, 0);
});

test("rows 36, 37 and 38: headers of binary mode are decoded once, and what cannot be is refused", async (t) => {
  const { post, log } = await serve(t);
  const binary = { "ce-specversion": "1.0", "ce-source": "/s", "ce-type": "Noted" };
  for (const [i, [subject, meant]] of [
    ["Euro%20%e2%82%ac", "Euro €"],
    ['"quoted \\"x\\""', 'quoted "x"'],
  ].entries()) {
    assert.equal(await told(post("/v1/events", "1", { ...binary, "ce-id": `${i}`, "ce-subject": subject! })), ok);
    assert.equal((await log.page()).events[i]?.subject, meant);
  }
  const more = { ...binary, "ce-id": "x" };
  assert.equal(await told(post("/v1/events", "1", { ...more, "ce-subject": "%C0%A0" })), "400 INVALID_ATTRIBUTE");
  assert.equal(await told(post("/v1/events", "1", { ...more, "ce-datacontenttype": "a/b" })), "400 INVALID_ATTRIBUTE");
});

test("rows 39 and 40: the same again is the same, after a restart too; other content under its name is refused", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "factlog-bad-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const url = `sqlite:${join(folder, "a.db")}`;
  const first = await serve(t, { url });
  const one = await acceptedIn(await first.post("/v1/events", noted("1", ',"id":"a"')));
  await first.api.close();
  await first.log.close();
  const { post } = await serve(t, { url });
  const again = await acceptedIn(await post("/v1/events", noted("1", ',"id":"a"')));
  assert.deepEqual([again.duplicate, again.position], [true, one.position]);
  assert.equal(await told(post("/v1/events", noted("2", ',"id":"a"'))), "409 ID_CONFLICT");
  assert.equal(await told(post("/v1/events", noted("1.0", ',"id":"a"'))), "409 ID_CONFLICT");
});

test("rows 41, 43 and 44: types, keys and filters are taken literally", async (t) => {
  const { post, get, log } = await serve(t);
  for (const type of ["../../etc/passwd", "..%2f", "x".repeat(300), "", ".", "'; DROP TABLE factlog_event;--"])
    assert.match(await told(post("/v1/events", { type, data: 1 })), /^40[04] /u, type);
  for (const orderId of ["a%b", "a_b", "axb", "'; DROP TABLE factlog_event;--"])
    assert.equal(await told(post("/v1/events", { type: "OrderPlaced", data: { orderId } })), ok);
  for (const [key, found] of [
    ["a%b", 1],
    ["a_b", 1],
    ["a%", 0],
    ["%", 0],
    ["'; DROP TABLE factlog_event;--", 1],
  ] as const) {
    const page = (await (await get(`/v1/events?key=${encodeURIComponent(key)}`)).json()) as { events: unknown[] };
    assert.equal(page.events.length, found, key);
  }
  assert.equal((await log.page()).events.length, 4);
});

test("rows 45 to 48: parameters that are none are refused, and no number is rounded", async (t) => {
  const { get, post } = await serve(t);
  await post("/v1/events", noted("1"));
  const { next } = (await (await get("/v1/events")).json()) as { next: string };
  for (const query of [
    "order=seq;select%20pg_sleep(10)",
    "sort=x",
    "filter=^(a%2B)%2B$",
    "q=x",
    ...["-1", "0", "1e9", "1000000000", "NaN", "1.5", "", "0x10", "１"].map((limit) => `limit=${limit}`),
    ...["-1", "abc", "9007199254740993", "9223372036854775808", ""].map((from) => `from=${from}`),
    `from=${next.replace(/\d+$/u, "9007199254740993")}`,
    `from=${next}x`,
    `from=x${next}`,
    `from=${next.replaceAll(".", "-")}`,
  ])
    assert.equal(await told(get(`/v1/events?${query}`)), "400 INVALID_OPTION", query);
});

test("row 56: of two redrives of one dead letter one wins; an unknown one is not there", async (t) => {
  const { post, log, get } = await serve(t);
  await post("/v1/events", { type: "OrderPlaced", data: { orderId: "bad-56" } });
  await log.drain(app);
  const { deadLetters } = (await (await get("/v1/dead")).json()) as { deadLetters: { id: string }[] };
  const path = `/v1/dead/${encodeURIComponent(deadLetters[0]!.id)}/redrive`;
  const answers = await Promise.all([post(path, {}), post(path, {})]);
  const statuses = answers.map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 200).length, 1);
  assert.ok(statuses.includes(404) || statuses.includes(409), statuses.join());
  assert.equal(await told(post("/v1/dead/warehouse:1.1.999/redrive", {})), "404 NOT_FOUND");
});

test("row 58: a Last-Event-ID that is none is refused", async (t) => {
  const { get, origin } = await serve(t);
  for (const id of ["abc", "x".repeat(10_240), "1", "a.b.c"])
    assert.equal(await told(get("/v1/stream", { "last-event-id": id })), "400 INVALID_OPTION", id.slice(0, 10));
  const injected =
    "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nLast-Event-ID: 1\r\nX: y\r\n\r\n";
  assert.match(await raw(origin, injected), /^HTTP\/1\.1 400 /u);
});

test("row 59: data cannot forge a frame", async (t) => {
  const { get, post } = await serve(t);
  const messages = messagesOf(await get("/v1/stream"));
  const forged = "\n\nevent: forged\ndata: x\n\n\r\rid: 7\u2028event: forged";
  await post("/v1/events", { type: "Noted", id: "n", subject: "s", data: { forged } });
  await post("/v1/events", { type: "Noted", id: "last", data: 1 });
  const [one, two] = await take(messages, 2);
  assert.deepEqual([one?.event, two?.event], ["event", "event"]);
  assert.equal((one!.data as { data: { forged: string } }).data.forged, forged);
  await messages.return(undefined);
});

test("row 61: one stream too many is told when to come again", async (t) => {
  const { get } = await serve(t, { bounds: { most: 1 } });
  const first = await get("/v1/stream");
  const second = await get("/v1/stream");
  assert.equal(second.status, 503);
  assert.match(second.headers.get("retry-after") ?? "", /^\d+$/u);
  await first.body?.cancel();
});

test("row 79: secrets in a handler's error are not told over HTTP, and its text is bounded", async (t: TestContext) => {
  const Tried = defineEvent("Tried", { schema: z.object({ n: z.int() }) });
  const secrets = [
    "postgres://u:canary-one@host/db",
    "Bearer canary-two-xyz",
    "whsec_canarythreeAAAA",
    "password=canary-four",
  ];
  const careless = defineSubscription("careless", { on: Tried, from: "beginning" }, () => {
    throw new NonRetryable(`${secrets.join(" ")} factlog_0123456789ab_${"ca11a".repeat(14)} ${"x".repeat(100_000)}`);
  });
  const own = defineApp({ name: "own", subscriptions: [careless] });
  const log = await openLog("memory:", { logger: { debug() {}, info() {}, warn() {}, error() {} } });
  const api = httpApi(log, own);
  t.after(async () => {
    await api.close();
    await log.close();
  });
  const { origin } = await listening(t, createServer(api.node));
  const { correlationId } = await log.publish(Tried({ n: 1 }));
  await log.drain(own);
  const { deadLetters } = (await (await fetch(`${origin}/v1/dead`)).json()) as { deadLetters: { id: string }[] };
  const texts = await Promise.all(
    [
      "/v1/dead",
      `/v1/dead/${encodeURIComponent(deadLetters[0]!.id)}`,
      "/v1/status",
      `/v1/correlations/${correlationId}`,
    ].map(async (path) => (await fetch(origin + path)).text()),
  );
  const stream = await (await fetch(`${origin}/v1/correlations/${correlationId}/stream`)).text();
  for (const text of [...texts, stream]) {
    assert.equal(/canary|ca11aca11a/u.test(text), false, text.slice(0, 500));
    assert.ok(text.length < 20_000);
  }
  assert.ok(texts[1]!.includes("***"));
});

test("row 83: other methods are answered with those there are, and no header makes one of another", async (t) => {
  const { origin, log } = await serve(t);
  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
    const answer = await fetch(`${origin}/v1/events`, { method, headers: { "x-http-method-override": "POST" } });
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "POST, GET, HEAD"], method);
  }
  const line = (method: string): string =>
    `${method} /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
  assert.match(await raw(origin, line("TRACE")), /^HTTP\/1\.1 405 /u);
  assert.match(await raw(origin, line("BREW")), /^HTTP\/1\.1 400 /u);
  assert.equal(/^HTTP\/1\.1 [25]/u.test(await raw(origin, line("CONNECT"))), false);
  const got = await fetch(`${origin}/v1/events`, { headers: { "x-http-method-override": "POST" } });
  assert.equal(got.status, 200);
  assert.equal((await log.page()).events.length, 0);
});

test("every answer carries the headers that keep it from being more than an answer", async (t) => {
  const { get, post } = await serve(t);
  for (const answer of [
    await get("/v1/status"),
    await get("/livez"),
    await get("/none"),
    await post("/v1/events", "{"),
  ]) {
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    assert.equal(answer.headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    await answer.body?.cancel();
  }
});
