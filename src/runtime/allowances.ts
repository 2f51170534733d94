import { limits } from "../limits.ts";
import { Allowance } from "./allowance.ts";
import type { Limit } from "./allotment.ts";
import { placeOf, placeOfGroup } from "./limit-entries.ts";
import type { Runner } from "./runner.ts";
import { type Delivery, groupOf } from "./slot-work.ts";

/** What may start of a subscription by its `limits`, which hold over all processes. Without any it costs nothing. */
export class Allowances {
  readonly #runner: Runner;
  readonly #total: Allowance | undefined;
  readonly #perGroup: Limit | undefined;
  readonly #groups = new Map<string, Allowance>();
  readonly #taken = new Set<Delivery>();

  constructor(runner: Runner) {
    const { concurrency, rate, perGroup } = runner.spec.limits ?? {};
    this.#runner = runner;
    this.#perGroup = perGroup;
    if (concurrency === undefined && rate === undefined) return;
    this.#total = new Allowance({
      world: runner.world,
      place: () => placeOf(runner.enrolment.sub),
      limit: { concurrency, rate },
      demand: () => Math.min(runner.places, runner.lanes.readyLanes),
      granted: () => runner.pump(),
    });
  }

  /** How many more may start here now. */
  get room(): number {
    return this.#total === undefined ? Number.POSITIVE_INFINITY : Math.max(0, this.#total.free);
  }
  /** Whether one of this group may start now; else it asks for that. */
  mayStart(group: string): boolean {
    if (this.#perGroup === undefined || group === "") return true;
    const allowance = this.#of(group, this.#perGroup);
    if (allowance.free > 0) return true;
    allowance.want();
    return false;
  }
  #of(group: string, limit: Limit): Allowance {
    const known = this.#groups.get(group);
    if (known !== undefined) return known;
    if (this.#groups.size >= limits.limitGroupsKept) this.#forget();
    const runner = this.#runner;
    const made = new Allowance({
      world: runner.world,
      place: () => placeOfGroup(runner.enrolment.sub, group),
      limit,
      demand: () => this.#demandOf(group),
      granted: () => {
        runner.lanes.unblock(group);
        runner.pump();
      },
    });
    this.#groups.set(group, made);
    return made;
  }
  /** Where no place is free here nothing is asked for: the group asks again when its turn comes and one is. */
  #demandOf(group: string): number {
    const { places, lanes } = this.#runner;
    if (places === 0) lanes.unblock(group);
    return Math.min(places, lanes.readyOf(group));
  }
  #forget(): void {
    for (const [group, allowance] of this.#groups) if (allowance.isIdle) this.#groups.delete(group);
  }

  started(delivery: Delivery): void {
    if (this.#total === undefined && this.#perGroup === undefined) return;
    this.#taken.add(delivery);
    this.#total?.take();
    this.#groups.get(groupOf(delivery))?.take();
  }
  /** It does not run, or no more; one that was given up may run on, and is not waited for. Idempotent. */
  ended(delivery: Delivery): void {
    if (this.#taken.size === 0 || !this.#taken.delete(delivery)) return;
    this.#total?.release();
    const group = groupOf(delivery);
    const ofGroup = this.#groups.get(group);
    ofGroup?.release();
    if (ofGroup !== undefined && ofGroup.free > 0) this.#runner.lanes.unblock(group);
  }
  /** What could start was started: asks where the limit is in the way. */
  pumped(): void {
    if (this.#total === undefined || this.#total.free > 0) return;
    if (this.#runner.places > 0 && this.#runner.lanes.ready) this.#total.want();
  }
  /** What waits here waits for a limit: nobody is being asked. */
  get stand(): boolean {
    if (this.#total === undefined && this.#perGroup === undefined) return false;
    if (this.#total?.isAsking === true) return false;
    for (const allowance of this.#groups.values()) if (allowance.isAsking) return false;
    return !this.#runner.lanes.ready || this.room === 0;
  }
  /** Gives back all that is not used. */
  async leave(): Promise<void> {
    const all = [...this.#groups.values(), ...(this.#total === undefined ? [] : [this.#total])];
    await Promise.all(all.map((each) => each.leave()));
  }
}
