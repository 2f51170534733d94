/** The same API in plain Node, Express 5, Fastify 5, Hono, and as a bare fetch handler as Next has them. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test, type TestContext } from "node:test";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import { openLog } from "factlog";
import { httpApi, type HttpApi, type HttpOptions } from "factlog/http";
import Fastify from "fastify";
import { Hono } from "hono";
import { acceptedIn, app, listening, messagesOf, problemIn } from "./support.ts";

async function apiOf(t: TestContext, options: HttpOptions = {}): Promise<HttpApi> {
  const log = await openLog("memory:", { source: "shop" });
  const logger = { ...console, error: () => {} };
  const api = httpApi(log, app, { logger, ...options });
  t.after(async () => {
    await api.close();
    await log.close();
  });
  return api;
}

/** Publishes, follows to the end, and looks at a refusal: over the links that are answered. */
async function works(url: string): Promise<void> {
  const sent = await fetch(`${url}/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"Noted","id":"n-1","data":{"n":1.00}}',
  });
  assert.equal(sent.status, 202);
  const accepted = await acceptedIn(sent);
  const stream = await fetch(new URL(accepted.streamUrl, sent.url));
  const messages = await Array.fromAsync(messagesOf(stream));
  assert.deepEqual(
    messages.map((message) => message.event),
    ["event", "end"],
  );
  assert.equal((await fetch(new URL(accepted.statusUrl, sent.url))).status, 200);
  const page = await (await fetch(`${url}/events`)).text();
  assert.match(page, /"data":\{"n":1\.00\}/u);
  assert.equal((await fetch(`${url}/nothing`)).status, 404);
  assert.equal((await fetch(`${url}/events?x=1`)).status, 400);
}

test("plain Node, below a path of its own", async (t) => {
  const api = await apiOf(t, { basePath: "/api/factlog" });
  const { origin } = await listening(t, createServer(api.node));
  await works(`${origin}/api/factlog`);
  assert.equal((await fetch(`${origin}/livez`)).status, 200);
});

test("Express 5: at a mount point, and by its own path", async (t) => {
  const server = express();
  server.use("/factlog", (await apiOf(t, { basePath: "/api/factlog" })).node);
  server.use((await apiOf(t)).node);
  const { origin } = await listening(t, createServer(server));
  await works(`${origin}/factlog`);
  assert.equal((await fetch(`${origin}/factlog/livez`)).status, 200);
  await works(`${origin}/v1`);
});

test("Express 5 behind a body parser says what is wrong, and does not wait for a body that will not come", async (t) => {
  const server = express();
  server.use(express.json());
  server.use((await apiOf(t)).node);
  const { origin } = await listening(t, createServer(server));
  const response = await fetch(`${origin}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"Noted","data":1}',
  });
  assert.equal(response.status, 500);
  const { code, detail } = await problemIn(response);
  assert.equal(code, "BODY_CONSUMED");
  assert.match(detail, /before body parsers such as express\.json\(\)/u);
});

test("Fastify 5", async (t) => {
  const api = await apiOf(t);
  const server = Fastify();
  await server.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    scope.all("/v1/*", (request, reply) => {
      reply.hijack();
      api.node(request.raw, reply.raw);
    });
    done();
  });
  await server.listen({ port: 0, host: "127.0.0.1" });
  t.after(async () => {
    server.server.closeAllConnections();
    await server.close();
  });
  const address = server.server.address();
  assert.ok(typeof address === "object" && address !== null);
  await works(`http://127.0.0.1:${address.port}/v1`);
});

test("Hono, and it need not be on this machine where authorize says who calls", async (t) => {
  const api = await apiOf(t);
  const router = new Hono();
  router.all("/v1/*", (context) => api.fetch(context.req.raw, context.env as object));
  const listener = getRequestListener(router.fetch);
  const { origin } = await listening(
    t,
    createServer((request, response) => void listener(request, response)),
  );
  await works(`${origin}/v1`);
});

test("a route handler as Next has them", async (t) => {
  const api = await apiOf(t, { basePath: "/api/factlog", authorize: () => ({ scopes: ["*"] }) });
  const GET = (request: Request): Promise<Response> => api.fetch(request);
  const POST = GET;
  const url = "https://shop.example/api/factlog";
  const sent = await POST(
    new Request(`${url}/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"Noted","id":"n-1","data":1}',
    }),
  );
  const { streamUrl } = await acceptedIn(sent);
  const stream = await GET(new Request(new URL(streamUrl, url)));
  assert.deepEqual(
    (await Array.fromAsync(messagesOf(stream))).map((each) => each.event),
    ["event", "end"],
  );
  const read = new Request(`${url}/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  await read.text();
  assert.equal((await problemIn(await POST(read))).code, "BODY_CONSUMED");
});
