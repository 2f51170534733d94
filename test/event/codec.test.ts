import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { z } from "zod";
import { checksum, encodeEvent, isIntact, sameContent, slotOf } from "../../src/event/codec.ts";
import { defineEvent, newEventFromJson, type NewEvent } from "../../src/event/define.ts";
import { fingerprintOf } from "../../src/event/fingerprint.ts";
import type { EncodedEvent } from "../../src/event/stored-event.ts";
import { context, encode, refused } from "../support/events.ts";

const schema = z.object({ orderId: z.string(), tenant: z.string().optional() });
const OrderPlaced = defineEvent("OrderPlaced", { schema, key: (order) => order.orderId });

test("an event without attributes takes everything from its data and the context", () => {
  assert.deepEqual(encode(OrderPlaced({ orderId: "o-1" })), {
    source: "test",
    id: "uuid-1",
    type: "OrderPlaced",
    key: "o-1",
    group: undefined,
    timeMs: context.nowMs,
    attributes: "",
    data: '{"orderId":"o-1"}',
    version: 1,
    schema: fingerprintOf(schema, 1),
    plain: true,
    crc: crc32(`test\0uuid-1\0OrderPlaced\0=o-1\0\0${context.nowMs}\x001\0\0{"orderId":"o-1"}`),
  });
});

test("precedence: own attributes, then the definition, then the context, then the default", () => {
  const Natural = defineEvent("Natural", {
    schema,
    id: (order) => `natural-${order.orderId}`,
    group: (order) => order.tenant ?? "none",
  });
  const data = { orderId: "o-1", tenant: "t1" };
  const surrounding = { id: "derived", correlationId: "c-context", causationId: "k-context" };

  assert.equal(encode(OrderPlaced(data)).id, "uuid-1");
  assert.equal(encode(OrderPlaced(data), surrounding).id, "derived");
  assert.equal(encode(Natural(data), surrounding).id, "natural-o-1");
  assert.equal(encode(Natural(data, { id: "own" }), surrounding).id, "own");
  assert.equal(encode(Natural(data)).group, "t1");

  assert.equal(encode(OrderPlaced(data, { source: "own" })).source, "own");
  assert.equal(encode(OrderPlaced(data, { time: new Date(5) })).timeMs, 5);
  assert.deepEqual(JSON.parse(encode(OrderPlaced(data), surrounding).attributes), {
    correlationid: "c-context",
    causationid: "k-context",
  });
  const own = encode(OrderPlaced(data, { correlationId: "c-own", causationId: "k-own" }), surrounding);
  assert.deepEqual(JSON.parse(own.attributes), { correlationid: "c-own", causationid: "k-own" });
});

test("whatever the context says is kept, also alone", () => {
  const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const said = { correlationId: "c", causationId: "k", traceparent: parent, tracestate: "a=1" };
  for (const [name, value] of Object.entries(said)) {
    const { attributes } = encode(OrderPlaced({ orderId: "1" }), { [name]: value });
    assert.deepEqual(JSON.parse(attributes), { [name.toLowerCase()]: value });
  }
  assert.equal(encode(OrderPlaced({ orderId: "1" }), { correlationId: "uuid-1" }).attributes, "");
});

test("a trace state goes with its parent", () => {
  const parent = (digit: string): string => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;
  const surrounding = { traceparent: parent("a"), tracestate: "a=1" };
  const traced = (event: NewEvent): unknown => JSON.parse(encode(event, surrounding).attributes);
  assert.deepEqual(traced(OrderPlaced({ orderId: "1" })), surrounding);
  assert.deepEqual(traced(OrderPlaced({ orderId: "1" }, { traceparent: parent("b") })), { traceparent: parent("b") });
  const both = { traceparent: parent("b"), tracestate: "b=1" };
  assert.deepEqual(traced(OrderPlaced({ orderId: "1" }, both)), both);
});

test("what a definition derives is checked like an attribute", () => {
  const derive = (given: object): NewEvent => defineEvent("Derived", { schema: z.object({}), ...given })({});
  refused("INVALID_ATTRIBUTE", /^key is undefined/, () => encode(derive({ key: () => undefined })));
  refused("INVALID_ATTRIBUTE", /^id is empty/, () => encode(derive({ id: () => "" })));
  refused("INVALID_ATTRIBUTE", /^group holds U\+0000/, () => encode(derive({ group: () => "\0" })));
  const thrown = new Error("boom");
  const error = refused("INVALID_ATTRIBUTE", /^Derived: its key function threw: Error: boom/, () =>
    encode(
      derive({
        key: () => {
          throw thrown;
        },
      }),
    ),
  );
  assert.equal(error.cause, thrown);
  refused("INVALID_ATTRIBUTE", /^source/, () => encodeEvent(derive({}), { ...context, source: "a\nb" }));
  refused("INVALID_ATTRIBUTE", /^source/, () => encodeEvent(derive({}), { ...context, source: "a\nb" }));
  refused("INVALID_ATTRIBUTE", /^id is 600 bytes/, () => encode(derive({}), { id: "x".repeat(600) }));
  refused("INVALID_ATTRIBUTE", /^correlationId/, () => encode(derive({}), { correlationId: "" }));
});

test("an event that no event type made is refused", () => {
  for (const stranger of [{ type: "OrderPlaced", data: {}, attributes: {} }, undefined, null, "OrderPlaced"]) {
    refused("INVALID_OPTION", /made by no event type: make it by calling one/, () => encode(stranger as NewEvent));
  }
});

/** Every field that the checksum covers, with a change that a reader would notice. */
const texts = fc.string({ unit: "binary", maxLength: 12 });
const fields: fc.Arbitrary<EncodedEvent> = fc
  .record(
    {
      source: texts,
      id: texts,
      type: texts,
      key: fc.option(texts, { nil: undefined }),
      group: fc.option(texts, { nil: undefined }),
      timeMs: fc.maxSafeInteger(),
      attributes: texts,
      data: texts,
      version: fc.nat(),
      schema: fc.constant(""),
      plain: fc.boolean(),
    },
    { noNullPrototype: true },
  )
  .map((event) => ({ ...event, crc: checksum(event) }));

test("any change of one byte, in any field, breaks the checksum", () => {
  const names = ["source", "id", "type", "key", "group", "timeMs", "version", "attributes", "data"] as const;
  const tried = new Set<string>();
  fc.assert(
    fc.property(
      fields,
      fc.constantFrom(...names),
      fc.nat(),
      fc.integer({ min: 1, max: 127 }),
      (event, name, at, flip) => {
        assert.ok(isIntact(event));
        const changed = changeByte(event[name], at, flip);
        if (changed === event[name]) return;
        tried.add(name);
        assert.equal(
          isIntact({ ...event, [name]: changed }),
          false,
          `${name} ${JSON.stringify(event[name])} -> ${JSON.stringify(changed)}`,
        );
      },
    ),
    { numRuns: 2_000 },
  );
  assert.deepEqual([...tried].toSorted(), names.toSorted());
});

/** `value` with one of its ASCII characters or digits replaced by another; as it was where it has none. */
function changeByte(value: string | number | undefined, at: number, flip: number): string | number | undefined {
  if (value === undefined) return "";
  const chars = Array.from(String(value));
  const places = chars.flatMap((char, index) =>
    (typeof value === "number" ? /\d/ : /[\0-\x7f]/).test(char) ? [index] : [],
  );
  const place = places[at % places.length];
  if (place === undefined) return value;
  const old = chars[place]!;
  if (typeof value === "number") return Number(chars.with(place, String((Number(old) + 1 + (flip % 9)) % 10)).join(""));
  return chars.with(place, String.fromCharCode(old.charCodeAt(0) ^ flip)).join("");
}

test("text may not move from one field to its neighbour, and absent is not empty", () => {
  const event = encode(OrderPlaced({ orderId: "o-1" }, { id: "ab" }));
  const moved: readonly Partial<EncodedEvent>[] = [
    { source: "tes", id: "tab" },
    { id: "a", type: "bOrderPlaced" },
    { key: undefined, group: "o-1" },
    { key: undefined },
    { key: "" },
    { group: "" },
    { key: "o-1=" },
    { attributes: "{}" },
    { attributes: "{", data: event.data.slice(1) },
  ];
  for (const change of moved) assert.equal(isIntact({ ...event, ...change }), false, JSON.stringify(change));
  assert.ok(isIntact({ ...event, schema: "other", plain: false }));
});

test("content is type, key, subject, version and data; nothing else", () => {
  const event = encode(OrderPlaced({ orderId: "o-1" }, { id: "1", subject: "s" }));
  const alike: readonly Partial<EncodedEvent>[] = [
    { id: "2", source: "other", timeMs: 0, crc: 0, schema: "x", plain: false, group: "g" },
    { attributes: '{"subject":"s","correlationid":"c","traceparent":"t"}' },
  ];
  for (const change of alike) assert.ok(sameContent(event, { ...event, ...change }), JSON.stringify(change));
  const unlike: readonly Partial<EncodedEvent>[] = [
    { type: "Other" },
    { key: undefined },
    { key: "o-2" },
    { version: 2 },
    { data: '{"orderId": "o-1"}' },
    { attributes: "" },
    { attributes: '{"subject":"t"}' },
  ];
  for (const change of unlike) assert.ok(!sameContent(event, { ...event, ...change }), JSON.stringify(change));
});

test("the slot is crc32 of the key, of the id where there is no key", () => {
  assert.equal(slotOf({ key: "o-1", id: "x" }, 64), crc32("o-1") % 64);
  assert.equal(slotOf({ key: undefined, id: "x" }, 64), crc32("x") % 64);
  assert.equal(slotOf({ key: "", id: "x" }, 64), 0);
  const slots = new Set(Array.from({ length: 1_000 }, (_, n) => slotOf({ key: `key-${n}`, id: "" }, 64)));
  assert.equal(slots.size, 64);
});

test("text given as JSON is stored byte for byte", () => {
  const Any = defineEvent("Any", { schema: z.record(z.string(), z.unknown()), id: (data) => String(data["id"]) });
  const text = ' { "id": 9007199254740993, "zero": -0, "a": 1, "a": 2, "e": 1E2, "u": "\\u0041\\ud800" } ';
  const event = encode(newEventFromJson(Any, text, { subject: "s" }));
  assert.equal(event.data, text);
  assert.equal(event.id, "9007199254740992");
  assert.equal(event.attributes, '{"subject":"s"}');
  assert.ok(isIntact(event));
});

test("the key __proto__ is data like any other", () => {
  const Any = defineEvent("Any", { schema: z.unknown() });
  const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
  assert.equal(encode(newEventFromJson(Any, text)).data, text);
  assert.equal(encode(Any(JSON.parse(text))).data, text);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype).includes("polluted"), false);
});

test("half a surrogate pair in data is written as an escape, so that no byte is lost", () => {
  const event = encode(OrderPlaced({ orderId: "x", tenant: "\ud800" }));
  assert.equal(event.data, '{"orderId":"x","tenant":"\\ud800"}');
  refused("INVALID_ATTRIBUTE", /^key holds half a surrogate pair/, () => encode(OrderPlaced({ orderId: "\ud800" })));
});
