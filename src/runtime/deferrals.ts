import type { Timer } from "../env.ts";
import { mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Runner } from "./runner.ts";
import type { Attempt } from "./handle.ts";
import { type Delivery, groupOf, type Lane } from "./slot-work.ts";

/**
 * Keeps one group from filling the read-ahead: where what was read has not become less for a while, events of a group beyond its
 * share get a row that waits for the group's turn ("deferred"), so that reading goes on and comes to the events of others. What
 * comes later of such a group is deferred as well, until its rows are through: the older goes before the newer.
 */
export class Deferrals {
  readonly #runner: Runner;
  /** Groups of which rows may be deferred in the slots held here. */
  readonly #groups = new Map<string, Known>();
  readonly #takesTurns: boolean;
  #timer: Timer | undefined;
  #pressed = false;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(runner: Runner, takesTurns: boolean) {
    this.#runner = runner;
    this.#takesTurns = takesTurns;
  }
  /** More is read than has its place in the read-ahead. */
  get isPressed(): boolean {
    return this.#pressed;
  }
  get any(): boolean {
    return this.#groups.size > 0;
  }
  /** No row is deferred here that may have its turn. */
  get idle(): boolean {
    if (this.#looking !== undefined) return false;
    for (const group of this.#groups.keys()) if (!this.#runner.standing.isGroupPaused(group)) return false;
    return true;
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  // ── when ──
  /** The reader stands still because enough is read. */
  full(): void {
    if (!this.#takesTurns || this.#pressed || this.#stopped || this.#timer !== undefined) return;
    this.#timer = this.#runner.world.env.after(limits.deferAfterMs, () => {
      this.#timer = undefined;
      this.#pressed = true;
      this.#runner.reader.wake();
    });
  }
  /** There is room for what was left unread. */
  relieved(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#pressed = false;
  }
  /** Of what waits to be started, so much may be of one group. */
  get #share(): number {
    const groups = Math.max(1, this.#runner.lanes.groups);
    const even = Math.floor(limits.readAheadMax / (groups + 1));
    return Math.max(limits.groupShareMin, Math.min(limits.groupShareMax, even));
  }
  #isBeyond(group: string): boolean {
    const { lanes, standing } = this.#runner;
    if (this.#groups.has(group) || standing.isGroupPaused(group)) return true;
    if (!this.#pressed) return false;
    return lanes.waitingOf(group) >= this.#share || lanes.waiting >= 2 * limits.readAheadMax;
  }

  // ── in ──
  /** An event that was just read is beyond its group's share, and gets a row; else it goes to its lane. */
  takes(delivery: Delivery): boolean {
    const mayBeBeyond = this.#takesTurns || this.#groups.size > 0 || this.#runner.standing.pausesGroups;
    if (!mayBeBeyond || !this.#isBeyond(groupOf(delivery))) return false;
    const lane = delivery.key === undefined ? undefined : delivery.slot.lanes.get(delivery.key);
    if (lane !== undefined && !this.#empty(lane)) return false;
    this.#runner.settlements.defer(delivery);
    return true;
  }
  /**
   * A later event of a key gets a row only where what came before it is closed or has one: what waits in its lane gets one too,
   * and so does what runs. False where that cannot be.
   */
  #empty(lane: Lane): boolean {
    const { attempts, settlements, lanes, due } = this.#runner;
    const { current } = lane;
    if (current !== undefined && current.row === undefined && !current.settled) {
      const runs = [...attempts].some((attempt) => attempt.delivery === current && isPlain(attempt));
      if (!runs || settlements.isBecomingRow(current)) return false;
      settlements.detach(current);
    }
    for (const waiting of lanes.clear(lane)) {
      if (waiting.row === undefined) settlements.defer(waiting);
      else due.forget(waiting);
    }
    return true;
  }
  /** Whether a row that is due is beyond its group's share: the due rows of others are not to wait for it. */
  isRowBeyond(delivery: Delivery): boolean {
    if (!this.#takesTurns || delivery.isDeferred === true || delivery.crashes > 0) return false;
    return this.#runner.lanes.waitingOf(groupOf(delivery)) * 2 >= this.#share;
  }
  /** A row of this group is being deferred. */
  inserted(group: string): void {
    this.#known(group).unrecorded++;
  }
  /** It is, or never will be. */
  recorded(group: string): void {
    const known = this.#known(group);
    known.unrecorded = Math.max(0, known.unrecorded - 1);
  }
  /** There may be rows of these groups. */
  remember(groups: Iterable<string>): void {
    for (const group of groups) this.#known(group);
  }
  #known(group: string): Known {
    const known = this.#groups.get(group) ?? { unrecorded: 0, news: 0 };
    known.news++;
    this.#groups.set(group, known);
    return known;
  }

  // ── out ──
  /** Brings rows of groups that have room for them; several calls are one. */
  look(): void {
    if (this.#groups.size === 0) return;
    if (this.#looking !== undefined) {
      this.#again = true;
      return;
    }
    const group = this.#next();
    if (group === undefined) return;
    this.#again = true;
    this.#looking = this.#bring(group)
      .catch((error: unknown) => {
        // A busy store is asked again with what ends next.
        this.#again = false;
        if (!mayPass(error) && !this.#stopped) this.#runner.world.fail(error);
      })
      .finally(() => {
        this.#looking = undefined;
        if (this.#again) this.look();
      });
  }
  /** Resolves when nothing is brought any more. */
  async lookNow(): Promise<void> {
    this.look();
    while (this.#looking !== undefined) await this.#looking;
  }
  /** In turn: one of which few wait to be started. */
  #next(): string | undefined {
    const { lanes, standing, mayStart } = this.#runner;
    if (this.#stopped || !mayStart || lanes.waiting >= limits.readAheadMax) return undefined;
    let left: number = limits.groupsLookedAt;
    for (const group of this.#groups.keys()) {
      if (left-- === 0) break;
      this.#toTheEnd(group);
      if (!standing.isGroupPaused(group) && lanes.waitingOf(group) * 2 < this.#share) return group;
    }
    return undefined;
  }
  #toTheEnd(group: string): void {
    const known = this.#groups.get(group) as Known;
    this.#groups.delete(group);
    this.#groups.set(group, known);
  }
  async #bring(group: string): Promise<void> {
    const { world, slots, due } = this.#runner;
    const leases = [...slots.values()].flatMap((slot) => (slot.leaving ? [] : [slot.lease]));
    const limit = this.#share + due.active;
    const known = this.#groups.get(group) as Known;
    const { unrecorded, news } = known;
    const rows = await world.ledger.deliveries({ kind: "deferred", slots: leases, group, limit });
    const brought = await due.bring(rows);
    // All there are were found; those that cannot start after all are remembered by who finds that.
    if (rows.length < limit && unrecorded === 0 && known.news === news) this.#groups.delete(group);
    else if (brought === 0) this.#again = false;
  }
}

interface Known {
  /** Its rows that are on their way. */
  unrecorded: number;
  /** Grows with all that is heard of it. */
  news: number;
}

/** A row may be made of what it runs. */
const isPlain = ({ told, settling, party }: Attempt): boolean => !told && !settling && party === undefined;
