import type { Delta, DeltaPort } from "../../engine/deltas.ts";

/** Those who listen on one store. */
export type Ears = Set<{ readonly port: DeltaPort; readonly hear: (delta: Delta) => void }>;

/** One process on the store. */
export class MemoryDeltas implements DeltaPort {
  readonly #ears: Ears;

  constructor(ears: Ears) {
    this.#ears = ears;
  }
  tell(deltas: readonly Delta[]): void {
    for (const { port, hear } of this.#ears) if (port !== this) for (const delta of deltas) hear(delta);
  }
  listen(hear: (delta: Delta) => void): () => void {
    const ear = { port: this, hear };
    this.#ears.add(ear);
    return () => this.#ears.delete(ear);
  }
}
