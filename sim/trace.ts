/** A running hash over all that happened: two runs of one seed are the same if, and only if, their hashes are. */
export class Trace {
  #high = 0x9e3779b9;
  #low = 0x85ebca6b;
  steps = 0;

  number(value: number): void {
    this.#mix(value | 0);
    if (value !== (value | 0)) this.#mix(Math.floor(value / 2 ** 16) | 0);
  }
  text(value: string): void {
    this.#mix(value.length);
    for (let i = 0; i < value.length; i++) this.#mix(value.charCodeAt(i));
  }
  /** Any plain value. What a thrown value looks like (paths, stacks) is left out. */
  value(value: unknown): void {
    if (typeof value === "number") return this.number(value);
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return this.text(typeof value);
    if (Array.isArray(value)) {
      this.#mix(value.length);
      for (const item of value) this.value(item);
      return;
    }
    if (value instanceof Map) return this.value([...value]);
    for (const [name, item] of Object.entries(value)) {
      if (name === "error" || name === "fingerprint") continue;
      this.text(name);
      this.value(item);
    }
  }
  get hash(): string {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }

  #mix(word: number): void {
    this.#high = Math.imul(this.#high ^ word, 0x01000193);
    this.#low = Math.imul((this.#low << 5) ^ (this.#low >>> 2) ^ word, 0x9e3779b1) + this.#high;
  }
}
