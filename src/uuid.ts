import { randomFillSync } from "node:crypto";

/** Random bytes are drawn for so many ids at once. */
const idsPerDraw = 128;
const bytesPerId = 16;
const random = new Uint8Array(bytesPerId * idsPerDraw);
let used = random.length;

/** Where the digits of a byte stand in the text. */
const digitAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const digits = Buffer.from("0123456789abcdef", "latin1");
const text = Buffer.from("........-....-....-....-............", "latin1");

/**
 * A UUIDv7 (RFC 9562) of this time with 74 random bits, in its canonical form and in one piece. That of `node:crypto` is
 * a string put together from twenty: whoever binds, sums or compares it first pays more than the making costs.
 */
export function uuidV7(nowMs: number): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  writeTime(nowMs);
  random[used + 6] = (random[used + 6]! & 0x0f) | 0x70;
  random[used + 8] = (random[used + 8]! & 0x3f) | 0x80;
  for (let byte = 0; byte < bytesPerId; byte++) {
    const value = random[used + byte]!;
    const at = digitAt[byte]!;
    text[at] = digits[value >> 4]!;
    text[at + 1] = digits[value & 0x0f]!;
  }
  used += bytesPerId;
  return text.toString("latin1");
}

/** The first 48 bits. */
function writeTime(nowMs: number): void {
  const high = Math.floor(nowMs / 2 ** 32);
  const low = nowMs >>> 0;
  random[used] = high >>> 8;
  random[used + 1] = high;
  random[used + 2] = low >>> 24;
  random[used + 3] = low >>> 16;
  random[used + 4] = low >>> 8;
  random[used + 5] = low;
}

/** 256 random bits that nobody can guess, in hexadecimal: secrets are never drawn from a seed. */
export function freshSecret(): string {
  return Buffer.from(randomFillSync(new Uint8Array(32))).toString("hex");
}
