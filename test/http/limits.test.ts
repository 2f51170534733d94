/** Requests that are too much or none at all: each is answered, none is a fault of the server, and it lives on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodes } from "../../src/errors.ts";
import { statusOfCode } from "../../src/http/problem.ts";
import { limits } from "../../src/limits.ts";
import { postHead as head, raw, refusal, serve } from "./support.ts";

test("every code has its status, and every status its code", () => {
  assert.deepEqual(Object.keys(statusOfCode).toSorted(), errorCodes.toSorted());
});

test("a body is refused before it is read where its length says so, else at the first byte too many", async (t) => {
  const { origin, post } = await serve(t);
  const announced = await raw(origin, `${head}Content-Length: ${limits.bodyBytesMax + 1}\r\n\r\n{`);
  assert.match(announced, /^HTTP\/1\.1 413 [\s\S]*connection: close[\s\S]*BODY_TOO_LARGE/iu);
  const chunk = "x".repeat(65_536);
  const chunks = Array.from({ length: 17 }, () => `10000\r\n${chunk}\r\n`);
  assert.match(await raw(origin, `${head}Transfer-Encoding: chunked\r\n\r\n`, ...chunks), /^HTTP\/1\.1 413 /u);
  const just = `{"type":"Noted","data":0${" ".repeat(limits.bodyBytesMax - 25)}}`;
  assert.equal((await post("/v1/events", just)).status, 202);
  assert.equal(await refusal(post("/v1/events", `${just} `)), "413 BODY_TOO_LARGE");
});

test("headers are bounded in number and size", async (t) => {
  const { origin, get } = await serve(t);
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x-${i}`, "1"]));
  assert.equal(await refusal(get("/v1/status", many)), "431 TOO_MANY_HEADERS");
  assert.match(await raw(origin, `${head}X: ${"x".repeat(65_536)}\r\n\r\n`), /^HTTP\/1\.1 431 /u);
});

test("what is no HTTP is refused, and closed", async (t) => {
  const { origin } = await serve(t);
  for (const bad of [
    `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n1`,
    `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "GET /v1/status\r\n\r\n",
    "BREW /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/status HTTP/1.1\nHost: localhost\n\n\u0000",
    "GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n",
    "GET \\v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: [::\r\nConnection: close\r\n\r\n",
    "GET /v1/status HTTP/1.1\r\nHost: epoch.0.1\r\nConnection: close\r\n\r\n",
  ])
    assert.match(await raw(origin, bad), /^HTTP\/1\.1 4\d\d /u, bad);
});

test("methods and paths that are not there", async (t) => {
  const { origin, get, told } = await serve(t);
  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
    const response = await fetch(`${origin}/v1/events`, { method, headers: { "x-http-method-override": "POST" } });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "POST, GET, HEAD");
  }
  const trace = "TRACE /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  assert.match(await raw(origin, trace), /^HTTP\/1\.1 405 /u);
  for (const path of [
    "/",
    "/v1",
    "/v1/",
    "/v1/nothing",
    "/v2/events",
    "/v1/dead/a/b/c",
    "/v1/events/",
    "/v1/../etc/passwd",
    "/v1/%2e%2e/x",
    "/v1/dead/%00",
  ])
    assert.ok(["404 NOT_FOUND", "400 INVALID_OPTION"].includes(await refusal(get(path))), path);
  const headOnly = await fetch(`${origin}/v1/stream`, { method: "HEAD" });
  assert.equal(headOnly.status, 200);
  assert.equal(headOnly.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.deepEqual(told, []);
});

test("an object with very many members is read, or refused, without holding the process", async (t) => {
  const { post } = await serve(t);
  const members = Array.from({ length: 25_000 }, (_, i) => `"${i}":0`).join(",");
  assert.ok([202, 413].includes((await post("/v1/events", `{"type":"Noted","data":{${members}}}`)).status));
});
