import type { Logger } from "../app/context.ts";
import { limits } from "../limits.ts";

/** At the bound of held rows a subscription reads no further, loudly. */
export class HeldBound {
  readonly #world: { readonly logger: Logger };
  readonly #name: string;
  readonly #under: () => void;
  reached = false;

  /** `under`: it may read again. */
  constructor(world: { readonly logger: Logger }, name: string, under: () => void) {
    this.#world = world;
    this.#name = name;
    this.#under = under;
  }
  is(held: number): void {
    const tooMany = held >= limits.heldMax;
    if (tooMany === this.reached) return;
    this.reached = tooMany;
    if (!tooMany) return this.#under();
    const message = `${this.#name} reads no further: ${held} events wait behind failing ones or for the turn of their group. Redrive or discard its dead letters, resume what is paused, or start more workers.`;
    this.#world.logger.error(message, { subscription: this.#name, held });
  }
}
