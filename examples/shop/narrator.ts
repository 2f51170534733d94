/** Tells people what happens: lines, and on a terminal a last line that changes. */
import type { Counts } from "./calls.ts";

export class Narrator {
  readonly #out: NodeJS.WriteStream;
  readonly #startedMs = performance.now();
  #shown = "";
  #tenth = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }
  get seconds(): number {
    return Math.round(performance.now() - this.#startedMs) / 1000;
  }

  say(text: string): void {
    this.#clear();
    this.#out.write(`${this.seconds.toFixed(1).padStart(6)} s  ${text}\n`);
  }
  /** On a terminal the last line is kept up to date; elsewhere there is a line every tenth of the way. */
  progress(counts: Counts, orders: number): void {
    const text = `charged ${n(counts.charge)}, reserved ${n(counts.reserve)}, shipped ${n(counts.ship)}, mailed ${n(counts.mail)} of ${n(orders)}`;
    const tenth = Math.floor((counts.mail / orders) * 10);
    if (this.#out.isTTY) {
      this.#clear();
      this.#shown = `          ${text}`;
      this.#out.write(this.#shown);
    } else if (tenth > this.#tenth && tenth < 10) {
      this.#tenth = tenth;
      this.say(text);
    }
  }
  #clear(): void {
    if (this.#shown !== "") this.#out.write("\r\x1b[K");
    this.#shown = "";
  }
}

/** 69659 -> "69,659" */
export const n = (count: number): string => count.toLocaleString("en-US");
