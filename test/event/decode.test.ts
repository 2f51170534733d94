import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { z } from "zod";
import { checksum } from "../../src/event/codec.ts";
import { decodeEvent, decodeUnknown } from "../../src/event/decode.ts";
import {
  type AnyEventType,
  defineEvent,
  definitionOf,
  newEventFromJson,
  type RecordedEvent,
} from "../../src/event/define.ts";
import type { AnySchema } from "../../src/event/schema.ts";
import type { StoredEvent } from "../../src/event/stored-event.ts";
import { upcast } from "../../src/event/upcast.ts";
import { encode, refused, stored } from "../support/events.ts";
import { libraries } from "../support/schemas.ts";

const schema = z.object({ orderId: z.string() });
const OrderPlaced = defineEvent("OrderPlaced", { schema, key: (order) => order.orderId, group: () => "t1" });
const decode = (event: StoredEvent, type: AnyEventType = OrderPlaced): RecordedEvent =>
  decodeEvent(event, definitionOf(type), "e1");
/** The event with another content, as if that had been stored. */
const storedAs = (event: StoredEvent, changes: Partial<StoredEvent>): StoredEvent => {
  const changed = { ...event, ...changes };
  return { ...changed, crc: checksum(changed) };
};

test("a recorded event shows every field", () => {
  const trace = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "a=1" };
  const given = {
    id: "o-1/placed",
    subject: "s",
    causationId: "k",
    correlationId: "c",
    time: new Date(7),
    ...trace,
    extensions: { tenant: "t1" },
  };
  const event = decode(stored(encode(OrderPlaced({ orderId: "o-1" }, given))));
  const shown = {
    type: "OrderPlaced",
    id: "o-1/placed",
    source: "test",
    key: "o-1",
    group: "t1",
    position: "e1.3.42",
    time: new Date(7),
    recordedTime: new Date(1_764_000_000_500),
    correlationId: "c",
    causationId: "k",
    subject: "s",
    ...trace,
    extensions: { tenant: "t1" },
    erased: false,
    data: { orderId: "o-1" },
  };
  for (const [name, value] of Object.entries(shown)) assert.deepEqual(event[name as keyof RecordedEvent], value, name);
  assert.deepEqual((event as unknown as { toJSON(): unknown }).toJSON(), shown);
  assert.deepEqual(JSON.parse(JSON.stringify(event)), JSON.parse(JSON.stringify(shown)));
  assert.equal(Buffer.from(event.raw()).toString(), '{"orderId":"o-1"}');
  const { type, data, key } = event;
  assert.deepEqual([type, data, key], ["OrderPlaced", { orderId: "o-1" }, "o-1"]);
});

test("defaults: the correlation is the event's own id, the rest is undefined", () => {
  const event = decode(stored(encode(OrderPlaced({ orderId: "o-1" }))));
  assert.equal(event.correlationId, "uuid-1");
  assert.deepEqual(
    [event.causationId, event.subject, event.traceparent, event.tracestate],
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(event.extensions, {});
  assert.ok(Object.isFrozen(event.extensions));
});

test("printing shows the fields that are there", () => {
  const event = decode(stored(encode(OrderPlaced({ orderId: "o-1" }))));
  const printed = inspect(event);
  assert.match(printed, /^RecordedEvent \{\n {2}type: 'OrderPlaced',\n {2}id: 'uuid-1',/);
  assert.match(printed, /data: \{ orderId: 'o-1' \}/);
  assert.doesNotMatch(printed, /causationId/);
  assert.equal(inspect({ event }, { depth: 0 }), "{ event: [RecordedEvent] }");
  assert.match(inspect({ event }, { depth: 1 }), /RecordedEvent \{\n[^]*data: \[Object\]/);
});

test("an event is read-only", () => {
  const event = decode(stored(encode(OrderPlaced({ orderId: "o-1" }))));
  assert.throws(() => Object.assign(event, { type: "Other" }), TypeError);
  event.time.setTime(0);
  assert.equal(event.time.getTime(), 1_764_000_000_000);
});

for (const library of libraries) {
  test(`${library.name}: handlers get the schema's output`, () => {
    const Defaulted = defineEvent("Defaulted", { schema: library.withDefault });
    const absent = decode(stored(encode(Defaulted({ orderId: "1" }))), Defaulted);
    assert.deepEqual({ ...(absent.data as object) }, { orderId: "1", currency: "EUR" });
    const Dated = defineEvent("Dated", { schema: library.withDate });
    const dated = decode(stored(encode(Dated({ at: "2026-01-01T00:00:00.000Z" }))), Dated);
    assert.deepEqual((dated.data as { at: Date }).at, new Date("2026-01-01T00:00:00.000Z"));
    assert.equal(Buffer.from(dated.raw()).toString(), '{"at":"2026-01-01T00:00:00.000Z"}');
  });

  test(`${library.name}: a default added today applies to old facts`, () => {
    const Old = defineEvent("Order", { schema: library.name === "zod" ? schema : library.withDefault });
    const New = defineEvent("Order", { schema: library.withDefault });
    const old = stored(encode(Old({ orderId: "1" })));
    assert.deepEqual({ ...(decode(old, New).data as object) }, { orderId: "1", currency: "EUR" });
  });

  test(`${library.name}: data that the schema refuses today are poison`, () => {
    const Today = defineEvent("OrderPlaced", { schema: library.order });
    const error = refused("POISON", /^OrderPlaced "uuid-1" at 3\.42 cannot be read \(schema\): .*lines/, () =>
      decode(stored(encode(OrderPlaced({ orderId: "o-1" }))), Today),
    );
    assert.equal(error.details["reason"], "schema");
    assert.equal((error.details["issues"] as readonly { path: string }[])[0]?.path, "lines");
    assert.deepEqual([error.details["slot"], error.details["position"]], [3, 42]);
  });
}

/** A schema that counts its runs, with or without a JSON Schema. */
function counted(inner: AnySchema, vendor: string): { readonly schema: AnySchema; runs: number } {
  const counter = { runs: 0, schema: undefined as unknown as AnySchema };
  const props = inner["~standard"];
  const validate = (value: unknown): ReturnType<typeof props.validate> => {
    counter.runs++;
    return props.validate(value);
  };
  const standard = { ...props, vendor, validate };
  counter.schema = new Proxy(inner, {
    get: (target, name) => (name === "~standard" ? standard : Reflect.get(target, name)),
  });
  return counter;
}

test("data known to be as the schema gives them are parsed when first looked at, and never run through it", () => {
  const counter = counted(schema, "zod");
  const Counted = defineEvent("Counted", { schema: counter.schema });
  const event = stored(encode(Counted({ orderId: "o-1" })));
  assert.notEqual(event.schema, "");
  assert.equal(counter.runs, 1);
  const read = decode(event, Counted);
  assert.deepEqual(read.data, { orderId: "o-1" });
  assert.equal(read.data, read.data);
  assert.equal(counter.runs, 1);
});

test("the schema runs where the data were changed, the fingerprint is another or none, or the version is older", () => {
  const counter = counted(schema, "zod");
  const Counted = defineEvent("Counted", { schema: counter.schema });
  const event = stored(encode(Counted({ orderId: "o-1" })));
  const runs = (change: Partial<StoredEvent>, type: AnyEventType = Counted): number => {
    const before = counter.runs;
    decode({ ...event, ...change }, type);
    return counter.runs - before;
  };
  assert.equal(runs({}), 0);
  assert.equal(runs({ plain: false }), 1);
  assert.equal(runs({ schema: "0123456789abcdef" }), 1);
  assert.equal(runs({ schema: "" }), 1);
  const Newer = defineEvent("Counted", {
    schema: counter.schema,
    version: 2,
    upcasts: [upcast(1, z.unknown(), () => ({ orderId: "x" }))],
  });
  assert.equal(runs({ schema: definitionOf(Newer).fingerprint }, Newer), 1);

  const untold = counted(schema, "unknown");
  const Untold = defineEvent("Untold", { schema: untold.schema });
  const other = stored(encode(Untold({ orderId: "o-1" })));
  assert.equal(other.schema, "");
  decode(other, Untold);
  assert.equal(untold.runs, 2);
});

test("older versions are carried up, step by step, and then run through the schema", () => {
  const first = z.object({ id: z.number() });
  const second = z.object({ orderId: z.string(), total: z.coerce.number() });
  const Current = defineEvent("Order", {
    schema: z.object({ orderId: z.string(), cents: z.number(), currency: z.string().default("EUR") }),
    version: 3,
    upcasts: [
      upcast(2, second, (old) => ({ orderId: old.orderId, cents: old.total * 100 })),
      upcast(1, first, (old) => ({ orderId: `o-${old.id}`, total: "5" })),
    ],
  });
  const First = defineEvent("Order", { schema: first });
  const fromFirst = decode(stored(encode(First({ id: 7 }))), Current);
  assert.deepEqual(fromFirst.data, { orderId: "o-7", cents: 500, currency: "EUR" });
  assert.equal(Buffer.from(fromFirst.raw()).toString(), '{"id":7}');
  const Second = defineEvent("Order", { schema: second, version: 2, upcasts: [upcast(1, first, () => null)] });
  assert.deepEqual(decode(stored(encode(Second({ orderId: "o-8", total: 1 }))), Current).data, {
    orderId: "o-8",
    cents: 100,
    currency: "EUR",
  });

  const poisoned = (data: unknown): unknown => {
    const loose = defineEvent("Order", { schema: z.unknown() });
    return refused("POISON", /cannot be read \(upcast\)/, () => decode(stored(encode(loose(data))), Current)).details[
      "reason"
    ];
  };
  assert.equal(poisoned({ id: "seven" }), "upcast");
  const Throwing = defineEvent("Order", {
    schema,
    version: 2,
    upcasts: [
      upcast(1, first, () => {
        throw new Error("boom");
      }),
    ],
  });
  const error = refused("POISON", /\(upcast\): Error: boom/, () => decode(stored(encode(First({ id: 7 }))), Throwing));
  assert.match(String(error.cause), /boom/);
});

test("a newer version than the code's waits for a deploy", () => {
  const event = stored(encode(OrderPlaced({ orderId: "o-1" })));
  const error = refused("AWAIT_DEPLOY", /is of version 2, this code knows 1: deploy/, () =>
    decode(storedAs(event, { version: 2 })),
  );
  assert.deepEqual([error.details["stored"], error.details["known"]], [2, 1]);
  refused("POISON", /\(checksum\)/, () => decode({ ...event, version: 2 }));
});

test("unreadable events are poison, each with its reason", () => {
  const event = stored(encode(OrderPlaced({ orderId: "o-1" })));
  const reason = (broken: StoredEvent): unknown =>
    refused("POISON", /cannot be read/, () => decode(broken)).details["reason"];
  assert.equal(reason({ ...event, crc: event.crc + 1 }), "checksum");
  assert.equal(reason({ ...event, data: '{"orderId":"o-2"}' }), "checksum");
  assert.equal(reason(storedAs(event, { data: "{", plain: false })), "json");
  assert.equal(reason(storedAs(event, { version: 0 })), "version");
  assert.equal(reason(storedAs(event, { version: 0.5 })), "version");
  assert.equal(reason(storedAs(event, { data: "{}", plain: false })), "schema");
  const validate = (): never => {
    throw new Error("boom");
  };
  const Throwing = defineEvent("OrderPlaced", { schema: { "~standard": { version: 1, vendor: "test", validate } } });
  refused("POISON", /\(schema\): Error: boom/, () => decode(event, Throwing));
});

test("an event of an unknown type is its JSON, checksum verified", () => {
  const event = stored(encode(newEventFromJson(OrderPlaced, '{"orderId":"o-1","__proto__":{"x":1}}')));
  const read = decodeUnknown(event, "e1");
  assert.deepEqual(Object.keys(read.data as object), ["orderId", "__proto__"]);
  assert.equal(({} as { x?: unknown }).x, undefined);
  assert.equal(read.type, "OrderPlaced");
  refused("POISON", /checksum/, () => decodeUnknown({ ...event, key: "o-2" }, "e1"));
  refused("POISON", /json/, () => decodeUnknown(storedAs(event, { data: "{" }), "e1"));
});
