import type { SubscriptionState } from "../engine/ledger.ts";
import { notPaused, type Paused } from "./pauses.ts";
import type { Runner } from "./runner.ts";
import { type Delivery, groupOf } from "./slot-work.ts";

/** Whether a subscription may go on: what its dead letters, its deployment and operators say. */
export class Standing {
  readonly #runner: Runner;
  /** Until an operator acts (`onExhausted: "stop"`), or for a newer deployment. */
  #stopped = false;
  #paused: Paused = notPaused;

  constructor(runner: Runner) {
    this.#runner = runner;
  }
  /** Nothing is read and nothing starts. */
  get halted(): boolean {
    return this.#stopped || this.#paused.all;
  }
  /** Its later events wait for an operator's word. */
  isPaused(key: string | undefined): boolean {
    return key !== undefined && this.#paused.keys.has(key);
  }

  get pausesGroups(): boolean {
    return this.#paused.groups.size > 0;
  }
  isGroupPaused(group: string): boolean {
    return this.#paused.groups.has(group);
  }

  /** Stands still until the lease round hears that an operator has acted. */
  halt(): void {
    this.#stopped = true;
    const { spec, world } = this.#runner;
    world.logger.error(`${spec.name} has stopped: a dead letter under onExhausted "stop". Redrive or discard it.`, {});
  }
  /** What the ledger says of the subscription. */
  stateIs(state: SubscriptionState): void {
    const before = this.halted;
    this.#stopped = state !== "active";
    this.#goOn(before);
  }
  /** What operators say of it. */
  pausedIs(paused: Paused): void {
    const before = this.halted;
    const resumed = [...this.#paused.keys].filter((key) => !paused.keys.has(key));
    this.#paused = paused;
    this.#runner.outage.heard(paused.outage);
    this.#goOn(before);
    if (resumed.length > 0) this.#runner.due.unpark(resumed);
    this.#runner.deferrals.look();
  }
  #goOn(before: boolean): void {
    if (!before || this.halted) return;
    this.#runner.reader.wake();
    this.#runner.due.look();
    this.#runner.pump();
  }

  /** A delivery of a paused key or group gets a row, or keeps it, instead of running; what comes behind it is held. */
  parks(delivery: Delivery): boolean {
    if (delivery.foretold !== undefined) return false;
    const { settlements, due } = this.#runner;
    const inRow = delivery.row !== undefined;
    if (this.isGroupPaused(groupOf(delivery))) {
      if (inRow) due.defer(delivery);
      else settlements.deferStarted(delivery);
    } else if (this.isPaused(delivery.key)) {
      if (inRow) due.park(delivery);
      else settlements.park(delivery);
    } else return false;
    return true;
  }
}
