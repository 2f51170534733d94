/** CloudEvents 1.0 over HTTP: binary, structured and batched, by hand and by the official SDK. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, emitterFor, httpTransport, Mode } from "cloudevents";
import { toCloudEventJson } from "factlog";
import { dataOf, problemIn, refusal, serve } from "./support.ts";

const structured = { "content-type": "application/cloudevents+json; charset=utf-8" };
const batched = { "content-type": "application/cloudevents-batch+json" };
const required = { specversion: "1.0", id: "n-1", source: "/web", type: "Noted" };
const binary = { "ce-specversion": "1.0", "ce-id": "n-1", "ce-source": "/web", "ce-type": "Noted" };

test("the official SDK publishes in both modes, and again is the same fact", async (t) => {
  const { log, origin } = await serve(t);
  const event = new CloudEvent({
    ...required,
    subject: 'half "price", 50% off',
    time: "2026-11-23T06:15:00.123Z",
    data: { text: "grüße" },
    channel: "web",
  });
  for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
    const emit = emitterFor(httpTransport(`${origin}/v1/events`), { mode });
    const answer = (await emit(event)) as { readonly body: string };
    assert.equal((JSON.parse(answer.body) as { duplicate: boolean }).duplicate, mode === Mode.STRUCTURED, mode);
  }
  const [found, ...more] = (await log.page()).events;
  assert.equal(more.length, 0);
  assert.equal(found?.subject, event.subject);
  assert.equal(found?.time.toISOString(), event.time);
  assert.deepEqual({ ...found?.extensions }, { channel: "web" });
  assert.deepEqual(found?.data, event.data);
});

test("headers are decoded once, quoted strings first", async (t) => {
  const { log, post } = await serve(t);
  const subjects: readonly (readonly [string, string])[] = [
    ["Euro%20%e2%82%ac", "Euro €"],
    ['"quoted \\"x\\""', 'quoted "x"'],
    ["%2541", "%41"],
    ["100%", "100%"],
    ['"%22a%22"', '"a"'],
  ];
  for (const [i, [subject]] of subjects.entries()) {
    const headers = { ...binary, "ce-id": `n-${i}`, "ce-subject": subject };
    assert.equal((await post("/v1/events", " 1.0 ", headers)).status, 202, subject);
  }
  const found = (await log.page()).events.map((event) => event.subject);
  assert.deepEqual(
    found,
    subjects.map(([, subject]) => subject),
  );
  assert.deepEqual(new Set(await dataOf(log, "Noted")), new Set([" 1.0 "]));
  assert.equal(await refusal(post("/v1/events", "1", { ...binary, "ce-subject": "%C0%A0" })), "400 INVALID_ATTRIBUTE");
  assert.equal(await refusal(post("/v1/events", "1", { ...binary, "ce-subject": "\u00e4" })), "400 INVALID_ATTRIBUTE");
  assert.equal(
    await refusal(post("/v1/events", "1", { ...binary, "ce-datacontenttype": "x" })),
    "400 INVALID_ATTRIBUTE",
  );
  assert.equal(await refusal(post("/v1/events", "1", { ...binary, "ce-my_attr": "x" })), "400 INVALID_ATTRIBUTE");
  assert.equal(
    await refusal(post("/v1/events", "<a/>", { ...binary, "content-type": "text/xml" })),
    "415 UNSUPPORTED_MEDIA_TYPE",
  );
});

test("data in structured form keep their bytes; base64 and none are data too", async (t) => {
  const { log, post } = await serve(t);
  const event = (id: string, rest: string): string =>
    `{"specversion":"1.0","id":"${id}","source":"/web","type":"Noted","n":7,"b":true,"c":null${rest}}`;
  const sent = [
    event("a", ', "data" : {"n": 1.00} '),
    event("b", `,"data_base64":"${Buffer.from("[-0]").toString("base64")}"`),
    event("c", ""),
  ];
  for (const each of sent) assert.equal((await post("/v1/events", each, structured)).status, 202, each);
  assert.deepEqual(await dataOf(log, "Noted"), ['{"n": 1.00}', "[-0]", "null"]);
  assert.deepEqual({ ...(await log.page()).events[0]?.extensions }, { n: "7", b: "true" });
  const batch = await post("/v1/events", `[${sent.join(",")}]`, batched);
  assert.deepEqual(
    ((await batch.json()) as { duplicate: boolean }[]).map((each) => each.duplicate),
    [true, true, true],
  );
});

test("what is no CloudEvent 1.0 is refused, and named", async (t) => {
  const { post, log } = await serve(t);
  const refused = async (change: object): Promise<unknown> => {
    const response = await post("/v1/events", { ...required, data: 1, ...change }, structured);
    const { code, details } = await problemIn(response);
    return [response.status, code, details?.["attribute"]];
  };
  for (const specversion of ["0.3", "9.9", "", null, undefined])
    assert.deepEqual(await refused({ specversion }), [400, "INVALID_ATTRIBUTE", "specversion"]);
  for (const name of ["id", "source", "type"])
    for (const value of ["", null])
      assert.deepEqual(await refused({ [name]: value }), [400, "INVALID_ATTRIBUTE", name]);
  assert.deepEqual(await refused({ a: [1] }), [400, "INVALID_ATTRIBUTE", "a"]);
  assert.deepEqual(await refused({ a: 1.5 }), [400, "INVALID_ATTRIBUTE", "a"]);
  assert.deepEqual(await refused({ Foo: "x" }), [400, "INVALID_ATTRIBUTE", 'extension "Foo"']);
  assert.deepEqual(await refused({ data_base64: "MQ==" }), [400, "INVALID_ATTRIBUTE", "data_base64"]);
  assert.deepEqual(await refused({ data: undefined, data_base64: "*" }), [400, "INVALID_ATTRIBUTE", "data_base64"]);
  assert.deepEqual(await refused({ time: "yesterday" }), [400, "INVALID_ATTRIBUTE", "time"]);
  assert.deepEqual(await refused({ dataschema: "factlog:Noted:2" }), [400, "INVALID_ATTRIBUTE", "dataschema"]);
  assert.deepEqual(await refused({ partitionkey: "k" }), [400, "INVALID_ATTRIBUTE", "partitionkey"]);
  assert.equal(((await refused({ datacontenttype: "text/xml" })) as unknown[])[0], 415);
  assert.equal(await refusal(post("/v1/events", required, batched)), "400 INVALID_DATA");
  assert.equal(await refusal(post("/v1/events", [required], structured)), "400 INVALID_DATA");
  assert.equal((await log.page()).events.length, 0);
});

test("what one log exports another takes", async (t) => {
  const [from, to] = [await serve(t), await serve(t)];
  await from.post("/v1/events", { type: "OrderPlaced", data: { orderId: "o-1" }, time: "2026-11-23T06:15:00Z" });
  await from.post("/v1/events", { type: "TenantNoted", data: { tenant: "t-1" }, correlationId: "o-1" });
  const exported = (await from.log.page()).events;
  const batch = `[${exported.map((event) => toCloudEventJson(event)).join(",")}]`;
  assert.equal((await to.post("/v1/events", batch, batched)).status, 202);
  const plain = (events: typeof exported): unknown[] =>
    events.map((event) => [
      event.source,
      event.id,
      event.key,
      event.group,
      event.time,
      event.correlationId,
      event.data,
    ]);
  assert.deepEqual(plain((await to.log.page()).events), plain(exported));
});
