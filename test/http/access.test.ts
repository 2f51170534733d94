/** Who may call, and what they see: this machine alone without `authorize`, and what it says with it. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { tokenScopes } from "factlog";
import { httpApi } from "factlog/http";
import { allows } from "../../src/http/access.ts";
import { routes } from "../../src/http/routes.ts";
import { acceptedIn, app, refusal, serve } from "./support.ts";

/** `fetch` sets Host by itself. */
function statusWith(origin: string, headers: Record<string, string>, path = "/v1/status"): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpRequest(origin + path, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

test("without authorize only this machine is answered, under its own name, and no page of another origin", async (t) => {
  const { origin, get, log, post } = await serve(t);
  for (const host of ["localhost", "localhost:80", "127.0.0.1", "127.1.2.3:9", "[::1]:7", "LOCALHOST"])
    assert.equal(await statusWith(origin, { host }), 200, host);
  for (const host of [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
    "127.0.0.1@evil.example",
    "[::2]",
  ])
    assert.ok([421, 400].includes((await statusWith(origin, { host })) ?? 0), host);
  for (const name of ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
    assert.equal(await statusWith(origin, { host: "localhost", [name]: "1.2.3.4" }), 403, name);
  for (const bad of ["https://evil.example", "null", "http://127.0.0.1:1"])
    assert.equal(await refusal(get("/v1/events", { origin: bad })), "403 FORBIDDEN", bad);
  assert.equal((await get("/v1/events", { origin })).status, 200);
  assert.equal(await refusal(post("/v1/events", {}, { "sec-fetch-site": "cross-site" })), "403 FORBIDDEN");
  const bare = httpApi(log, app);
  assert.equal(await refusal(bare.fetch(new Request("http://localhost/v1/events"))), "403 FORBIDDEN");
  assert.equal((await bare.fetch(new Request("http://localhost/livez"))).status, 200);
  assert.equal(await statusWith(origin, { host: "pod-7.cluster" }, "/readyz"), 200);
});

test("nothing is allowed across origins, and nothing may be guessed from a preflight", async (t) => {
  const { origin } = await serve(t);
  const response = await fetch(`${origin}/v1/events`, {
    method: "OPTIONS",
    headers: { origin: "https://evil.example" },
  });
  assert.equal(response.status, 405);
  assert.deepEqual(
    [...response.headers.keys()].filter((name) => name.startsWith("access-control")),
    [],
  );
});

test("nobody is let in whom authorize does not know; with it nothing else decides but the origin of a page", async (t) => {
  const { get, post, origin } = await serve(t, {
    authorize: (request) => (request.headers.get("cookie") === "user=1" ? { scopes: ["*"] } : null),
  });
  const refused = await get("/v1/status");
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get("www-authenticate"), "Bearer");
  const cookie = { cookie: "user=1" };
  assert.equal(await statusWith(origin, { ...cookie, host: "shop.example" }), 200);
  assert.equal(
    await refusal(post("/v1/dead/x:1.1.1/redrive", "", { ...cookie, origin: "https://evil.example" })),
    "403 FORBIDDEN",
  );
  assert.equal(await refusal(post("/v1/dead/x:1.1.1/redrive", "", { ...cookie, origin })), "404 NOT_FOUND");
  assert.equal(await refusal(get("/v1/status")), "401 UNAUTHENTICATED");
});

test("every route asks for its scope, and is closed to who has all others", async (t) => {
  let scopes: readonly string[] = [];
  const { origin } = await serve(t, { authorize: () => ({ scopes }) });
  const known = tokenScopes.map((scope) => scope.replace("TYPE", "*"));
  const signed = routes.filter(({ scope }) => scope === "signature").map(({ path }) => path);
  assert.deepEqual(signed, ["/webhooks/{name}"], "nothing else is open to whoever comes");
  for (const { method, path, scope } of routes.filter((route) => route.scope !== "signature")) {
    const url = origin + `/v1${path}`.replaceAll(/\{\w+\}/gu, "x:1.1.1");
    const call = (): Promise<Response> =>
      fetch(url, {
        method,
        headers: { "content-type": "application/json" },
        ...(method === "POST" ? { body: '{"type":"Noted","data":1}' } : {}),
      });
    assert.ok(
      known.some((each) => allows({ scopes: [each] }, scope)),
      `${path}: ${scope}`,
    );
    scopes = known.filter((each) => !allows({ scopes: [each] }, scope));
    assert.equal(await refusal(call()), scope === "publish:TYPE" ? "404 UNKNOWN_EVENT_TYPE" : "403 FORBIDDEN", path);
    scopes = [scope.replace("TYPE", "*")];
    const response = await call();
    assert.notEqual(response.status, 403, path);
    await response.body?.cancel();
  }
});

test("a type that may not be published is not there", async (t) => {
  const { post } = await serve(t, { authorize: () => ({ scopes: ["publish:Tenant*"] }) });
  const answers = await Promise.all(
    ["Noted", "Absent"].map(async (type) => {
      const response = await post("/v1/events", { type, data: 1 });
      return [response.status, (await response.text()).replaceAll(type, "TYPE")];
    }),
  );
  assert.deepEqual(answers[0], answers[1]);
  assert.equal((await post("/v1/events", { type: "TenantNoted", data: { tenant: "a" } })).status, 202);
});

test("a tenant sees and publishes its own group only", async (t) => {
  const { get, post, log } = await serve(t, {
    authorize: (request) => ({ scopes: ["*"], group: request.headers.get("x-tenant") ?? "nobody" }),
  });
  const [a, b] = [{ "x-tenant": "a" }, { "x-tenant": "b" }];
  const sent = await acceptedIn(await post("/v1/events", { type: "TenantNoted", data: { tenant: "a" } }, a));
  assert.equal(await refusal(post("/v1/events", { type: "TenantNoted", data: { tenant: "a" } }, b)), "403 FORBIDDEN");
  assert.equal(await refusal(post("/v1/events", { type: "Noted", data: 1 }, b)), "403 FORBIDDEN");
  const seen = async (headers: Record<string, string>, query = ""): Promise<number> =>
    ((await (await get(`/v1/events${query}`, headers)).json()) as { events: unknown[] }).events.length;
  assert.deepEqual([await seen(a), await seen(b), await seen(b, "?group=a")], [1, 0, 0]);
  assert.equal((await get(sent.statusUrl, a)).status, 200);
  const unknown = await get("/v1/correlations/none", b);
  const foreign = await get(sent.statusUrl, b);
  assert.deepEqual([foreign.status, await foreign.text()], [unknown.status, await unknown.text()]);
  assert.equal(await refusal(get("/v1/status", a)), "403 FORBIDDEN");
  assert.equal((await log.page()).events.length, 1);
});

test("a caller of one correlation stays within it", async (t) => {
  const { get, post } = await serve(t, { authorize: () => ({ scopes: ["*"], correlationId: "c-1" }) });
  const sent = await acceptedIn(await post("/v1/events", { type: "Noted", data: 1 }));
  assert.equal(sent.correlationId, "c-1");
  assert.equal(await refusal(post("/v1/events", { type: "Noted", data: 1, correlationId: "c-2" })), "403 FORBIDDEN");
  assert.equal(await refusal(get("/v1/correlations/c-2")), "404 NOT_FOUND");
  assert.equal(await refusal(get("/v1/correlations/c-2/stream")), "404 NOT_FOUND");
  assert.equal((await get("/v1/correlations/c-1")).status, 200);
});

test("a star in a scope stands for anything, and is quick about it", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["*", "x", true],
    ["publish:Order*", "publish:OrderPlaced", true],
    ["publish:Order*", "publish:Or", false],
    ["publish:*Placed", "publish:OrderPlaced", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "ac", false],
    ["ab*ba", "aba", false],
    ["read:events", "read:eventsX", false],
    [".*", "x", false],
    [`${"a*".repeat(5_000)}b`, "a".repeat(10_000), false],
  ];
  for (const [scope, text, expected] of cases)
    assert.equal(allows({ scopes: [scope] }, text), expected, scope.slice(0, 20));
});
