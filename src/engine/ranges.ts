import type { Ranges } from "./ledger.ts";

/** As text: the distances between the ends of the runs, ascending, after `low`. Short where `low` is near. */
export function encodeRanges(ranges: Ranges, low: number): string {
  let last = low;
  const parts: number[] = [];
  for (const [from, to] of ranges) {
    parts.push(from - last, to - from);
    last = to;
  }
  return parts.join(",");
}

export function decodeRanges(text: string, low: number): Ranges {
  if (text === "") return [];
  const parts = text.split(",").map(Number);
  const ranges: [number, number][] = [];
  let last = low;
  for (let index = 0; index < parts.length; index += 2) {
    const from = last + parts[index]!;
    last = from + parts[index + 1]!;
    ranges.push([from, last]);
  }
  return ranges;
}
