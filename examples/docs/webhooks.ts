/** docs/guides/webhooks.md and docs/operating/security.md: signed messages become facts; who may call. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { defineApp, defineEvent, openLog } from "factlog";
import { httpApi, type IncomingWebhook, standardWebhook } from "factlog/http";
import { Webhook } from "standardwebhooks";
import { z } from "zod";

const InvoicePaid = defineEvent("InvoicePaid", { schema: z.object({ invoice: z.string(), cents: z.int() }) });
const Pushed = defineEvent("Pushed", { schema: z.object({ repository: z.string(), commit: z.string() }) });
const app = defineApp({ name: "shop", events: [InvoicePaid, Pushed], subscriptions: [] });
const secretOfPayments = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const secretOfGithub = "It's a Secret to Everybody";
const log = await openLog("memory:", { source: app.name });

// #region standard
const payments = standardWebhook({
  secret: secretOfPayments, // "whsec_...": as the sender shows it; several while one takes the place of another
  event: (payload) => {
    const { type, data } = payload as { type: string; data: { invoice: string; cents: number } };
    return type === "invoice.paid" ? InvoicePaid(data) : undefined; // undefined: nothing that matters here
  },
});
// #endregion

// #region github
const github: IncomingWebhook = {
  verify: ({ headers, body }) => {
    const expected = Buffer.from(`sha256=${createHmac("sha256", secretOfGithub).update(body).digest("hex")}`);
    const given = Buffer.from(headers.get("x-hub-signature-256") ?? "");
    const isGithub = given.length === expected.length && timingSafeEqual(given, expected);
    return isGithub ? headers.get("x-github-delivery") : null; // the message's id: the same for a redelivery
  },
  event: ({ headers, body }) => {
    if (headers.get("x-github-event") !== "push") return undefined;
    const { repository, after } = JSON.parse(body) as { repository: { full_name: string }; after: string };
    return Pushed({ repository: repository.full_name, commit: after });
  },
};
// #endregion

// #region mount
const api = httpApi(log, app, { webhooks: { payments, github } }); // POST /v1/webhooks/payments, .../github
// #endregion

async function send(name: string, headers: Record<string, string>, body: string): Promise<void> {
  const answer = await api.fetch(new Request(`https://x/v1/webhooks/${name}`, { method: "POST", headers, body }));
  const { events, duplicate, code } = (await answer.json()) as Record<string, unknown>;
  console.log(
    name,
    answer.status,
    ...(code === undefined ? [JSON.stringify(events), `duplicate: ${String(duplicate)}`] : [code]),
  );
}
const paid = JSON.stringify({ type: "invoice.paid", data: { invoice: "i-1", cents: 700 } });
const at = new Date();
const signature = new Webhook(secretOfPayments).sign("msg_1", at, paid);
const signed = {
  "webhook-id": "msg_1",
  "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
  "webhook-signature": signature,
};
await send("payments", signed, paid);
await send("payments", signed, paid);
await send("payments", signed, paid.replace("700", "1"));
const push = JSON.stringify({ repository: { full_name: "shop/web" }, after: "6dcb09b5" });
const digest = createHmac("sha256", secretOfGithub).update(push).digest("hex");
const pushed = { "x-github-event": "push", "x-github-delivery": "72d3162e", "x-hub-signature-256": `sha256=${digest}` };
await send("github", pushed, push);
await send("github", { ...pushed, "x-hub-signature-256": "sha256=0" }, push);

// #region tokens
const made = await log.tokens.create({
  name: "web",
  scopes: ["publish:Order*", "read:events"],
  group: "t-1",
  expiresIn: "90d",
});
const known = await log.tokens.verify(made.token); // what a caller shows, in an `authorize` of your own
await log.tokens.revoke(made.id);
// #endregion
console.log(known?.name, known?.group, await log.tokens.verify(made.token));
await api.close();
await log.close();

// Output:
// payments 202 ["msg_1"] duplicate: false
// payments 202 ["msg_1"] duplicate: true
// payments 401 UNAUTHENTICATED
// github 202 ["72d3162e"] duplicate: false
// github 401 UNAUTHENTICATED
// web t-1 undefined
