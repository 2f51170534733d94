import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  checkId,
  checkName,
  checkTraceparent,
  type Envelope,
  attributesText,
  correlationIdOf,
  parseAttributes,
} from "../../src/event/envelope.ts";
import { defineEvent, type EventAttributes } from "../../src/event/define.ts";
import { limits } from "../../src/limits.ts";
import { z } from "zod";
import { encode, refused } from "../support/events.ts";

const Noted = defineEvent("Noted", { schema: z.object({ n: z.number() }) });
const noted =
  (attributes: unknown): (() => unknown) =>
  () =>
    encode(Noted({ n: 1 }, attributes as EventAttributes));
const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

test("ids are 1 to 512 bytes of well-formed UTF-8 without U+0000", () => {
  for (const id of ["x", "x".repeat(512), "ü".repeat(256), "\u{1F600}".repeat(128), "\u0001 \n"]) checkId("id", id);
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ["", /^key is empty/],
    ["x".repeat(513), /^key is 513 bytes of UTF-8: give 1 to 512/],
    ["ü".repeat(257), /^key is 514 bytes/],
    [`${"x".repeat(300)}${"\u20ac".repeat(71)}`, /^key is 513 bytes/],
    ["\ud800", /^key holds half a surrogate pair/],
    ["a\0b", /^key holds U\+0000/],
    [undefined, /^key is undefined/],
    [null, /^key is null/],
    [5, /^key is number/],
  ];
  for (const [value, message] of bad) {
    const error = refused("INVALID_ATTRIBUTE", message, () => checkId("key", value));
    assert.equal(error.details["attribute"], "key");
  }
});

test("names are 1 to 200 characters, well-formed, without control characters", () => {
  for (const name of ["x", "Order placed", "x".repeat(200), "\u{1F600}".repeat(200)]) checkName("source", name);
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ["", /^source "" has 0 characters/],
    ["x".repeat(201), /has 201 characters: give 1 to 200/],
    ["\u{1F600}".repeat(201), /has 201 characters/],
    ["\udc00", /half a surrogate pair/],
    ["a\nb", /control character/],
    ["a\u0085b", /control character/],
    ["a\u007f", /control character/],
    [undefined, /^source is undefined/],
    [7, /^source is number/],
  ];
  for (const [value, message] of bad) refused("INVALID_ATTRIBUTE", message, () => checkName("source", value));
});

test("traceparent is W3C's", () => {
  for (const good of [trace, trace.replace(/^00/, "01"), `${trace.replace(/^00/, "cc")}-what-comes`])
    checkTraceparent(good);
  const bad = [
    "",
    "00",
    trace.toUpperCase(),
    `${trace}-x`,
    trace.slice(0, -1),
    ` ${trace}`,
    trace.replace(/^00/, "ff"),
    5,
    trace.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0".repeat(32)),
    trace.replace("00f067aa0ba902b7", "0".repeat(16)),
    `${trace.replace(/^00/, "01")}-${"x".repeat(600)}`,
  ];
  for (const value of bad)
    refused("INVALID_ATTRIBUTE", /^traceparent is not in W3C form/, () => checkTraceparent(value));
});

test("each attribute is checked and named", () => {
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ id: "" }, /^id is empty/],
    [{ source: "a\nb" }, /^source .*control/],
    [{ subject: "" }, /^subject is empty/],
    [{ correlationId: "x".repeat(513) }, /^correlationId is 513 bytes/],
    [{ causationId: "\ud800" }, /^causationId holds half/],
    [{ traceparent: "00-x" }, /^traceparent/],
    [{ tracestate: "" }, /^tracestate/],
    [{ tracestate: "a=ü" }, /^tracestate/],
    [{ time: new Date(Number.NaN) }, /^time is not a valid Date/],
    [{ time: new Date(8.64e15) }, /^time is not a valid Date/],
    [{ time: new Date("+010000-01-01T00:00:00.000Z") }, /^time is not a valid Date/],
    [{ time: new Date("-000001-12-31T23:59:59.999Z") }, /^time is not a valid Date/],
    [{ time: "2026-01-01" }, /^time/],
    [{ time: 5 }, /^time/],
    [{ extensions: { Upper: "x" } }, /^extension "Upper" has a name/],
    [{ extensions: { "a-b": "x" } }, /^extension "a-b" has a name/],
    [{ extensions: { "": "x" } }, /^extension "" has a name/],
    [{ extensions: JSON.parse('{"__proto__":"x"}') as object }, /^extension "__proto__" has a name/],
    [{ extensions: { ["x".repeat(201)]: "x" } }, /more than 200 characters/],
    [{ extensions: { tenant: 5 } }, /^extension "tenant" is number/],
    [{ extensions: { tenant: null } }, /^extension "tenant" is null/],
    [{ extensions: { tenant: "a\0" } }, /control character/],
    [{ extensions: { tenant: "\ud800" } }, /half a surrogate pair/],
    [{ extensions: "tenant" }, /^extensions is no object/],
    [{ extensions: null }, /^extensions is no object/],
    [{ correlationID: "x" }, /^correlationID is no attribute/],
    [{ data: 1 }, /^data is no attribute/],
  ];
  for (const [attributes, message] of bad) refused("INVALID_ATTRIBUTE", message, noted(attributes));
});

test("a time is of the years that RFC 3339 can write", () => {
  for (const text of ["0000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"]) {
    const time = new Date(text);
    assert.equal(encode(Noted({ n: 1 }, { time })).timeMs, time.getTime());
  }
});

test("names of CloudEvents and of our own are not free for extensions", () => {
  const taken = [
    "id",
    "source",
    "specversion",
    "type",
    "datacontenttype",
    "dataschema",
    "subject",
    "time",
    "data",
    "partitionkey",
    "sequence",
    "correlationid",
    "causationid",
    "traceparent",
    "tracestate",
    "recordedtime",
    "expirytime",
    "dataref",
    "factloggroup",
  ];
  for (const name of taken)
    refused("INVALID_ATTRIBUTE", /is a name of CloudEvents or of Factlog/, noted({ extensions: { [name]: "x" } }));
});

test("all attributes together are bounded, in bytes", () => {
  assert.doesNotThrow(noted({ extensions: { ["x".repeat(200)]: "" } }));
  const extensions = (bytes: number): object => ({ extensions: { big: "ü".repeat(bytes / 2) } });
  assert.doesNotThrow(noted(extensions(limits.attributesBytesMax - 20)));
  const error = refused(
    "INVALID_ATTRIBUTE",
    /^attributes are 16394 bytes together, the limit is 16384/,
    noted(extensions(limits.attributesBytesMax)),
  );
  assert.deepEqual(error.details, { attribute: "attributes", bytes: 16_394, limit: 16_384 });
});

test("defaults cost no text, and undefined attributes are defaults", () => {
  assert.equal(encode(Noted({ n: 1 })).attributes, "");
  assert.equal(encode(Noted({ n: 1 }, { extensions: {} })).attributes, "");
  assert.equal(encode(Noted({ n: 1 }, { id: "a", correlationId: "a" })).attributes, "");
  assert.equal(encode(Noted({ n: 1 }, { id: "a", subject: undefined } as unknown as EventAttributes)).attributes, "");
});

test("the text is flat JSON under CloudEvents names, and reads back", () => {
  const { attributes } = encode(
    Noted({ n: 1 }, { correlationId: "c", causationId: "k", subject: "s", extensions: { tenant: "t1" } }),
  );
  assert.deepEqual(JSON.parse(attributes), { correlationid: "c", causationid: "k", subject: "s", tenant: "t1" });
  const texts = fc.option(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), { nil: undefined });
  const names = fc.stringMatching(/^x[a-z0-9]{0,8}$/);
  const envelopes: fc.Arbitrary<Envelope> = fc.record(
    {
      correlationId: texts,
      causationId: texts,
      subject: texts,
      traceparent: fc.constantFrom(undefined, trace),
      tracestate: fc.constantFrom(undefined, "a=1"),
      extensions: fc.dictionary(names, fc.string({ unit: "grapheme" }), { noNullPrototype: true }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(envelopes, (envelope) => assert.deepEqual(parseAttributes(attributesText(envelope)), envelope)),
  );
});

test("the correlation is the event's own id unless it says otherwise", () => {
  assert.equal(correlationIdOf({ id: "a", attributes: "" }), "a");
  assert.equal(correlationIdOf({ id: "a", attributes: '{"subject":"s"}' }), "a");
  assert.equal(correlationIdOf({ id: "a", attributes: '{"correlationid":"c"}' }), "c");
});
