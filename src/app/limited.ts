import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import type { EventDefinition } from "../event/define.ts";
import { limits as bounds } from "../limits.ts";

/** At most so many starts in any time of this length; a tenth of them may come at once. */
export interface Rate {
  readonly events: number;
  /** At most 1d. */
  readonly per: Duration;
}
/**
 * What a subscription may do, over all processes: deliveries in flight at one time, and starts in a time. Each attempt is a start.
 * `perGroup`: of each group by itself; events of no group are not counted there.
 */
export interface Limits {
  readonly concurrency?: number;
  readonly rate?: Rate;
  readonly perGroup?: { readonly concurrency?: number; readonly rate?: Rate };
}

export interface ResolvedLimit {
  readonly concurrency: number | undefined;
  readonly rate: { readonly events: number; readonly perMs: number } | undefined;
}
export interface ResolvedLimits extends ResolvedLimit {
  readonly perGroup: ResolvedLimit | undefined;
}

/** Throws INVALID_DEFINITION naming the option. */
export function resolveLimits(
  name: string,
  given: Limits | undefined,
  order: "key" | "none" | "log",
): ResolvedLimits | undefined {
  if (given === undefined) return undefined;
  const all = limitOf(name, "limits", given, ["concurrency", "rate", "perGroup"]);
  const perGroup =
    given.perGroup === undefined
      ? undefined
      : limitOf(name, "limits.perGroup", given.perGroup, ["concurrency", "rate"]);
  if (perGroup !== undefined && order === "log")
    throw refused(name, "limits.perGroup", 'order "log" lets no group go before another: choose order "key" or "none"');
  if (all.concurrency === undefined && all.rate === undefined && perGroup === undefined)
    throw refused(name, "limits", "it limits nothing: give concurrency, rate or perGroup");
  return Object.freeze({ ...all, perGroup });
}

function limitOf(name: string, option: string, given: Limits, known: readonly string[]): ResolvedLimit {
  if (typeof given !== "object" || given === null) throw refused(name, option, "give an object");
  for (const each of Object.keys(given))
    if (!known.includes(each)) throw refused(name, `${option}.${each}`, `choose among ${known.join(", ")}`);
  const { concurrency, rate } = given;
  if (concurrency !== undefined && !isCount(concurrency))
    throw refused(name, `${option}.concurrency`, `give a whole number of 1 to ${bounds.limitMax}`);
  if (rate === undefined) return { concurrency, rate };
  if (typeof rate !== "object" || rate === null || !isCount(rate.events))
    throw refused(name, `${option}.rate.events`, `give a whole number of 1 to ${bounds.limitMax}`);
  return { concurrency, rate: { events: rate.events, perMs: perOf(name, `${option}.rate.per`, rate.per) } };
}

function perOf(name: string, option: string, per: Duration): number {
  let ms = Number.NaN;
  try {
    ms = durationMs(per, option);
  } catch (error) {
    throw refused(name, option, error instanceof FactlogError ? error.message : "give a duration");
  }
  if (ms >= 1 && ms <= bounds.limitPerMaxMs) return ms;
  throw refused(name, option, "give 1 ms to 1d");
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= bounds.limitMax;

function refused(name: string, option: string, advice: string): FactlogError {
  return new FactlogError("INVALID_DEFINITION", `${name}: ${option}: ${advice}.`, {
    details: { subscription: name, option },
  });
}

/** Whether groups take turns: where one event may go before another, and events have groups. */
export function takesTurns({
  on,
  limits,
  order,
  inBatches,
}: {
  readonly on: readonly EventDefinition[];
  readonly limits: ResolvedLimits | undefined;
  readonly order: "key" | "none" | "log";
  readonly inBatches: boolean;
}): boolean {
  if (inBatches || order === "log") return false;
  return limits?.perGroup !== undefined || on.some(({ group }) => group !== undefined);
}
