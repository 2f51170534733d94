import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { toCloudEvent, toCloudEventJson } from "../../src/event/cloudevents.ts";
import { decodeEvent } from "../../src/event/decode.ts";
import {
  defineEvent,
  definitionOf,
  newEventFromJson,
  type NewEvent,
  type RecordedEvent,
} from "../../src/event/define.ts";
import { upcast } from "../../src/event/upcast.ts";
import { encode, refused, stored } from "../support/events.ts";

const Order = defineEvent("Order/placed", {
  schema: z.looseObject({ orderId: z.string() }),
  key: (order) => order.orderId,
  group: () => "t1",
});
const read = (event: NewEvent): RecordedEvent => decodeEvent(stored(encode(event)), definitionOf(Order), "e1");

test("the structured form of CloudEvents 1.0", () => {
  const event = read(
    Order({ orderId: "o-1" }, { subject: "s", causationId: "k", time: new Date(0), extensions: { region: "eu" } }),
  );
  assert.deepEqual(toCloudEvent(event), {
    specversion: "1.0",
    id: "uuid-1",
    source: "test",
    type: "Order/placed",
    datacontenttype: "application/json",
    dataschema: "factlog:Order%2Fplaced:1",
    time: "1970-01-01T00:00:00.000Z",
    subject: "s",
    partitionkey: "o-1",
    factloggroup: "t1",
    causationid: "k",
    correlationid: "uuid-1",
    sequence: "0000000000000042",
    recordedtime: "2025-11-24T16:00:00.500Z",
    region: "eu",
    data: { orderId: "o-1" },
  });
});

test("attribute names are lower-case letters and digits, absent ones are left out", () => {
  const cloud = toCloudEvent(read(Order({ orderId: "o-1" })));
  for (const [name, value] of Object.entries(cloud)) {
    assert.match(name, /^[a-z0-9]+$/);
    assert.notEqual(value, undefined);
  }
});

test("as text, the data keep their bytes", () => {
  const text = '{ "orderId":"o-1", "big":9007199254740993, "zero":-0 }';
  const json = toCloudEventJson(read(newEventFromJson(Order, text)));
  assert.ok(json.endsWith(`"data":${text}}`));
  assert.equal((JSON.parse(json) as { id: string }).id, "uuid-1");
});

test("data and dataschema are of the version that was stored", () => {
  const Newer = defineEvent("Order/placed", {
    schema: z.object({ id: z.string() }),
    version: 2,
    upcasts: [upcast(1, z.object({ orderId: z.string() }), (old) => ({ id: old.orderId }))],
  });
  const event = decodeEvent(stored(encode(Order({ orderId: "o-1" }))), definitionOf(Newer), "e1");
  assert.deepEqual(event.data, { id: "o-1" });
  const cloud = toCloudEvent(event);
  assert.deepEqual([cloud["data"], cloud.dataschema], [{ orderId: "o-1" }, "factlog:Order%2Fplaced:1"]);
});

test("an event that was not read from a log has no such form", () => {
  refused("INVALID_OPTION", /was not read from a log/, () =>
    toCloudEvent(Order({ orderId: "1" }) as unknown as RecordedEvent),
  );
  refused("INVALID_OPTION", /was not read from a log/, () => toCloudEvent(undefined as unknown as RecordedEvent));
});
