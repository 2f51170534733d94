import { limits } from "../limits.ts";
import { type Allotment, rateWaitsUntil } from "./allotment.ts";
import type { Paused } from "./pauses.ts";

/** What a subscription, or a key or a group of it, waits for before its next delivery starts. */
export interface WaitsFor {
  /** An operator's `resume`; the end of an outage; a place or a start of `limits`. */
  readonly for: "resume" | "outage" | "concurrency" | "rate";
  readonly key?: string;
  readonly group?: string;
  /** Of a rate: when the next may start. Of an outage: the next probe. */
  readonly until?: Date;
}

/** At most so many are named: see `limits.waitsShown`. */
export function waitsFor(
  { all, keys, groups, outage }: Paused,
  allotted: readonly { readonly group: string | undefined; readonly is: Allotment }[],
  { depth, nowMs }: { readonly depth: number; readonly nowMs: number },
): readonly WaitsFor[] {
  const waits: WaitsFor[] = [];
  if (all) waits.push({ for: "resume" });
  if (outage !== undefined) waits.push({ for: "outage", until: new Date(outage.nextMs) });
  for (const group of groups) waits.push({ for: "resume", group });
  for (const key of keys) waits.push({ for: "resume", key });
  if (depth > 0)
    for (const { group, is } of allotted) {
      const whose = group === undefined ? {} : { group };
      if (is.queue.length > 0) waits.push({ for: "concurrency", ...whose });
      const untilMs = rateWaitsUntil(is, nowMs);
      if (untilMs !== undefined) waits.push({ for: "rate", ...whose, until: new Date(untilMs) });
    }
  return waits.slice(0, limits.waitsShown);
}
