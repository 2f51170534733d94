import assert from "node:assert/strict";
import { test } from "node:test";
import { type Duration, durationMs } from "../src/duration.ts";
import { refused } from "./support/events.ts";

test("a duration is milliseconds or a literal with its unit", () => {
  const cases: readonly (readonly [Duration, number])[] = [
    [0, 0],
    [250, 250],
    [1.5, 1.5],
    ["250ms", 250],
    ["0s", 0],
    ["5s", 5_000],
    ["2m", 120_000],
    ["1.5h", 5_400_000],
    ["7d", 604_800_000],
  ];
  for (const [duration, ms] of cases) assert.equal(durationMs(duration), ms, String(duration));
});

test("anything else is refused and shown, with the option's name", () => {
  const bad: readonly unknown[] = [
    "",
    "s",
    "5",
    "5 s",
    " 5s",
    "5s ",
    "-5s",
    "+5s",
    "1e3s",
    "0x5s",
    "1.s",
    ".5s",
    "24hours",
    "5S",
    "١s",
    "NaNs",
    Number.NaN,
    -1,
    Infinity,
    -Infinity,
    undefined,
    null,
    {},
    [],
    5n,
    true,
    new Date(0),
  ];
  for (const duration of bad) {
    const error = refused("INVALID_OPTION", /^timeout is .*: give milliseconds, or a literal/s, () =>
      durationMs(duration as Duration, "timeout"),
    );
    assert.equal(error.details["option"], "timeout");
  }
  refused("INVALID_OPTION", /^duration is "24hours":/, () => durationMs("24hours" as Duration));
});
