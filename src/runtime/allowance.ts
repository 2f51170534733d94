import type { Entry } from "../engine/register.ts";
import type { Timer } from "../env.ts";
import { mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { allot, type Answer, type Ask, type Limit } from "./allotment.ts";
import { isForgotten, type Place, readAllotment } from "./limit-entries.ts";
import { moveEntry } from "./move-entry.ts";
import type { RunnerWorld } from "./runner-world.ts";

/** What an allowance is for. */
interface Purpose {
  readonly world: RunnerWorld;
  readonly place: () => Place;
  readonly limit: Limit;
  /** How many deliveries could start now, were they allowed to. */
  readonly demand: () => number;
  /** More is allowed than before. */
  readonly granted: () => void;
}

/**
 * A process's part in one limit over all processes. It takes places and starts in the register, several at one time, and keeps
 * places while it has use for them, so that most deliveries begin without a look there. Where others wait, it gives back what is
 * beyond its fair part when its turn is over; what a dead session holds is nobody's.
 */
export class Allowance {
  readonly #for: Purpose;
  #session = 0;
  #held = 0;
  /** No more than these are used: the others are to go back. */
  #mayUse = Number.POSITIVE_INFINITY;
  #used = 0;
  #starts = 0;
  #startsUntilMs = 0;
  #turnMs = 0;
  #busyMs = 0;
  #contested = false;
  #asking: Promise<void> | undefined;
  #again = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(purpose: Purpose) {
    this.#for = purpose;
  }

  /** How many may start now. */
  get free(): number {
    const { concurrency, rate } = this.#for.limit;
    const places = concurrency === undefined ? Infinity : Math.min(this.#held, this.#mayUse) - this.#used;
    if (rate === undefined) return places;
    return Math.min(places, this.#startsLeft);
  }
  /** What was drawn and not used soon is lost: later it would come on top of what is drawn then. */
  get #startsLeft(): number {
    return this.#for.world.env.monotonic() < this.#startsUntilMs ? this.#starts : 0;
  }
  /** Nothing of it is held here. */
  get isIdle(): boolean {
    return this.#used === 0 && this.#held === 0 && this.#asking === undefined && this.#timer === undefined;
  }
  get isAsking(): boolean {
    return this.#asking !== undefined;
  }
  take(): void {
    this.#used++;
    this.#starts--;
    this.#busyMs = this.#for.world.env.monotonic();
  }
  release(): void {
    this.#used--;
    this.#busyMs = this.#for.world.env.monotonic();
    if (this.#held > this.#mayUse && this.#used >= this.#mayUse) this.ask();
    else if (this.#timer === undefined && this.#asking === undefined) this.#later(limits.limitLookMs);
  }
  /** Asks for what is wanted here; several calls are one. */
  ask(): void {
    if (this.#stopped) return;
    if (this.#asking !== undefined) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#asking = this.#rounds().finally(() => {
      this.#asking = undefined;
      if (this.#again) this.ask();
    });
  }
  /** Asks, unless it has asked and waits. What is under way may not know of it. */
  want(): void {
    if (this.#timer === undefined) this.ask();
  }
  /** Gives all back that is not used. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#asking;
    if (this.#held > 0) await this.#round().catch(() => undefined);
  }

  async #rounds(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#round();
      } while (this.#again && !this.#stopped);
    } catch (error) {
      if (this.#stopped) return;
      if (!mayPass(error)) return this.#for.world.fail(error);
      this.#later(limits.limitLookMs);
    }
  }
  async #round(): Promise<void> {
    const { world, limit } = this.#for;
    const { kind, name } = this.#for.place();
    const session = world.session();
    // It was taken for dead: what it held is free already.
    if (session !== this.#session) this.#held = 0;
    this.#session = session;
    const demand = this.#stopped ? 0 : this.#for.demand();
    const give = this.#surplus(demand);
    const places = limit.concurrency === undefined ? 0 : Math.max(0, demand - (this.#held - give - this.#used));
    const starts = limit.rate === undefined ? 0 : Math.max(0, demand - this.#startsLeft);
    if (give === 0 && places === 0 && starts === 0 && this.#held === 0) return;
    this.#held -= give;
    let answer: Answer | undefined;
    let old: readonly Entry[] = [];
    await moveEntry(world.ledger, kind, name, (seen, all) => {
      old = all;
      const kept = readAllotment(seen);
      const ask: Ask = { session, give, places, starts, nowMs: world.env.now(), isGone: world.isGone };
      answer = allot(limit, kept, ask);
      const body = answer.next === undefined ? undefined : JSON.stringify(answer.next);
      return body === seen ? undefined : { body, events: [] };
    });
    this.#hear(answer!, demand);
    await this.#forget(old.filter((entry) => entry.name !== name));
  }
  /** Groups come and go: of what nobody uses any more, one is removed each time. */
  async #forget(entries: readonly Entry[]): Promise<void> {
    const { world, place } = this.#for;
    const entry = entries[Math.floor(world.env.random() * entries.length)];
    const { kind } = place();
    if (entry === undefined || !isForgotten(readAllotment(entry.body)!, world.env.now(), world.isGone)) return;
    await world.ledger.enter({ kind, name: entry.name, seen: entry.body, body: undefined, events: [] });
  }
  /** Places that are of no use here, or beyond its part when its turn is over. */
  #surplus(demand: number): number {
    const nowMs = this.#for.world.env.monotonic();
    const beyond = this.#held - Math.max(this.#used, Math.min(this.#held, this.#mayUse));
    const unused = this.#held - this.#used - Math.max(0, demand);
    const keeps = !this.#contested && !this.#stopped && nowMs - this.#busyMs < limits.limitKeepMs;
    return Math.max(0, beyond, keeps ? 0 : Math.min(unused, this.#held - this.#used));
  }
  #hear({ held, starts, nextMs, contested, parties }: Answer, demand: number): void {
    const { world, limit, granted } = this.#for;
    const nowMs = world.env.monotonic();
    if (held > this.#held || held === 0) this.#turnMs = nowMs;
    this.#held = held;
    this.#contested = contested;
    if (limit.rate !== undefined && starts > 0) {
      this.#starts = this.#startsLeft + starts;
      this.#startsUntilMs = nowMs + limits.limitStartsMs;
    }
    const isOver = contested && nowMs - this.#turnMs >= limits.limitTurnMs;
    this.#mayUse = isOver ? Math.floor((limit.concurrency ?? 0) / parties) : Number.POSITIVE_INFINITY;
    if (this.#stopped) return;
    const rateMs = nextMs === undefined ? Infinity : nextMs - world.env.now();
    const lookMs = held > 0 || this.#held - this.#used < demand ? limits.limitLookMs : Infinity;
    const delayMs = Math.min(limit.concurrency === undefined ? Infinity : lookMs, rateMs);
    if (Number.isFinite(delayMs)) this.#later(Math.max(1, delayMs));
    if (this.free > 0) granted();
  }
  #later(delayMs: number): void {
    this.#timer?.cancel();
    const upkeep = this.#for.demand() === 0;
    const again = (): void => {
      this.#timer = undefined;
      this.ask();
    };
    this.#timer = this.#for.world.env.after(delayMs, again, { upkeep });
  }
}
