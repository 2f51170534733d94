import type { EventLog } from "../engine/event-log.ts";
import type { SlotLease, SlotState } from "../engine/ledger.ts";
import type { Env, Timer } from "../env.ts";
import { limits } from "../limits.ts";
import { Fifo } from "./fifo.ts";

/**
 * One suspect at a time per process: what may have killed a process runs alone among its kind, so that a second death
 * charges it and hardly anybody else. A turn ends with its delivery, or when that has lived for `limits.suspectTurnMs`:
 * what kills a process does so soon, and the others should not wait for a slow handler.
 */
export class SuspectTurns {
  readonly #env: Env;
  #current: object | undefined;
  #timer: Timer | undefined;
  readonly #waiting = new Fifo<{ readonly who: object; readonly turn: () => void }>();

  constructor(env: Env) {
    this.#env = env;
  }
  /** `first`: a session has died while it ran, so it is the likeliest of all. */
  take(who: object, turn: () => void, first = false): void {
    if (this.#current === undefined) this.#begin(who, turn);
    else if (first) this.#waiting.unshift({ who, turn });
    else this.#waiting.push({ who, turn });
  }
  /** This one is through; nothing happens where it was not its turn. */
  done(who: object): void {
    if (this.#current !== who) return;
    this.#timer?.cancel();
    this.#current = undefined;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#begin(next.who, next.turn);
  }
  stop(): void {
    this.#timer?.cancel();
  }
  #begin(who: object, turn: () => void): void {
    this.#current = who;
    this.#timer = this.#env.after(limits.suspectTurnMs, () => this.done(who));
    turn();
  }
}

/**
 * Slots as they were loaded, with no suspicion beyond the head: a claim runs ahead of it, but what was appended after a
 * session died was not running there.
 */
export async function suspectingNoneToCome(
  log: EventLog,
  leases: readonly SlotLease[],
  states: readonly SlotState[],
): Promise<readonly SlotState[]> {
  if (states.every((state) => state.suspect <= state.low)) return states;
  const { heads } = await log.count([]);
  return states.map((state, i) => ({
    ...state,
    suspect: Math.min(state.suspect, heads.get(leases[i]?.slot ?? 0) ?? 0),
  }));
}
