/** A queue in a ring: O(1) push, unshift and shift, and no garbage while it keeps its size. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }
  /** What `shift` would give. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }
  push(item: T): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#size++) & (this.#items.length - 1)] = item;
  }
  /** Puts an item back where `shift` took it from. */
  unshift(item: T): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#items.length - 1);
    this.#items[this.#head] = item;
    this.#size++;
  }
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#size--;
    return item;
  }
  /** Takes everything out, in order. */
  drain(): T[] {
    const rest = [...this];
    this.#items = [];
    this.#head = 0;
    this.#size = 0;
    return rest;
  }
  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#size; i++) yield this.#items[(this.#head + i) & (this.#items.length - 1)] as T;
  }
  /** Lengths are powers of two. */
  #grow(): void {
    const { length } = this.#items;
    if (length === 0) {
      this.#items = [undefined, undefined, undefined, undefined];
      return;
    }
    const items = [...this.#items.slice(this.#head), ...this.#items.slice(0, this.#head)];
    for (let i = 0; i < length; i++) items.push(undefined);
    this.#items = items;
    this.#head = 0;
  }
}
