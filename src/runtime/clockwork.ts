import type { Logger } from "../app/context.ts";
import type { ScheduleSpec } from "../app/schedule.ts";
import type { Ledger } from "../engine/ledger.ts";
import type { Tick } from "../engine/timetable.ts";
import type { Env, Timer } from "../env.ts";
import { hasCode, mayPass } from "../errors.ts";
import { encodeEvent } from "../event/codec.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { scheduledEventId } from "./identity.ts";

/** A schedule of an app that is worked on here. */
export interface AppSchedule {
  readonly spec: ScheduleSpec;
  /** The app's name. */
  readonly source: string;
}

/**
 * What becomes a fact at its time: delayed events and the ticks of schedules. Every working process looks; the ledger
 * makes sure that each fact is stated once.
 */
export class Clockwork {
  readonly #env: Env;
  readonly #ledger: Ledger;
  readonly #logger: Logger;
  readonly #fail: (error: unknown) => void;
  readonly #schedules = new Map<string, AppSchedule>();
  /** Schedules whose event could not be made, and when that is tried again. */
  readonly #troubled = new Map<string, number>();
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #poll: Timer | undefined;
  #looking: Promise<number> | undefined;
  #again = false;
  #stopped = false;

  constructor(world: {
    readonly env: Env;
    readonly ledger: Ledger;
    readonly logger: Logger;
    fail(error: unknown): void;
  }) {
    this.#env = world.env;
    this.#ledger = world.ledger;
    this.#logger = world.logger;
    this.#fail = (error) => world.fail(error);
  }

  add(schedules: readonly AppSchedule[]): void {
    for (const each of schedules) this.#schedules.set(each.spec.name, each);
    this.#lookSoon();
  }
  /** Something is due at this time (wall clock). */
  at(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = dueMs;
    this.#timer = this.#env.after(dueMs - this.#env.now(), () => {
      this.#timerMs = Number.POSITIVE_INFINITY;
      this.#lookSoon();
    });
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#poll?.cancel();
  }
  /** States all that is due now. Answers how much it was. */
  settle(): Promise<number> {
    return this.#look();
  }

  #lookSoon(): void {
    this.#look().catch((error: unknown) => {
      // A busy store is asked again with the next poll; what is unknown is asked for again by then.
      if (!mayPass(error) && !hasCode(error, "OUTCOME_UNKNOWN")) this.#fail(error);
    });
  }
  /** Resolves when a look that began after this call is through. */
  #look(): Promise<number> {
    this.#again = this.#looking !== undefined;
    this.#looking ??= (async () => {
      let stated = 0;
      do {
        this.#again = false;
        stated += await this.#lookOnce();
      } while (this.#again);
      return stated;
    })().finally(() => {
      this.#looking = undefined;
      this.#pollLater();
    });
    return this.#looking;
  }
  /**
   * What another process delays or moves on announces itself to nobody. From the end of a look on, however it ended: a
   * poll that came due meanwhile was taken for part of it.
   */
  #pollLater(): void {
    this.#poll?.cancel();
    if (!this.#stopped) this.#poll = this.#env.after(limits.wakeMaxMs, () => this.#lookSoon(), { upkeep: true });
  }
  async #lookOnce(): Promise<number> {
    if (this.#stopped) return 0;
    const fired = await this.#fire();
    let ticks = 0;
    for (const schedule of this.#schedules.values()) ticks += await this.#turn(schedule);
    const [next] = await this.#ledger.delayed({ limit: 1 });
    if (next !== undefined) this.at(next.dueMs);
    return fired + ticks;
  }

  // ── delayed events ──
  async #fire(): Promise<number> {
    let all = 0;
    for (;;) {
      const { fired, conflicts } = await this.#ledger.fire(this.#env.now(), limits.fireEvents);
      for (const { source, id } of conflicts) {
        this.#logger.warn("another event stands in the log under the id of this delayed one; the first one stays", {
          source,
          id,
        });
      }
      all += fired;
      if (fired < limits.fireEvents) return all;
    }
  }

  // ── schedules ──
  /** Moves a schedule on to the last tick that has come. Answers how many facts it stated. */
  async #turn({ spec, source }: AppSchedule): Promise<number> {
    const nowMs = this.#env.now();
    if (nowMs < (this.#troubled.get(spec.name) ?? 0)) return 0;
    const seenMs = await this.#ledger.ticked(spec.name);
    if (seenMs === undefined) {
      // It begins now: what would have been earlier was never asked for.
      await this.#ledger.tick({ schedule: spec.name, seenMs, tickMs: nowMs, events: [] });
      return this.#await(spec, nowMs);
    }
    const ticks = ticksBetween(spec, seenMs, nowMs);
    const tickMs = ticks.at(-1);
    if (tickMs === undefined) return this.#await(spec, seenMs);
    const tick = this.#tickOf(spec, source, seenMs, ticks, nowMs);
    if (tick === undefined) return 0;
    const first = await this.#ledger.tick(tick);
    this.#await(spec, tickMs);
    return first ? tick.events.length : 0;
  }
  #await(spec: ScheduleSpec, afterMs: number): number {
    const next = spec.next(afterMs);
    if (next !== undefined) this.at(next);
    return 0;
  }
  /** Undefined where the schedule's function has no event to give: the tick is not lost, but tried again. */
  #tickOf(
    spec: ScheduleSpec,
    source: string,
    seenMs: number,
    ticks: readonly number[],
    nowMs: number,
  ): Tick | undefined {
    try {
      const events = wanted(spec, ticks, nowMs).map((atMs) => encodeTick(spec, source, atMs));
      this.#troubled.delete(spec.name);
      return { schedule: spec.name, seenMs, tickMs: ticks.at(-1)!, events };
    } catch (error) {
      this.#troubled.set(spec.name, nowMs + limits.tickRetryMs);
      this.at(nowMs + limits.tickRetryMs);
      this.#logger.error(`schedule ${spec.name} could not state its event; it is tried again in 10 s`, {
        schedule: spec.name,
        error: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    }
  }
}

/** The ticks in (after, to]; of very many the last ones. */
function ticksBetween(spec: ScheduleSpec, afterMs: number, toMs: number): number[] {
  const ticks: number[] = [];
  for (let at = spec.next(afterMs); at !== undefined && at <= toMs; at = spec.next(at)) {
    ticks.push(at);
    if (ticks.length > limits.ticksMax) ticks.shift();
  }
  return ticks;
}

/** Of the ticks that have come, those that are stated. */
function wanted({ missed }: ScheduleSpec, ticks: readonly number[], nowMs: number): readonly number[] {
  if (missed === "all") return ticks;
  const onTime = ticks.filter((atMs) => nowMs - atMs <= limits.tickLateMs);
  return onTime.length === 0 && missed === "once" ? ticks.slice(-1) : onTime;
}

function encodeTick(spec: ScheduleSpec, source: string, atMs: number): EncodedEvent {
  return encodeEvent(spec.event({ at: new Date(atMs) }), {
    source,
    nowMs: atMs,
    uuid: () => scheduledEventId(source, spec.name, atMs),
  });
}
