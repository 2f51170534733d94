/** Nothing that is printed may command a terminal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printable, printableJson } from "../../src/cli/printable.ts";

// oxlint-disable-next-line no-control-regex -- what must not come out
const commands = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]/u;

test("control characters and marks of direction are shown as escapes", () => {
  assert.equal(printable("\x1b]0;x\x07\x1b[2J"), "\\x1b]0;x\\x07\\x1b[2J");
  assert.equal(printable("a\nb\r\tc\u009b2J"), "a\\nb\\r\\tc\\x9b2J");
  assert.equal(printable("abc\u202egpj.exe\u2028"), "abc\\u202egpj.exe\\u2028");
  assert.equal(printable("half \ud800"), "half \ufffd");
  assert.equal(printable("Grüße, 世界 🚀"), "Grüße, 世界 🚀");
});

test("whatever the text, none comes out", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !commands.test(printable(text))));
});

test("JSON made safe means the same, on one line", () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary" }), (json) => {
      const safe = printableJson(JSON.stringify(JSON.parse(json), null, 2));
      assert.ok(!commands.test(safe));
      assert.deepEqual(JSON.parse(safe), JSON.parse(json));
    }),
  );
});
