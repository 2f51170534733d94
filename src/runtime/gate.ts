/** A door at which one loop waits: `open` lets it through once, also when it comes later. */
export class Gate {
  #open = false;
  #waiting: (() => void) | undefined;

  open(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#open = true;
      return;
    }
    this.#waiting = undefined;
    waiting();
  }
  /** Resolves at once when `open` was called since the last passage. One waiter at a time. */
  pass(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
