/** Places in JSON text, against `JSON.parse` itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonFaultAt } from "../../src/http/json-fault.ts";
import { elementsOf, membersOf } from "../../src/http/json-text.ts";

const spaced = fc.json().map((text) => JSON.stringify(JSON.parse(text), null, 1));

test("a fault is found if and only if JSON.parse finds one", () => {
  const text = fc.oneof(
    fc.json(),
    spaced,
    fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom("", '"', "{", "]", ",", "\\", "\n", "0", "e", "u", "\u0001"))
      .map(
        ([json, at, piece]) => json.slice(0, at % (json.length + 1)) + piece + json.slice((at + 1) % (json.length + 1)),
      ),
  );
  fc.assert(
    fc.property(text, (each) => {
      let parses = true;
      try {
        JSON.parse(each);
      } catch {
        parses = false;
      }
      assert.equal(jsonFaultAt(each) === undefined, parses, each);
    }),
    { numRuns: 2_000 },
  );
});

test("the fault is where the text stops being JSON", () => {
  const faults: readonly (readonly [string, number | undefined])[] = [
    ["", 0],
    ["{", 1],
    ['{"a":x}', 5],
    ["[1,]", 3],
    ['{"a" 1}', 5],
    ['"\\x"', 1],
    ['"a', 2],
    ["1 2", 2],
    ["01", 1],
    [" [] ", undefined],
  ];
  for (const [text, at] of faults) assert.equal(jsonFaultAt(text), at, text);
});

test("members and elements are cut out as they were written", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), spaced)), (members) => {
      const object = `{ ${members.map(([name, value]) => `${JSON.stringify(name)} : ${value}`).join(" ,")} }`;
      const found = membersOf(object) ?? [];
      assert.deepEqual(
        found.map(({ name, start, end }) => [name, JSON.parse(object.slice(start, end))]),
        members.map(([name, value]) => [name, JSON.parse(value)]),
      );
      const array = `[${members.map(([, value]) => value).join(" ,\n")}]`;
      assert.deepEqual(
        (elementsOf(array) ?? []).map(({ start, end }) => JSON.parse(array.slice(start, end)) as unknown),
        JSON.parse(array),
      );
    }),
  );
  assert.equal(membersOf("[]"), undefined);
  assert.equal(elementsOf("{}"), undefined);
});
