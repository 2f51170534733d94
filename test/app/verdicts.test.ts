import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Defer, NonRetryable, RetryAfter, verdictOf } from "../../src/app/verdicts.ts";
import type { Duration } from "../../src/duration.ts";
import { refused } from "../support/events.ts";

test("verdicts are errors with a stack, a name, a message and a cause", () => {
  const cause = new Error("why");
  const errors = [
    new NonRetryable("no lines", { cause }),
    new RetryAfter("5s", "busy", { cause }),
    new Defer("1m", "later"),
  ];
  assert.deepEqual(
    errors.map((error) => `${error}`),
    ["NonRetryable: no lines", "RetryAfter: busy", "Defer: later"],
  );
  assert.deepEqual(
    errors.map((error) => error.cause),
    [cause, cause, undefined],
  );
  for (const error of errors) {
    assert.ok(error instanceof Error);
    assert.match(error.stack ?? "", /verdicts\.test\.ts/);
    assert.doesNotMatch(inspect(error), /factlog\.verdict/);
  }
  assert.equal(new RetryAfter(250).message, "retry after 250 ms");
  assert.equal(new RetryAfter("5s").message, "retry after 5s");
  assert.equal(new Defer(new Date(0)).message, "deferred for 1970-01-01T00:00:00.000Z");
});

test("a verdict says what to do and how long to wait", () => {
  const read = (error: unknown, nowMs: number): unknown[] => [verdictOf(error)?.kind, verdictOf(error)?.waitMs(nowMs)];
  assert.deepEqual(read(new NonRetryable("x"), 5), ["non-retryable", 0]);
  assert.deepEqual(read(new RetryAfter("5s"), 5), ["retry-after", 5_000]);
  assert.deepEqual(read(new RetryAfter(0), 5), ["retry-after", 0]);
  assert.deepEqual(read(new Defer("1.5h"), 5), ["defer", 5_400_000]);
  assert.deepEqual(read(new RetryAfter(new Date(1_000)), 400), ["retry-after", 600]);
  assert.deepEqual(read(new Defer(new Date(1_000)), 5_000), ["defer", 0]);
});

test("a bad wait is refused where it is thrown", () => {
  for (const wait of ["5 s", -1, Number.NaN, undefined, null]) {
    refused("INVALID_OPTION", /^wait is/, () => new RetryAfter(wait as Duration));
    refused("INVALID_OPTION", /^wait is/, () => new Defer(wait as Duration));
  }
  refused("INVALID_OPTION", /^wait is an invalid Date/, () => new Defer(new Date(Number.NaN)));
});

test("anything else thrown is no verdict, and asking never throws", () => {
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error("trap");
      },
    },
  );
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  for (const thrown of [new Error("x"), "text", null, undefined, 5, {}, hostile, revoked.proxy, () => 1]) {
    assert.equal(verdictOf(thrown), undefined);
  }
});

test("a verdict of another copy of the package is understood", async () => {
  const url = `${import.meta.resolve("../../src/app/verdicts.ts")}?copy`;
  const copy = (await import(url)) as { readonly Defer: typeof Defer };
  const error = new copy.Defer("2s");
  assert.equal(error instanceof Defer, false);
  assert.equal(verdictOf(error)?.waitMs(0), 2_000);
});
