import { crc32 } from "node:zlib";
import type { Entry, Register } from "../engine/register.ts";
import { limits } from "../limits.ts";
import type { Allotment } from "./allotment.ts";

/** Where what the processes have of a limit stands in the register. */
export interface Place {
  readonly kind: string;
  readonly name: string;
}
const shardKind = (shard: number): string => `limit.${shard}`;
export const placeOf = (sub: number): Place => ({ kind: "limit", name: `${sub}` });
/** Groups are many: a look at one reads those of its shard alone. */
export const placeOfGroup = (sub: number, group: string): Place => ({
  kind: shardKind(crc32(group) % limits.limitShards),
  name: `${sub} ${group}`,
});

export const readAllotment = (body: string | undefined): Allotment | undefined =>
  body === undefined ? undefined : (JSON.parse(body) as Allotment);

/** Nobody holds or wants anything of it. */
export function isForgotten({ held, queue, fullMs }: Allotment, nowMs: number, isGone: (session: number) => boolean) {
  if (fullMs > nowMs) return false;
  return [...Object.keys(held).map(Number), ...queue.map(([session]) => session)].every(isGone);
}

/** All that is known of limits, by subscription; `group` undefined: that of the whole. */
export async function allotments(
  register: Register,
): Promise<ReadonlyMap<number, readonly { readonly group: string | undefined; readonly is: Allotment }[]>> {
  const kinds = ["limit", ...Array.from({ length: limits.limitShards }, (_, shard) => shardKind(shard))];
  const entries = (await Promise.all(kinds.map((kind) => register.entries(kind)))).flat();
  return Map.groupBy(entries.map(told), ({ sub }) => sub);
}
function told({ name, body }: Entry): {
  readonly sub: number;
  readonly group: string | undefined;
  readonly is: Allotment;
} {
  const end = name.indexOf(" ");
  const group = end < 0 ? undefined : name.slice(end + 1);
  return { sub: Number(end < 0 ? name : name.slice(0, end)), group, is: JSON.parse(body) as Allotment };
}
