import type { Timer } from "../env.ts";
import { type BatchDesk, handleBatch } from "./batch.ts";
import { Attempt } from "./handle.ts";
import type { Runner } from "./runner.ts";
import { type Delivery, groupOf } from "./slot-work.ts";

/**
 * Gathers deliveries whose turn it is until they are a batch: enough of them, or the first has waited for the others long
 * enough. What waits behind them in their lanes comes along.
 */
export class Batches {
  readonly #runner: Runner;
  readonly #desk: BatchDesk;
  readonly #max: number;
  readonly #lingerMs: number;
  #heads: Delivery[] = [];
  #timer: Timer | undefined;
  #ripe = false;

  constructor(runner: Runner, desk: BatchDesk, { max, lingerMs }: { readonly max: number; readonly lingerMs: number }) {
    this.#runner = runner;
    this.#desk = desk;
    this.#max = max;
    this.#lingerMs = lingerMs;
  }
  get size(): number {
    return this.#heads.length;
  }
  get isFull(): boolean {
    return this.#heads.length >= this.#max;
  }
  add(delivery: Delivery): void {
    this.#heads.push(delivery);
    if (this.#lingerMs === 0 || this.#timer !== undefined) return;
    this.#timer = this.#runner.world.env.after(this.#lingerMs, () => {
      this.#timer = undefined;
      this.#ripe = true;
      this.#runner.pump();
    });
  }
  /** Runs the batch, if there is one. `waiting`: how many deliveries wait in all lanes. */
  begin(waiting: number): boolean {
    const isReady = this.#lingerMs === 0 || this.#ripe || this.#heads.length + waiting >= this.#max;
    if (this.#heads.length === 0 || !isReady) return false;
    const heads = this.drop().filter((head) => {
      if (!head.slot.dropped && !head.slot.leaving) return true;
      this.#runner.advance(head);
      return false;
    });
    if (heads.length === 0) return true;
    const members = this.#withFollowers(heads).toSorted((one, other) => one.event.position - other.event.position);
    this.#runner.began(heads, members);
    this.run(heads, members);
    return true;
  }
  /** Their places in flight are taken. */
  run(heads: readonly Delivery[], members: readonly Delivery[]): void {
    const party = { left: heads.length };
    const startedMs = this.#runner.world.env.monotonic();
    const attempts = heads.map((head) => Object.assign(new Attempt(head, startedMs), { party }));
    for (const attempt of attempts) this.#runner.attempts.add(attempt);
    void handleBatch(this.#desk, { heads: attempts, members });
  }
  #withFollowers(heads: readonly Delivery[]): readonly Delivery[] {
    const members = [...heads];
    for (const head of heads) {
      for (const next of head.lane?.waiting ?? []) {
        if (members.length >= this.#max || !mayFollow(next)) break;
        if (this.#runner.standing.isGroupPaused(groupOf(next))) break;
        members.push(next);
      }
    }
    return members;
  }
  /** Gives them up: nothing of them has begun. */
  drop(): Delivery[] {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#ripe = false;
    return this.#heads.splice(0);
  }
}

/** Whether it may be handled in one batch with what stands before it in its lane. */
const mayFollow = ({ row, foretold, event, slot }: Delivery): boolean =>
  row === undefined && foretold === undefined && event.position <= slot.claim && event.position > slot.suspect;
