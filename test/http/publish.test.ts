/** Publishing over HTTP, against a real server: plain JSON and CloudEvents, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptedIn, dataOf, problemIn, refusal, serve } from "./support.ts";

test("a plain event is accepted, and the same id again is the same fact", async (t) => {
  const { log, post } = await serve(t);
  const first = await post("/v1/events", { type: "OrderPlaced", data: { orderId: "o/1" } });
  assert.equal(first.status, 202);
  assert.equal(first.headers.get("cache-control"), "no-store");
  const accepted = await acceptedIn(first);
  assert.deepEqual(
    { ...accepted, position: "" },
    {
      id: "o/1",
      correlationId: "o/1",
      duplicate: false,
      position: "",
      statusUrl: `/v1/correlations/o%2F1?since=${accepted.position}`,
      streamUrl: `/v1/correlations/o%2F1/stream?since=${accepted.position}`,
    },
  );
  const again = await acceptedIn(await post("/v1/events", { type: "OrderPlaced", data: { orderId: "o/1" } }));
  assert.deepEqual(again, { ...accepted, duplicate: true });
  assert.equal(
    await refusal(post("/v1/events", { type: "OrderPlaced", data: { orderId: "o/1", note: 1 } })),
    "409 ID_CONFLICT",
  );
  assert.deepEqual(await dataOf(log, "OrderPlaced"), ['{"orderId":"o/1"}']);
});

test("attributes are taken, and a correlation that began elsewhere is looked for from the beginning", async (t) => {
  const { log, post } = await serve(t);
  const attributes = {
    id: "n-1",
    source: "/web",
    subject: "s",
    time: "2026-11-23T07:15:00+01:00",
    correlationId: "c-1",
    causationId: "x",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    tracestate: "a=b",
    extensions: { channel: "web", constructor: "1" },
  };
  const accepted = await acceptedIn(await post("/v1/events", { ...attributes, type: "Noted", data: 1 }));
  assert.equal(accepted.statusUrl, "/v1/correlations/c-1");
  for await (const event of log.read()) {
    const { time, extensions, ...rest } = event;
    void rest;
    assert.equal(time.toISOString(), "2026-11-23T06:15:00.000Z");
    assert.deepEqual({ ...extensions }, attributes.extensions);
    for (const name of [
      "id",
      "source",
      "subject",
      "correlationId",
      "causationId",
      "traceparent",
      "tracestate",
    ] as const)
      assert.equal(event[name], attributes[name]);
  }
});

test("data keep their bytes, whatever JSON makes of them", async (t) => {
  const { log, post } = await serve(t);
  const written = [
    "12345678901234567890",
    "1e400",
    "-0",
    '{"__proto__": {"admin": true}, "a":1,"a":2}',
    ' [ 1 ,\r\n"\\u0000\\ud800" ] ',
    '"}{"',
  ];
  for (const data of written)
    assert.equal((await post("/v1/events", `{"type":"Noted","data":${data}}`)).status, 202, data);
  const batch = `[${written.map((data) => `{"data" :${data}, "type":"Noted"}`).join(" ,\n")}]`;
  assert.equal((await post("/v1/events", batch)).status, 202);
  const expected = written.map((data) => data.trim());
  assert.deepEqual(await dataOf(log, "Noted"), [...expected, ...expected]);
  assert.equal(({} as { admin?: boolean }).admin, undefined);
});

test("several events are one transaction, and a refusal says which it was", async (t) => {
  const { log, post } = await serve(t);
  const [good, bad] = [
    { type: "OrderPlaced", data: { orderId: "o-1" } },
    { type: "OrderPlaced", data: { orderId: 7 } },
  ];
  const problem = await problemIn(await post("/v1/events", [good, bad, good]));
  assert.equal(problem.code, "INVALID_DATA");
  assert.equal(problem.details?.["index"], 1);
  assert.match(problem.detail, /^event 1 of the batch: OrderPlaced: orderId/u);
  assert.deepEqual(await dataOf(log, "OrderPlaced"), []);
  const both = (await (await post("/v1/events", [good, { type: "Noted", data: null }])).json()) as unknown[];
  assert.equal(both.length, 2);
  assert.deepEqual(await (await post("/v1/events", [])).json(), []);
  const many = `[${Array.from({ length: 10_001 }, () => '{"type":"Noted","data":0}').join(",")}]`;
  assert.equal(await refusal(post("/v1/events", many)), "413 BODY_TOO_LARGE");
  assert.deepEqual(await dataOf(log, "Noted"), ["null"]);
});

test("what is no event is refused, and says where", async (t) => {
  const { log, post, told } = await serve(t);
  const refused = async (body: string | Uint8Array, headers = {}): Promise<string> =>
    refusal(post("/v1/events", body, headers));
  for (const body of ["", "{", "[1,]", '{"type":"Noted","data":}', "\ufeff{}", '{"type":"Noted","data":01}', "nul"])
    assert.equal(await refused(body), "400 INVALID_DATA", body);
  for (const body of ["1", "null", '"x"', "[1]", "[[]]"]) assert.equal(await refused(body), "400 INVALID_DATA", body);
  assert.equal((await problemIn(await post("/v1/events", '{"type":x'))).details?.["position"], 8);
  assert.equal(await refused(Uint8Array.of(0x22, 0xc0, 0xa0, 0x22)), "400 INVALID_DATA");
  const event = (fields: string): string => `{"type":"Noted","data":0,${fields}}`;
  for (const fields of [
    '"id":""',
    '"id":7',
    '"id":"\\ud800"',
    '"id":"a\\u0000"',
    '"id":"a","id":"b"',
    '"colour":"red"',
    '"__proto__":{}',
    '"time":"yesterday"',
    '"time":"2026-02-30T00:00:00Z"',
    '"time":"2026-11-23"',
    '"extensions":{"Foo":"x"}',
    '"extensions":{"my_attr":"x"}',
    '"extensions":{"a":1}',
    '"extensions":[1]',
    '"extensions":{"sequence":"1"}',
    '"traceparent":"x"',
  ])
    assert.equal(await refused(event(fields)), "400 INVALID_ATTRIBUTE", fields);
  assert.equal(await refused('{"type":"Noted"}'), "400 INVALID_ATTRIBUTE");
  assert.equal(await refused('{"data":1}'), "400 INVALID_ATTRIBUTE");
  assert.equal(await refused(`{"type":"Noted","data":${"[".repeat(65)}${"]".repeat(65)}}`), "400 NESTING_TOO_DEEP");
  assert.equal(
    await refused(`{"type":"Noted","data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
    "400 NESTING_TOO_DEEP",
  );
  assert.equal(await refused(`{"type":"Noted","data":"${"x".repeat(262_143)}"}`), "413 EVENT_TOO_LARGE");
  for (const type of ["Nothing", "__proto__", "constructor", "toString", "../../etc/passwd"])
    assert.equal(await refused(JSON.stringify({ type, data: 1 })), "404 UNKNOWN_EVENT_TYPE", type);
  assert.equal(await refused('{"type":"OrderPlaced","id":"o-2","data":{"orderId":"o-1"}}'), "400 INVALID_ATTRIBUTE");
  assert.equal((await log.page()).events.length, 0);
  assert.deepEqual(told, []);
});

test("other media types are not taken", async (t) => {
  const { origin, post } = await serve(t);
  const good = '{"type":"Noted","data":1}';
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "json",
    "application/cloudevents",
  ])
    assert.equal(await refusal(post("/v1/events", good, { "content-type": type })), "415 UNSUPPORTED_MEDIA_TYPE", type);
  const untyped = fetch(`${origin}/v1/events`, { method: "POST", body: new TextEncoder().encode(good) });
  assert.equal(await refusal(untyped), "415 UNSUPPORTED_MEDIA_TYPE");
  assert.equal(await refusal(post("/v1/events", good, { "content-encoding": "gzip" })), "415 UNSUPPORTED_MEDIA_TYPE");
  assert.equal((await post("/v1/events", good, { "content-type": 'Application/JSON; charset="UTF-8"' })).status, 202);
});
