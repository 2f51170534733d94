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
