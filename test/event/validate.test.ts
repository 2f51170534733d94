import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineEvent, newEventFromJson } from "../../src/event/define.ts";
import type { AnySchema } from "../../src/event/schema.ts";
import { limits } from "../../src/limits.ts";
import { encode, refused } from "../support/events.ts";
import { libraries } from "../support/schemas.ts";

const Any = defineEvent("Any", { schema: z.unknown() });

for (const library of libraries) {
  const Order = defineEvent("OrderPlaced", { schema: library.order });

  test(`${library.name}: what the schema refuses names the field, and nothing is stored`, () => {
    const error = refused(
      "INVALID_DATA",
      /^OrderPlaced: lines\[1\]\.sku:? .*(string|String).* Nothing was stored\.$/,
      () => encode(Order({ orderId: "1", lines: [{ sku: "a" }, { sku: 5 }] })),
    );
    assert.doesNotMatch(error.message, /sku.*sku/);
    const issues = error.details["issues"] as readonly { path: string; message: string }[];
    assert.equal(issues[0]?.path, "lines[1].sku");
    assert.match(issues[0].message, /string/i);
    refused("INVALID_DATA", /orderId/, () => encode(Order({ lines: [] })));
    refused("INVALID_DATA", /\(and 1 more\)/, () => encode(Order({})));
    refused("INVALID_DATA", /^OrderPlaced: /, () => encode(Order("text")));
    refused("INVALID_DATA", /orderId/, () => encode(newEventFromJson(Order, '{"lines":[]}')));
  });

  test(`${library.name}: the input is stored, and whether the schema changed it is known`, () => {
    const plain = encode(Order({ orderId: "1", lines: [] }));
    assert.deepEqual([plain.data, plain.plain], ['{"orderId":"1","lines":[]}', true]);
    const Defaulted = defineEvent("Defaulted", { schema: library.withDefault });
    const absent = encode(Defaulted({ orderId: "1" }));
    assert.deepEqual([absent.data, absent.plain], ['{"orderId":"1"}', false]);
    assert.equal(encode(Defaulted({ orderId: "1", currency: "USD" })).plain, true);
    const Dated = defineEvent("Dated", { schema: library.withDate });
    const dated = encode(Dated({ at: "2026-01-01T00:00:00.000Z" }));
    assert.deepEqual([dated.data, dated.plain], ['{"at":"2026-01-01T00:00:00.000Z"}', false]);
    refused("INVALID_DATA", /^Dated: at is a Date/, () => encode(Dated({ at: new Date(0) })));
  });
}

test("an asynchronous schema is refused, and its rejection floats nowhere", () => {
  const validate = (): Promise<never> => Promise.reject(new Error("late"));
  const Late = defineEvent("Late", { schema: { "~standard": { version: 1, vendor: "test", validate } } });
  refused("SCHEMA_ASYNC", /^Late: its schema answers with a promise/, () => encode(Late("x")));
  const Slow = defineEvent("Slow", { schema: z.string().refine(() => Promise.resolve(true)) });
  refused("SCHEMA_ASYNC", /^Slow: its schema answers with a promise/, () => encode(Slow("x")));
});

test("data that JSON cannot hold is refused before the schema sees it", () => {
  let asked = 0;
  const schema: AnySchema = { "~standard": { version: 1, vendor: "test", validate: (value) => (asked++, { value }) } };
  const Watched = defineEvent("Watched", { schema });
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /^Watched: data is undefined\. Nothing was stored\.$/],
    [5n, /^Watched: data is a bigint/],
    [{ a: { b: [1, () => 1] } }, /^Watched: a\.b\[1\] is a function/],
    [{ "odd name": new Map() }, /^Watched: \["odd name"\] is an instance of Map/],
    [{ total: Number.NaN }, /^Watched: total is NaN/],
    [cyclic, /^Watched: self is an object that contains itself/],
  ];
  for (const [data, message] of bad) {
    const error = refused("INVALID_DATA", message, () => encode(Watched(data)));
    assert.equal((error.details["issues"] as readonly unknown[]).length, 1);
  }
  assert.equal(asked, 0);
});

test("depth is bounded, for values and for text", () => {
  const text = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
  assert.equal(encode(newEventFromJson(Any, text(limits.nestingMax))).data.length, 2 * limits.nestingMax);
  encode(Any(JSON.parse(text(limits.nestingMax))));
  refused("NESTING_TOO_DEEP", /^Any: data has more than 64 levels/, () =>
    newEventFromJson(Any, text(limits.nestingMax + 1)),
  );
  refused("NESTING_TOO_DEEP", /^Any: data has more than 64 levels/, () => newEventFromJson(Any, "[".repeat(200_000)));
  refused("NESTING_TOO_DEEP", /^Any: \[0\]\[0\]\[0\] is the beginning of more than 64 levels/, () =>
    encode(Any(JSON.parse(text(limits.nestingMax + 1)))),
  );
});

test("size is bounded in bytes, for values and for text", () => {
  const max = limits.eventBytesMax;
  for (const [char, bytes] of [
    ["x", 1],
    ["ü", 2],
    ["\u20ac", 3],
  ] as const) {
    const fits = char.repeat((max - 2) / bytes);
    assert.ok(encode(Any(fits)).data.length > 0);
    const error = refused("EVENT_TOO_LARGE", /the limit is 262144/, () => encode(Any(fits + char)));
    assert.equal(error.details["limit"], max);
    assert.equal(error.details["bytes"], Buffer.byteLength(JSON.stringify(fits + char)));
    refused("EVENT_TOO_LARGE", /^Any: data is \d+ bytes/, () => newEventFromJson(Any, JSON.stringify(fits + char)));
  }
});

test("text that is no JSON is refused when it is given", () => {
  for (const text of ["", "{", "{'a':1}", "undefined", "NaN", "\ufeff{}", "[1,]", "\u00a0[]", "01"]) {
    const error = refused("INVALID_DATA", /^Any: data is no JSON: .* Nothing was stored\.$/s, () =>
      newEventFromJson(Any, text),
    );
    assert.ok(error.cause instanceof SyntaxError);
  }
  refused("INVALID_DATA", /no well-formed text/, () => newEventFromJson(Any, '"\ud800"'));
  refused("INVALID_DATA", /no well-formed text/, () => newEventFromJson(Any, 5 as unknown as string));
});
