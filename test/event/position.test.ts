import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatPosition, isPosition, parsePosition } from "../../src/event/position.ts";
import { refused } from "../support/events.ts";

test("a position is read back as it was written, whatever the epoch's name", () => {
  const epochs = fc.oneof(fc.constantFrom("e1", "a.b", "1.2.3", "x\ny"), fc.string({ minLength: 1 }));
  const places = fc.tuple(epochs, fc.integer({ min: 0, max: 4_095 }), fc.maxSafeNat());
  fc.assert(
    fc.property(places, ([epoch, slot, position]) => {
      const token = formatPosition(epoch, slot, position);
      assert.ok(isPosition(token));
      const read = parsePosition(token, epoch);
      assert.deepEqual([read.slot, read.position], [slot, position]);
    }),
  );
});

test("malformed positions are refused", () => {
  const bad = [
    "",
    "e",
    "e.1",
    ".1.2",
    "e.1.",
    "e..2",
    "e.-1.2",
    "e.1.2 ",
    "e.01.2",
    "e.1.02",
    "e.1.2.x",
    "e.1.9007199254740992",
    "e.1.1e3",
  ];
  for (const token of bad) {
    assert.equal(isPosition(token), false, token);
    refused("INVALID_OPTION", /is no position/, () => parsePosition(token, "e"));
  }
  for (const token of [undefined, null, 5, {}]) {
    assert.equal(isPosition(token), false);
    refused("INVALID_OPTION", /is no position/, () => parsePosition(token as unknown as string, "e"));
  }
});

test("a position of another epoch is refused and both are named", () => {
  const error = refused("INVALID_OPTION", /of epoch old, the log is in epoch new/, () =>
    parsePosition("old.1.2", "new"),
  );
  assert.deepEqual(error.details, { epoch: "old", expected: "new" });
});
