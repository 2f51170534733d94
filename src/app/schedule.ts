import { Cron } from "croner";
import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, NewEvent, NewEventOf } from "../event/define.ts";
import { checkName } from "../event/envelope.ts";
import { limits } from "../limits.ts";

/** What a schedule does about ticks that nobody was there for: none of them, the last one, or each. */
export type Missed = "skip" | "once" | "all";
export type ScheduleOptions = (
  | {
      /** Five or six fields, or a nickname such as "@daily": see the documentation of croner. */
      readonly cron: string;
      /** IANA name, as in "Europe/Berlin": a schedule in local time needs a place. */
      readonly timeZone: string;
    }
  /** Ticks at the multiples of this duration since 1970, so that all processes agree. At least 1s. */
  | { readonly every: Duration }
) & {
  /** For ticks more than a minute late. Default "skip". */
  readonly missed?: Missed;
};

/** States a fact at each of its ticks, once over all processes. */
export interface Schedule {
  readonly name: string;
  readonly __schedule: true;
}

export interface ScheduleSpec {
  readonly name: string;
  readonly missed: Missed;
  /** The first tick after a time, milliseconds since 1970; undefined: there is none. */
  readonly next: (afterMs: number) => number | undefined;
  readonly event: (tick: { readonly at: Date }) => NewEvent;
}

const scheduleKey: unique symbol = Symbol.for("factlog.schedule");

/**
 * Defines a schedule. Throws INVALID_DEFINITION on an expression that is none or that never ticks, on an unknown time
 * zone, on an `every` below 1s.
 */
export function defineSchedule<E extends AnyEventType>(
  name: string,
  options: ScheduleOptions,
  event: (tick: { readonly at: Date }) => NewEventOf<E>,
): Schedule {
  checkName("schedule", name);
  const refuse = (message: string, cause?: unknown): never => {
    throw new FactlogError("INVALID_DEFINITION", `schedule ${name}: ${message}`, {
      cause,
      details: { schedule: name },
    });
  };
  if (typeof options !== "object" || options === null)
    refuse("options are missing: give { cron, timeZone } or { every }.");
  const { missed = "skip" } = options;
  if (!["skip", "once", "all"].includes(missed)) refuse(`missed is ${String(missed)}: give "skip", "once" or "all".`);
  if (typeof event !== "function") refuse("the third argument is no function that gives the event of a tick.");
  const next = "every" in options ? everyMs(options.every, refuse) : cronOf(options, refuse);
  if (next(0) === undefined) refuse("it never ticks: no time fits its expression.");
  const spec: ScheduleSpec = Object.freeze({ name, missed, next, event: event as unknown as ScheduleSpec["event"] });
  return Object.freeze(Object.defineProperty({ name, __schedule: true as const }, scheduleKey, { value: spec }));
}

/** Undefined where `schedule` was not made by `defineSchedule`. */
export function scheduleSpecOf(schedule: Schedule): ScheduleSpec | undefined {
  return (schedule as Partial<{ readonly [scheduleKey]: ScheduleSpec }> | null | undefined)?.[scheduleKey];
}

type Refuse = (message: string, cause?: unknown) => never;

function everyMs(every: Duration, refuse: Refuse): ScheduleSpec["next"] {
  const periodMs = durationMs(every, "every");
  if (!(periodMs >= limits.scheduleMinMs)) refuse(`every is ${periodMs} ms: give at least ${limits.scheduleMinMs}.`);
  return (afterMs) => (Math.floor(afterMs / periodMs) + 1) * periodMs;
}

function cronOf(
  { cron, timeZone }: { readonly cron?: string; readonly timeZone?: string },
  refuse: Refuse,
): ScheduleSpec["next"] {
  if (typeof cron !== "string") return refuse("give { cron, timeZone } or { every }.");
  if (typeof timeZone !== "string") return refuse('timeZone is missing: give one such as "Europe/Berlin" or "UTC".');
  try {
    const pattern = new Cron(cron, { timezone: timeZone, paused: true });
    pattern.nextRun();
    return (afterMs) => pattern.nextRun(new Date(afterMs))?.getTime();
  } catch (cause) {
    return refuse(`${JSON.stringify(cron)} in ${timeZone}: ${(cause as Error).message}`, cause);
  }
}
