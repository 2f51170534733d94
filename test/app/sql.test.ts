import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "../../src/app/sql.ts";
import { refused } from "../support/events.ts";

test("a statement is its pieces and its values, never mixed", () => {
  const name = "x'); drop table stock; --";
  const statement = sql`insert into stock values (${name}, ${2})`;
  assert.deepEqual(statement, { text: ["insert into stock values (", ", ", ")"], values: [name, 2] });
  assert.ok(Object.isFrozen(statement) && Object.isFrozen(statement.text) && Object.isFrozen(statement.values));
  assert.deepEqual(sql`select 1`, { text: ["select 1"], values: [] });
});

test("values are what every SQL engine can bind", () => {
  const values = [
    "",
    "text",
    0,
    -1.5,
    2n ** 63n,
    true,
    false,
    null,
    new Date(0),
    new Uint8Array([1]),
    Buffer.from("x"),
  ];
  for (const value of values) assert.equal(sql`${value}`.values[0], value);
});

test("any other value is refused at once, with its place", () => {
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /value 2 .* is undefined \(give null/],
    [Number.NaN, /is NaN/],
    [Infinity, /is Infinity/],
    [new Date(Number.NaN), /an invalid Date/],
    [[1, 2], /an array/],
    [{ a: 1 }, /of type object/],
    [new Map(), /of type object/],
    [Symbol("s"), /of type symbol/],
    [() => 1, /of type function/],
    [JSON.parse(JSON.stringify(sql`nested`)), /of type object/],
    [new ArrayBuffer(1), /of type object/],
  ];
  for (const [value, message] of bad) {
    const error = refused("INVALID_OPTION", message, () => sql`values (${1}, ${value})`);
    assert.deepEqual(error.details, { index: 1 });
  }
});

test("a statement is put into another as it is, with its values", () => {
  const { text, values } = sql`a ${1} ${sql`${2} b ${sql`c`} ${3}`} d ${4}`;
  assert.deepEqual(
    [text, values],
    [
      ["a ", " ", " b c ", " d ", ""],
      [1, 2, 3, 4],
    ],
  );
});
