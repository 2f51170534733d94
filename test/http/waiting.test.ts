/** What waits for people and for its time, over HTTP: the same as the command line's. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test, type TestContext } from "node:test";
import { defineApp, defineEvent, defineSubscription, type Log, openLog } from "factlog";
import { httpApi } from "factlog/http";
import { z } from "zod";
import { eventually } from "../runtime/support.ts";
import { listening, refusal } from "./support.ts";

const Asked = defineEvent("Asked", { schema: z.object({ id: z.string() }), id: (data) => data.id });
const Decided = defineEvent("Decided", { schema: z.object({ approved: z.boolean(), by: z.string() }) });
const clerk = defineSubscription("clerk", { on: Asked, emits: [Decided], from: "beginning" }, async (event, ctx) => {
  const { approved, by } = await ctx.approval("may we?", { summary: `Pay ${event.data.id}`, details: { euro: 7 } });
  ctx.emit(Decided({ approved, by: by ?? "nobody" }));
});
const app = defineApp({ name: "office", subscriptions: [clerk] });

async function office(t: TestContext): Promise<{
  log: Log;
  get: (path: string, headers?: Record<string, string>) => Promise<Response>;
  post: (path: string, body: object, headers?: Record<string, string>) => Promise<Response>;
}> {
  const log = await openLog("memory:", { source: app.name });
  const api = httpApi(log, app);
  const { origin } = await listening(t, createServer(api.node));
  t.after(async () => {
    await api.close();
    await log.close();
  });
  return {
    log,
    get: (path, headers = {}) => fetch(`${origin}/v1${path}`, { headers }),
    post: (path, body, headers = {}) =>
      fetch(`${origin}/v1${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
  };
}
interface Approvals {
  readonly approvals: readonly { readonly id: string; readonly summary: string; readonly details: unknown }[];
  readonly more: boolean;
}

test("approvals are listed and answered once, by who says so, or by the token's name", async (t) => {
  const { log, get, post } = await office(t);
  const worker = await log.work(app);
  for (const id of ["a", "b", "c"]) await log.publish(Asked({ id }));
  const listed = async (query = ""): Promise<Approvals> =>
    (await (await get(`/approvals${query}`)).json()) as Approvals;
  await eventually("all wait", async () => (await listed()).approvals.length === 3);
  const { approvals } = await listed();
  assert.deepEqual([(await listed("?limit=2")).approvals.length, (await listed("?limit=2")).more], [2, true]);
  const idOf = (name: string): string =>
    encodeURIComponent(approvals.find(({ summary }) => summary === `Pay ${name}`)!.id);
  assert.deepEqual(approvals[0]?.details, { euro: 7 });

  assert.equal(await refusal(post(`/approvals/${idOf("a")}/approve`, {})), "400 INVALID_ATTRIBUTE");
  assert.equal(await refusal(post(`/approvals/${idOf("a")}/approve`, { by: " " })), "400 INVALID_ATTRIBUTE");
  assert.equal(
    await refusal(post(`/approvals/${idOf("a")}/approve`, { by: "x", force: true })),
    "400 INVALID_ATTRIBUTE",
  );
  assert.equal(await refusal(post("/approvals/none/approve", { by: "x" })), "404 NOT_FOUND");
  const yes = await post(`/approvals/${idOf("a")}/approve`, { by: "ada", comment: "fine" });
  assert.deepEqual(await yes.json(), { id: decodeURIComponent(idOf("a")), approved: true, by: "ada" });
  assert.equal((await post(`/approvals/${idOf("b")}/reject`, { by: "bob" })).status, 200);
  await eventually("both are decided", async () => (await decided(log)).length === 2);
  assert.equal(await refusal(post(`/approvals/${idOf("a")}/reject`, { by: "bob" })), "409 CONFLICT");

  const { token, id } = await log.tokens.create({ name: "desk", scopes: ["admin:approvals"] });
  const headers = { authorization: `Bearer ${token}` };
  assert.equal(await refusal(get("/approvals", headers)), "403 FORBIDDEN");
  assert.equal((await post(`/approvals/${idOf("c")}/approve`, {}, headers)).status, 200);
  await eventually("all are decided", async () => (await decided(log)).length === 3);
  assert.deepEqual((await decided(log)).toSorted(), [`false bob`, `true ada`, `true desk (token ${id})`].toSorted());
  await worker.stop();
});

async function decided(log: Log): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of log.read({ on: Decided })) found.push(`${data.approved} ${data.by}`);
  return found;
}

test("delayed facts are listed by their time and withdrawn once", async (t) => {
  const { log, get, post } = await office(t);
  for (const [id, after] of [
    ["late", "2h"],
    ["odd/ %id", "1h"],
    ["other", "3h"],
  ] as const)
    await log.publish(Asked({ id }), { after });
  const listed = async (query = ""): Promise<string[]> =>
    ((await (await get(`/delayed${query}`)).json()) as { delayed: { id: string }[] }).delayed.map(({ id }) => id);
  assert.deepEqual(await listed(), ["odd/ %id", "late", "other"]);
  assert.deepEqual(await listed("?limit=1"), ["odd/ %id"]);
  assert.deepEqual(await listed("?correlation=late"), ["late"]);
  const path = `/delayed/${encodeURIComponent("odd/ %id")}/cancel`;
  assert.deepEqual(await (await post(path, {})).json(), { id: "odd/ %id", source: "office", cancelled: true });
  assert.equal(await refusal(post(path, {})), "404 NOT_FOUND");
  assert.equal(await refusal(post("/delayed/late/cancel", { source: "elsewhere" })), "404 NOT_FOUND");
  assert.equal(await refusal(post("/delayed/late/cancel", { source: 7 })), "400 INVALID_ATTRIBUTE");
  assert.equal((await post("/delayed/late/cancel", { source: "office" })).status, 200);
  assert.deepEqual(await listed(), ["other"]);
});
