/** Signed messages from outside become facts: Standard Webhooks, and a verifier of one's own as GitHub needs. */
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { test, type TestContext } from "node:test";
import { type NewEvent, newEventFromJson } from "factlog";
import { type IncomingWebhook, standardWebhook } from "factlog/http";
import { Webhook as Signer } from "standardwebhooks";
import { acceptedIn, dataOf, Noted, OrderPlaced, problemIn, refusal, serve, type Served } from "./support.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const older = `whsec_${Buffer.alloc(24, 8).toString("base64")}`;

/** As a sender that keeps to the standard sends it. */
function signed(body: string, id = "msg_1", at = new Date(), key = secret): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Signer(key).sign(id, at, body),
  };
}
const shop = standardWebhook({
  secret: [secret, older],
  event: (payload) => Noted(payload),
});
const serveWith = (t: TestContext, webhooks: Record<string, IncomingWebhook>): Promise<Served> =>
  serve(t, { webhooks });
const body = '{"type":"paid","order":"o-1"}';

test("a signed message is a fact, without a token, from wherever it comes; a repeat is the same fact (row 70)", async (t) => {
  const { log, post, get } = await serveWith(t, { shop });
  await log.tokens.create({ name: "web", scopes: ["*"] });
  const headers = { ...signed(body), host: "hooks.example" };
  const first = await post("/v1/webhooks/shop", body, headers);
  assert.equal(first.status, 202);
  assert.deepEqual(await first.json(), { id: "msg_1", events: ["msg_1"], duplicate: false });
  const again = await post("/v1/webhooks/shop", body, signed(body, "msg_1", new Date(Date.now() + 1_000)));
  assert.deepEqual(await again.json(), { id: "msg_1", events: ["msg_1"], duplicate: true });
  assert.deepEqual(await dataOf(log, "Noted"), [body]);
  const [event] = (await log.page({ types: ["Noted"] })).events;
  assert.deepEqual([event?.source, event?.id], ["webhook/shop", "msg_1"]);
  assert.equal(await refusal(get("/v1/status")), "401 UNAUTHENTICATED");
});

test("a message under an id that was taken with another content changes nothing, and its sender need not come again", async (t) => {
  const { log, post, told } = await serveWith(t, { shop });
  await post("/v1/webhooks/shop", body, signed(body));
  const answer = await post("/v1/webhooks/shop", "2", signed("2"));
  assert.equal(answer.status, 202);
  assert.equal((await acceptedIn(answer)).duplicate, true);
  assert.deepEqual(await dataOf(log, "Noted"), [body]);
  assert.equal(told.length, 1);
});

test("row 69: what is signed otherwise, too old, or too new is refused", async (t) => {
  const { log, post } = await serveWith(t, { shop });
  const now = Date.now();
  const good = signed(body);
  const signature = good["webhook-signature"]!;
  const bad: readonly (readonly [string, Record<string, string>])[] = [
    ["301 s old", signed(body, "m", new Date(now - 301_000 - 1_000))],
    ["301 s ahead", signed(body, "m", new Date(now + 301_000 + 5_000))],
    ["empty", { ...good, "webhook-signature": "v1," }],
    ["first eight characters", { ...good, "webhook-signature": signature.slice(0, 11) }],
    ["v2 only", { ...good, "webhook-signature": signature.replace("v1,", "v2,") }],
    ["v1a only", { ...good, "webhook-signature": signature.replace("v1,", "v1a,") }],
    ["without a comma", { ...good, "webhook-signature": "v1" }],
    ["another secret", signed(body, "m", new Date(), `whsec_${Buffer.alloc(32, 9).toString("base64")}`)],
    ["another id", { ...good, "webhook-id": "other" }],
    ["another time", { ...good, "webhook-timestamp": String(Number(good["webhook-timestamp"]) + 1) }],
    ["a time with a tail", { ...good, "webhook-timestamp": `${good["webhook-timestamp"]}x` }],
    ["another body", signed(`${body} `)],
    ["nothing", {}],
  ];
  for (const [what, headers] of bad)
    assert.equal(await refusal(post("/v1/webhooks/shop", body, headers)), "401 UNAUTHENTICATED", what);
  const many = { ...good, "webhook-signature": `v2,x v1,AAAA ${signature}` };
  for (const [i, headers] of [
    signed(body, "old-secret", new Date(), older),
    many,
    signed(body, "a", new Date(now - 290_000)),
    signed(body, "b", new Date(now + 290_000)),
  ].entries())
    assert.equal((await post("/v1/webhooks/shop", body, headers)).status, 202, String(i));
  assert.equal((await dataOf(log, "Noted")).length, 4);
  for (const no of ["whsec_", "", "plain", `whsec_${Buffer.alloc(8).toString("base64")}`])
    assert.throws(() => standardWebhook({ secret: no, event: () => undefined }), { code: "INVALID_OPTION" }, no);
  assert.throws(() => standardWebhook({ secret: [], event: () => undefined }), { code: "INVALID_OPTION" });
});

test("a message may be no fact, or several; what it cannot be is refused, and names of senders are their own", async (t) => {
  const { log, post } = await serveWith(t, {
    shop: standardWebhook({
      secret,
      event: (payload): NewEvent | NewEvent[] | undefined => {
        const { kind } = payload as { kind: string };
        if (kind === "ping") return undefined;
        if (kind === "two") return [Noted(1), OrderPlaced({ orderId: "o-7" })];
        if (kind === "raw") return newEventFromJson(Noted, "1.00", { source: "/theirs", id: "own" });
        return OrderPlaced({ orderId: 7 as unknown as string });
      },
    }),
  });
  const send = (kind: string): Promise<Response> => {
    const text = JSON.stringify({ kind });
    return post("/v1/webhooks/shop", text, signed(text, `msg-${kind}`));
  };
  assert.deepEqual(await (await send("ping")).json(), { id: "msg-ping", events: [], duplicate: false });
  assert.deepEqual(await (await send("two")).json(), { id: "msg-two", events: ["msg-two", "o-7"], duplicate: false });
  assert.equal(((await (await send("two")).json()) as { duplicate: boolean }).duplicate, true);
  assert.deepEqual(await (await send("raw")).json(), { id: "msg-raw", events: ["own"], duplicate: false });
  assert.deepEqual(await dataOf(log, "Noted"), ["1", "1.00"]);
  assert.equal(await refusal(send("wrong")), "400 INVALID_DATA");
  assert.equal(await refusal(post("/v1/webhooks/shop", "{", signed("{"))), "400 INVALID_DATA");
  for (const name of ["other", "__proto__", "constructor", "toString", "%2e%2e"])
    assert.equal(await refusal(post(`/v1/webhooks/${name}`, body, signed(body))), "404 NOT_FOUND", name);
  const large = "x".repeat(1_048_577);
  assert.equal(await refusal(post("/v1/webhooks/shop", large, signed(large))), "413 BODY_TOO_LARGE");
});

test("a verifier of one's own, as GitHub signs; a fault of it is the server's and not told to the caller", async (t) => {
  const key = "correct horse";
  const github: IncomingWebhook = {
    verify: ({ headers, body: text }) => {
      const expected = `sha256=${createHmac("sha256", key).update(text).digest("hex")}`;
      const given = headers.get("x-hub-signature-256") ?? "";
      const same = given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected));
      return same ? headers.get("x-github-delivery") : null;
    },
    event: ({ body: text, headers }) => Noted({ event: headers.get("x-github-event"), body: text.length }),
  };
  const { log, post, told } = await serveWith(t, {
    github,
    broken: {
      verify: () => {
        throw new Error("secret-canary");
      },
      event: () => undefined,
    },
  });
  const headers = {
    "x-github-event": "push",
    "x-github-delivery": "72d3162e",
    "x-hub-signature-256": `sha256=${createHmac("sha256", key).update(Buffer.from(body)).digest("hex")}`,
  };
  assert.equal((await post("/v1/webhooks/github", body, headers)).status, 202);
  assert.equal((await acceptedIn(await post("/v1/webhooks/github", body, headers))).duplicate, true);
  assert.equal(await refusal(post("/v1/webhooks/github", `${body} `, headers)), "401 UNAUTHENTICATED");
  assert.equal(
    await refusal(post("/v1/webhooks/github", body, { ...headers, "x-hub-signature-256": "" })),
    "401 UNAUTHENTICATED",
  );
  assert.equal((await dataOf(log, "Noted")).length, 1);
  const fault = await post("/v1/webhooks/broken", body);
  assert.equal(fault.status, 500);
  assert.equal(JSON.stringify(await problemIn(fault)).includes("canary"), false);
  assert.equal(told.length, 1);
});
