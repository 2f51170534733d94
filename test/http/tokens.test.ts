/** Who may call, with access tokens: RELIABILITY's rows on access, by their numbers, and what tokens do over HTTP. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test, type TestContext } from "node:test";
import { crc32 } from "node:zlib";
import type { FreshAccessToken, Log } from "factlog";
import { limits } from "../../src/limits.ts";
import { httpApiWithin } from "../../src/http/api.ts";
import { Callers } from "../../src/http/caller.ts";
import { realEnv } from "../../src/env.ts";
import { mint } from "../../src/runtime/access-token.ts";
import { app, messagesOf, problemIn, refusal, serve, type Served } from "./support.ts";

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const make = (log: Log, scopes: readonly string[], more: object = {}): Promise<FreshAccessToken> =>
  log.tokens.create({ name: "test", scopes, ...more });

/** A server on a log that has a token for everything. */
async function guarded(
  t: TestContext,
): Promise<Served & { readonly all: Record<string, string>; readonly token: FreshAccessToken }> {
  const served = await serve(t);
  const token = await make(served.log, ["*"]);
  return { ...served, token, all: bearer(token.token) };
}

test("row 1: without a token nobody is let in once there is one, not even this machine", async (t) => {
  const { log, get, post } = await serve(t);
  assert.equal((await get("/v1/status")).status, 200);
  const { token, id } = await make(log, ["*"]);
  const refused = await get("/v1/status");
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get("www-authenticate"), "Bearer");
  assert.equal((await problemIn(refused)).code, "UNAUTHENTICATED");
  assert.equal(await refusal(post("/v1/events", { type: "Noted", data: 1 })), "401 UNAUTHENTICATED");
  assert.equal((await get("/v1/status", bearer(token))).status, 200);
  assert.equal((await get("/v1/status", { authorization: `bearer  ${token} ` })).status, 200);
  await log.tokens.revoke(id);
  assert.equal(await refusal(get("/v1/status", bearer(token))), "401 UNAUTHENTICATED");
  assert.equal((await get("/v1/status")).status, 200, "the last one is gone: this machine again");
});

test("row 1: where tokens are required, nobody is let in without, from the first moment on", async (t) => {
  const { get, log } = await serve(t, { tokens: "required" });
  assert.equal(await refusal(get("/v1/status")), "401 UNAUTHENTICATED");
  assert.equal((await get("/v1/status", bearer((await make(log, ["read:*"])).token))).status, 200);
});

test("row 2: a wrong token takes as long as one that is nearly right", async (t) => {
  const { log } = await serve(t);
  const { id } = await make(log, ["*"]);
  // Another secret behind an id that is there, and behind one that is not: both have their checksum.
  const near = nearly(id);
  const far = mint().token;
  const times = { near: [] as number[], far: [] as number[] };
  for (let i = 0; i < 10_000; i++)
    for (const [which, token] of [
      ["near", near],
      ["far", far],
    ] as const) {
      const beganMs = performance.now();
      assert.equal(await log.tokens.verify(token), undefined);
      times[which].push(performance.now() - beganMs);
    }
  const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length / 2]!;
  const ratio = median(times.near) / median(times.far);
  assert.ok(ratio > 0.7 && ratio < 1.4, `near a known token takes ${ratio} of what another takes`);
});

test("rows 3 and 4: a token of any other form, or in another place, is none", async (t) => {
  const { get, origin, token, told } = await guarded(t);
  for (const bad of ["x", token.token.slice(0, -1), `${token.token}0`, "x".repeat(8_000), "Basic", "a b"])
    assert.equal(await refusal(get("/v1/status", bearer(bad))), "401 UNAUTHENTICATED", bad.slice(0, 20));
  for (const authorization of [token.token, `Basic ${token.token}`, "Bearer", `Bearer ${token.token}, Bearer x`])
    assert.equal(await refusal(get("/v1/status", { authorization })), "401 UNAUTHENTICATED", authorization);
  const status = await new Promise((resolve, reject) => {
    const call = httpRequest(`${origin}/v1/status`, { headers: bearer("x".repeat(1_000_000)) }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNRESET" || error.code === "EPIPE" ? resolve(431) : reject(error),
    );
    call.end();
  });
  assert.equal(status, 431);
  for (const name of ["token", "access_token", "authorization"])
    assert.equal(await refusal(get(`/v1/status?${name}=${token.token}`)), "401 UNAUTHENTICATED");
  assert.deepEqual(told, []);
});

test("row 5: an expired or revoked token is none, and its open streams end at the next look", async (t) => {
  const { log, get } = await serve(t, { bounds: { accessMs: 50 } });
  const [kept, ended] = [await make(log, ["read:events"]), await make(log, ["read:events"])];
  const streams = await Promise.all([kept, ended].map(({ token }) => get("/v1/stream", bearer(token))));
  assert.deepEqual(
    streams.map((stream) => stream.status),
    [200, 200],
  );
  await log.tokens.revoke(ended.id);
  await Array.fromAsync(messagesOf(streams[1]!));
  await streams[0]!.body!.cancel();
  const { token } = await make(log, ["*"], { expiresIn: 1 });
  let answer = await get("/v1/status", bearer(token));
  while (answer.status !== 401) answer = await get("/v1/status", bearer(token));
  assert.ok(limits.streamAccessMs + limits.tokensLookMs <= 30_000);
});

test("row 5: tokens that come where this machine was answered without end its streams too", async (t) => {
  const { log, get } = await serve(t, { bounds: { accessMs: 50 } });
  const stream = await get("/v1/stream");
  assert.equal(stream.status, 200);
  await make(log, ["*"]);
  await Array.fromAsync(messagesOf(stream));
});

test("row 6: a token that may publish may do nothing else", async (t) => {
  const { log, get, post } = await serve(t);
  const headers = bearer((await make(log, ["publish:*"])).token);
  for (const path of [
    "/v1/dead",
    "/v1/tokens",
    "/v1/metrics",
    "/metrics",
    "/v1/events",
    "/v1/approvals",
    "/v1/delayed",
  ])
    assert.equal(await refusal(get(path, headers)), "403 FORBIDDEN", path);
  assert.equal(await refusal(post("/v1/tokens", { name: "x", scopes: ["*"] }, headers)), "403 FORBIDDEN");
  assert.equal((await post("/v1/events", { type: "Noted", data: 1 }, headers)).status, 202);
});

test("row 7: a type that a token may not publish is answered as one that is not there", async (t) => {
  const { log, post } = await serve(t);
  const headers = bearer((await make(log, ["publish:Tenant*"], { group: "a" })).token);
  const answers = await Promise.all(
    ["Noted", "Absent"].map(async (type) => {
      const response = await post("/v1/events", { type, data: 1 }, headers);
      return [response.status, (await response.text()).replaceAll(type, "TYPE")];
    }),
  );
  assert.deepEqual(answers[0], answers[1]);
  assert.equal(answers[0]?.[0], 404);
  assert.equal((await post("/v1/events", { type: "TenantNoted", data: { tenant: "a" } }, headers)).status, 202);
  const other = post("/v1/events", { type: "TenantNoted", data: { tenant: "b" } }, headers);
  assert.equal(await refusal(other), "403 FORBIDDEN");
});

test("row 8: a token is given no rights that its maker has not, and no field that is none", async (t) => {
  const { log, get, post, origin, all } = await guarded(t);
  const mine = bearer((await make(log, ["admin:tokens", "read:*"])).token);
  const create = (body: object): Promise<Response> => post("/v1/tokens", { name: "new", ...body }, mine);
  assert.equal(await refusal(create({ scopes: ["read:events"], admin: true })), "400 INVALID_ATTRIBUTE");
  for (const scopes of [["*"], ["admin:*"], ["admin:dead"], ["read:events", "publish:Noted"]])
    assert.equal(await refusal(create({ scopes })), "403 FORBIDDEN", scopes.join());
  for (const scopes of [undefined, "*", [7], []])
    assert.match(await refusal(create({ scopes })), /^400 /u, String(scopes));
  assert.equal(await refusal(create({ scopes: ["read:status"], expiresIn: "soon" })), "400 INVALID_OPTION");
  const made = (await (await create({ scopes: ["read:status"], expiresIn: "1h" })).json()) as FreshAccessToken;
  assert.equal((await get("/v1/status", bearer(made.token))).status, 200);
  const patched = await fetch(`${origin}/v1/tokens/${made.id}`, {
    method: "PATCH",
    headers: { ...all, "content-type": "application/json" },
    body: '{"scopes":["admin:*"]}',
  });
  assert.equal(patched.status, 404, "nothing changes a token");
  const listed = await (await get("/v1/tokens", mine)).text();
  assert.ok(listed.includes(made.id) && !listed.includes(made.token.slice(21, 60)) && !listed.includes("digest"));
  assert.equal((await post(`/v1/tokens/${made.id}/revoke`, {}, all)).status, 200);
  assert.equal(await refusal(post(`/v1/tokens/${made.id}/revoke`, {}, all)), "404 NOT_FOUND");
  assert.equal(await refusal(get("/v1/status", bearer(made.token))), "401 UNAUTHENTICATED");
  const limited = bearer((await make(log, ["*"], { group: "a" })).token);
  assert.equal(await refusal(get("/v1/tokens", limited)), "403 FORBIDDEN", "who sees a part gives nobody the whole");
});

test("rows 73 and 74: pages of other origins get nowhere, with a token or without, and nothing is told them", async (t) => {
  const { get, origin, all } = await guarded(t);
  for (const bad of ["https://evil.example", "null"]) {
    const answer = await get("/v1/status", { ...all, origin: bad });
    assert.equal(answer.status, 403, bad);
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    const preflight = await fetch(`${origin}/v1/status`, { method: "OPTIONS", headers: { origin: bad } });
    assert.deepEqual(
      [...preflight.headers.keys()].filter((name) => name.startsWith("access-control")),
      [],
    );
  }
  const form = await fetch(`${origin}/v1/events`, {
    method: "POST",
    headers: { "content-type": "text/plain", "sec-fetch-site": "cross-site", cookie: "session=1" },
    body: '{"type":"Noted","data":1}',
  });
  assert.equal(form.status, 403);
});

/** `fetch` sets Host by itself. */
const statusAt = (origin: string, headers: Record<string, string>): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    httpRequest(`${origin}/v1/status`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });

test("row 75: another name for this machine is refused; with a token it is the token that counts, or the names given", async (t) => {
  const { origin, all } = await guarded(t);
  assert.equal(await statusAt(origin, { host: "evil.example" }), 421);
  assert.equal(await statusAt(origin, { host: "localhost" }), 401);
  assert.equal(await statusAt(origin, { ...all, host: "shop.example" }), 200);
  const named = await serve(t, { hosts: ["Shop.example"] });
  const { token } = await make(named.log, ["*"]);
  assert.equal(await statusAt(named.origin, { ...bearer(token), host: "evil.example" }), 421);
  for (const host of ["shop.example", "SHOP.EXAMPLE:8080", "127.0.0.1"])
    assert.equal(await statusAt(named.origin, { ...bearer(token), host }), 200, host);
  const decided = await serve(t, { hosts: ["shop.example"], authorize: () => ({ scopes: ["*"] }) });
  assert.equal(await statusAt(decided.origin, { host: "evil.example" }), 421);
  assert.equal(await statusAt(decided.origin, { host: "shop.example" }), 200);
});

test("row 84: health says nothing, and needs nothing; metrics need their scope", async (t) => {
  const { log, get, post, all } = await guarded(t);
  await post("/v1/events", { type: "Noted", data: "canary" }, all);
  for (const path of ["/livez", "/readyz"]) {
    const answer = await get(path);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^\{"(?:live|ready)":true\}$/u);
  }
  assert.equal(await refusal(get("/metrics")), "401 UNAUTHENTICATED");
  const { token } = await make(log, ["read:metrics"]);
  await log.drain(app);
  for (const path of ["/metrics", "/v1/metrics"]) {
    const answer = await get(path, bearer(token));
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/u);
    const text = await answer.text();
    assert.match(text, /^factlog_[a-z_]+\{subscription="warehouse"/mu);
    assert.equal(text.includes("canary"), false);
  }
});

test("with authorize it alone decides: a token counts if it says so", async (t) => {
  const { log, get } = await serve(t, {
    authorize: async (request) => {
      const [, text = ""] = /^Bearer (.+)$/u.exec(request.headers.get("authorization") ?? "") ?? [];
      const token = await log.tokens.verify(text);
      return token === undefined ? null : { scopes: token.scopes, caller: token.name };
    },
  });
  const { token } = await make(log, ["read:status"]);
  assert.equal(await refusal(get("/v1/status")), "401 UNAUTHENTICATED");
  assert.equal((await get("/v1/status", bearer(token))).status, 200);
  const open = await serve(t, { authorize: () => ({ scopes: ["read:status"] }) });
  await make(open.log, ["*"]);
  assert.equal((await open.get("/v1/status", bearer("none"))).status, 200);
});

test("a token is counted: so many requests a second, so many streams", async (t) => {
  const { log, get } = await serve(t);
  const [one, two] = [await make(log, ["*"]), await make(log, ["*"])];
  const streams: Response[] = [];
  for (let i = 0; i < limits.callerStreamsMax; i++) streams.push(await get("/v1/stream", bearer(one.token)));
  const refused = await get("/v1/stream", bearer(one.token));
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "1"]);
  const other = await get("/v1/stream", bearer(two.token));
  assert.equal(other.status, 200);
  await Promise.all([...streams, other].map((stream) => stream.body!.cancel()));

  let nowMs = 0;
  const env = { ...realEnv, monotonic: () => nowMs };
  const callers = new Callers(log, { authorize: undefined, tokens: "localhost", hosts: undefined }, env);
  const call = (token: string): Promise<unknown> =>
    callers.of(new Request("http://localhost/", { headers: bearer(token) }), undefined);
  for (let i = 0; i < limits.tokenRequestsPerSecond; i++) await call(one.token);
  await assert.rejects(call(one.token), { code: "TOO_MANY_REQUESTS" });
  await call(two.token);
  nowMs += 1;
  for (let i = 0; i < limits.tokenRequestsPerSecond / 1_000; i++) await call(one.token);
  await assert.rejects(call(one.token), { code: "TOO_MANY_REQUESTS" });
});

test("requests are logged without anything that is secret", async (t) => {
  const { log } = await serve(t);
  const lines: string[] = [];
  const write = (message: string, fields?: object): void => void lines.push(JSON.stringify({ message, ...fields }));
  const logger = { debug: write, info: write, warn: write, error: write };
  const api = httpApiWithin(undefined, log, app, { logger, logRequests: true });
  const { token, id } = await make(log, ["publish:*"]);
  const canaries = ["canary-query", "canary-header", "canary-body", "canary-cookie", token];
  const send = (path: string, headers: object, body?: string): Promise<Response> =>
    api.fetch(
      new Request(`http://localhost${path}`, {
        headers: { "content-type": "application/json", ...headers },
        ...(body === undefined ? {} : { method: "POST", body }),
      }),
    );
  await send("/v1/events", bearer(token), '{"type":"Noted","data":"canary-body"}');
  await send(`/v1/status?token=${token}&q=canary-query`, { cookie: "canary-cookie", "x-key": "canary-header" });
  await send("/v1/events", bearer(token), '{"canary-body":');
  await send(`/v1/${"x".repeat(5_000)}`, {});
  assert.equal(lines.length, 4);
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    [first?.["message"], first?.["method"], first?.["path"], first?.["status"], first?.["caller"]],
    ["request", "POST", "/v1/events", 202, `test (token ${id})`],
  );
  assert.equal(typeof first?.["ms"], "number");
  assert.equal(second?.["status"], 401);
  for (const canary of canaries) assert.equal(lines.join("\n").includes(canary), false, canary);
  assert.ok(lines.every((line) => line.length < 400));
});

/** The checksum is right, the secret is not. */
function nearly(id: string): string {
  const text = `factlog_${id}_${mint().token.split("_")[2]!.slice(0, 64)}`;
  return text + crc32(text).toString(16).padStart(8, "0");
}
