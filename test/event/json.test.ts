import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { jsonFault, nestsTooDeep, sameJson } from "../../src/event/json.ts";
import { limits } from "../../src/limits.ts";

function nested(levels: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = wrap(value);
  return value;
}

test("what JSON can hold has no fault", () => {
  const good: readonly unknown[] = [
    null,
    true,
    "",
    0,
    -1.5e300,
    [],
    {},
    [1, [2, [null]]],
    { a: { b: [{ c: "x" }] } },
    { absent: undefined },
    Object.create(null),
    { ["__proto__"]: { polluted: true } },
    { constructor: "x" },
    "\ud800",
    "\0",
    runInNewContext("({ a: [1] })"),
  ];
  for (const value of good) assert.equal(jsonFault(value), undefined, JSON.stringify(value));
});

test("what JSON cannot hold is found, wherever it is", () => {
  class Order {}
  const cyclic: { self?: unknown } = {};
  cyclic.self = [cyclic];
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /^undefined$/],
    [() => 1, /^a function$/],
    [Symbol("s"), /^a symbol$/],
    [5n, /^a bigint/],
    [Number.NaN, /^NaN$/],
    [Infinity, /^Infinity$/],
    [-Infinity, /^-Infinity$/],
    [new Date(0), /^a Date/],
    [new Map(), /an instance of Map/],
    [new Order(), /an instance of Order/],
    [Buffer.from("x"), /an instance of Buffer/],
    [Object("boxed"), /an instance of String/],
    [new URL("http://localhost"), /an instance of URL/],
    [{ toJSON: () => 1 }, /^a function$/],
    [Object.create({ inherited: 1 }), /no plain object/],
    [[1, undefined], /^undefined$/],
    // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
    [[1, , 2], /^undefined$/],
    [cyclic, /contains itself/],
  ];
  for (const [value, reason] of bad) {
    const fault = jsonFault({ list: ["x", [value]] });
    assert.equal(fault?.code, "INVALID_DATA");
    assert.match(fault.reason, reason);
    assert.deepEqual(fault.path.slice(0, 3), ["list", 1, 0]);
    assert.notEqual(jsonFault(value), undefined);
  }
});

test("depth is bounded: containers count, the bound itself is allowed", () => {
  for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ inner })]) {
    assert.equal(jsonFault(nested(limits.nestingMax, wrap)), undefined);
    assert.equal(jsonFault(nested(limits.nestingMax + 1, wrap))?.code, "NESTING_TOO_DEEP");
    assert.equal(jsonFault(nested(100_000, wrap))?.code, "NESTING_TOO_DEEP");
  }
});

test("a tree of shared subtrees ends the walk by its size", () => {
  const doubled = nested(60, (inner) => ({ a: inner, b: inner }));
  assert.equal(jsonFault(doubled)?.code, "EVENT_TOO_LARGE");
});

test("the depth of a text is that of its value", () => {
  const tree = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 80, withCrossShrink: true },
      fc.string({ unit: "binary" }),
      fc.integer(),
      fc.array(tie("tree"), { maxLength: 2 }),
    ),
  })).tree;
  const values = fc.tuple(tree, fc.integer({ min: 0, max: 80 })).map(([value, levels]) => wrapped(value, levels));
  let deep = 0;
  fc.assert(
    fc.property(values, fc.constantFrom(0, 2), (value, indent) => {
      const expected = depthOf(value) > limits.nestingMax;
      deep += expected ? 1 : 0;
      assert.equal(nestsTooDeep(JSON.stringify(value, undefined, indent)), expected);
      assert.equal(jsonFault(value)?.code === "NESTING_TOO_DEEP", expected);
    }),
  );
  assert.ok(deep > 5, `only ${deep} values were too deep`);
});

function wrapped(value: unknown, levels: number): unknown {
  return levels === 0 ? value : wrapped(levels % 2 === 0 ? [value] : { ['"[{\\']: value }, levels - 1);
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test("brackets within strings do not count, and a text that never ends is no endless loop", () => {
  assert.equal(nestsTooDeep(JSON.stringify("[".repeat(1_000))), false);
  assert.equal(nestsTooDeep(`["\\\\","${"{".repeat(500)}"]`), false);
  assert.equal(nestsTooDeep(`["\\"${"[".repeat(500)}`), false);
  for (const text of ['"', 'x"', "\\", '\\"']) {
    assert.equal(nestsTooDeep(`[${JSON.stringify(text)},${"[".repeat(limits.nestingMax - 1)}`), false);
    assert.equal(nestsTooDeep(`[${JSON.stringify(text)},${"[".repeat(limits.nestingMax)}`), true);
  }
  assert.equal(nestsTooDeep("[".repeat(limits.nestingMax)), false);
  assert.equal(nestsTooDeep("[".repeat(limits.nestingMax + 1)), true);
  assert.equal(nestsTooDeep("[]".repeat(1_000)), false);
});

test("sameJson compares with the value that reading gives", () => {
  const values = fc.jsonValue({ maxDepth: 4 });
  let same = 0;
  fc.assert(
    fc.property(values, values, fc.boolean(), (a, b, copy) => {
      const output: unknown = copy ? structuredClone(a) : b;
      const read: unknown = JSON.parse(JSON.stringify(a));
      const expected = deepEqual(read, JSON.parse(JSON.stringify(output)));
      same += expected ? 1 : 0;
      assert.equal(sameJson(a, output), expected);
    }),
  );
  assert.ok(same > 20, `only ${same} pairs were the same`);
});

function deepEqual(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

test("sameJson: absent and undefined are one, everything else counts", () => {
  assert.ok(sameJson({ a: 1, b: undefined }, { a: 1 }));
  assert.ok(sameJson({ a: 1 }, { a: 1, b: undefined }));
  const own = JSON.parse('{"__proto__":{}}') as object;
  const different: readonly (readonly [unknown, unknown])[] = [
    [{ a: 1 }, {}],
    [{}, { a: 1 }],
    [{ a: 1 }, { b: 1 }],
    [{ a: null }, {}],
    [[1], [1, 2]],
    [[], {}],
    [{}, []],
    [null, {}],
    [{}, null],
    [1, "1"],
    ["1970-01-01T00:00:00.000Z", new Date(0)],
    [{}, new Date(0)],
    [{}, new Map()],
    [own, {}],
    [{}, own],
    [own, { x: 1 }],
    [{ toString: "x" }, {}],
  ];
  for (const [a, b] of different) assert.equal(sameJson(a, b), false, `${JSON.stringify(a)} ${JSON.stringify(b)}`);
});
