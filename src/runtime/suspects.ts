import type { EventLog } from "../engine/event-log.ts";
import type { SlotLease, SlotState } from "../engine/ledger.ts";

/**
 * One suspect at a time per process: what may have killed a process runs alone among its kind, so that a second death
 * charges it and nobody else.
 */
export class SuspectTurns {
  #current: object | undefined;
  readonly #waiting: { readonly who: object; readonly turn: () => void }[] = [];

  take(who: object, turn: () => void): void {
    if (this.#current !== undefined) {
      this.#waiting.push({ who, turn });
      return;
    }
    this.#current = who;
    turn();
  }
  /** This one is through; nothing happens where it was not its turn. */
  done(who: object): void {
    if (this.#current !== who) return;
    const next = this.#waiting.shift();
    this.#current = next?.who;
    next?.turn();
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
