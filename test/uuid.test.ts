import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidV7 } from "../src/uuid.ts";

const nowMs = 1_795_730_400_123;
const form = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

void test("an id is a canonical UUIDv7 that begins with its time", () => {
  for (const ms of [0, 1, nowMs, 2 ** 32, 2 ** 48 - 1]) {
    const parts = form.exec(uuidV7(ms));
    assert.ok(parts !== null);
    assert.equal(Number.parseInt(`${parts[1]}${parts[2]}`, 16), ms);
  }
});

void test("ids of one moment differ, and each of their 74 random bits is either", () => {
  const ids = Array.from({ length: 10_000 }, () => uuidV7(nowMs));
  assert.equal(new Set(ids).size, ids.length);
  const numbers = ids.map((id) => BigInt(`0x${id.replaceAll("-", "")}`));
  const all = numbers.reduce((left, right) => left & right);
  const any = numbers.reduce((left, right) => left | right);
  const time = BigInt(nowMs) << 80n;
  const fixed = time | (0x7n << 76n) | (0x8n << 60n);
  assert.equal(all, fixed, "a random bit is always one");
  assert.equal(any, fixed | (0xfffn << 64n) | (2n ** 62n - 1n), "a random bit is always zero");
});
