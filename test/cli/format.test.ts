import assert from "node:assert/strict";
import { resolve, sep } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { shownError } from "../../src/cli/failure.ts";
import { introduction } from "../../src/cli/commands/dev.ts";
import { age, duration, nearest, placeOf, plural, shownPath, table } from "../../src/cli/format.ts";
import { FactlogError } from "../../src/errors.ts";
import { documents } from "../../src/cli/json-lines.ts";

test("durations and ages have the unit that says most", () => {
  assert.deepEqual([0.04, 0.84, 1, 9.96, 12.4, 999, 1_234].map(duration), [
    "0 ms",
    "0.8 ms",
    "1 ms",
    "10 ms",
    "12 ms",
    "999 ms",
    "1.2 s",
  ]);
  assert.deepEqual([600, 1_000, 59_400, 60_000, 3_599_000, 3_600_000, 19_200_000, 200_000_000].map(age), [
    "0.6 s",
    "1 s",
    "59 s",
    "1 m",
    "59 m",
    "1 h",
    "5 h 20 m",
    "2 d",
  ]);
});

test("numbers are written for people", () => {
  assert.equal(plural(1, "delivery", "deliveries"), "1 delivery");
  assert.equal(plural(69_659, "event"), "69,659 events");
  assert.equal(placeOf("01a2-3.4.26.17"), "17");
});

test("tables align numbers to the right and text to the left", () => {
  assert.deepEqual(
    table(
      ["name", "dead", "lag"],
      [
        ["a", 1, "3 s"],
        ["long", 12_000, "-"],
      ],
    ),
    ["name    dead  lag", "a          1  3 s", "long  12,000  -"],
  );
  assert.deepEqual(table(["a", "b"], []), ["a  b"]);
});

test("the nearest name is what was meant, or nothing", () => {
  const known = ["OrderPlaced", "OrderShipped", "PaymentCaptured"];
  assert.equal(nearest("OrderPlacd", known), "OrderPlaced");
  assert.equal(nearest("orderplaced", known), "OrderPlaced");
  assert.equal(nearest("Nothing", known), undefined);
});

test("paths are shown as people would type them from here", () => {
  assert.equal(shownPath(resolve(".factlog", "dev.db")), ".factlog/dev.db");
  assert.equal(shownPath(resolve(sep, "elsewhere", "x.db")), resolve(sep, "elsewhere", "x.db"));
});

test("dev introduces its log in one line", () => {
  const description = `sqlite:${resolve(".factlog/dev.db")}  durable (WAL, FULL)`;
  assert.equal(
    introduction("sqlite:.factlog/dev.db", description, 0.31),
    "sqlite:.factlog/dev.db  durable (WAL, FULL; 0.3 ms a commit)",
  );
  assert.equal(introduction("memory:", "memory  not durable", undefined), "memory  not durable");
});

const batches = async (text: string, most = 10): Promise<unknown[]> =>
  Array.fromAsync(documents(Readable.from([text]), most));

test("a stream is one document a line, or one document", async () => {
  assert.deepEqual(await batches('{"a":1}\n\n{"a":2}\r\n{"a":3}', 2), [
    [
      { line: 1, text: '{"a":1}' },
      { line: 3, text: '{"a":2}' },
    ],
    [{ line: 4, text: '{"a":3}' }],
  ]);
  assert.deepEqual(await batches('\n{\n  "a": 1\n}\n'), [[{ line: 2, text: '{\n  "a": 1\n}' }]]);
  assert.deepEqual(await batches(" \n"), []);
  const two = await batches('{"a":1}\nno', 1);
  assert.deepEqual(two, [[{ line: 1, text: '{"a":1}' }], [{ line: 2, text: "no" }]]);
});

test("a stream that is no UTF-8, or has no end, is refused", async () => {
  const bytes = Array.fromAsync(documents(Readable.from([Buffer.from([0x22, 0xc0, 0xa0, 0x22])]), 10));
  await assert.rejects(bytes, { code: "INVALID_DATA" });
  await assert.rejects(batches("x".repeat(2_000_000)), { code: "EVENT_TOO_LARGE" });
});

test("a refusal is its code and message; a surprise is shown with its stack", () => {
  const cause = new Error("disk");
  const refusal = new FactlogError("STORE_FAILED", "open it again.", { cause });
  assert.deepEqual(shownError(refusal).lines, ["STORE_FAILED open it again."]);
  assert.match(
    shownError(refusal, true).lines.join("\n"),
    /^STORE_FAILED open it again\.\n +at [\s\S]*caused by: Error: disk/,
  );
  const foreign = Object.assign(new Error("of another copy"), { name: "FactlogError", code: "BUSY" });
  assert.deepEqual(shownError(foreign).lines, ["BUSY of another copy"]);
  const surprise = shownError(new TypeError("x is undefined, token=abcdef"));
  assert.match(
    surprise.lines.join("\n"),
    /^TypeError: x is undefined, token=\*\*\*\n +at [\s\S]*please report it, with these lines\.$/,
  );
  assert.equal(surprise.fields["code"], "UNEXPECTED");
});
