import type { Engine } from "../engine/engine.ts";
import type { Env, Timer } from "../env.ts";
import { FactlogError, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { auditEvent } from "./audit.ts";
import { moveEntry } from "./move-entry.ts";
import { type Counted, isOn, type OutageState } from "./outage-state.ts";
import type { SharedStore } from "./store.ts";

/** What of one subscription stands still. */
export interface Paused {
  /** The whole of it. */
  readonly all: boolean;
  readonly keys: ReadonlySet<string>;
  /** It stands still by itself: what it depends on is down. */
  readonly outage: OutageState | undefined;
}
export const notPaused: Paused = { all: false, keys: new Set(), outage: undefined };

const kind = "pause";
interface Stored {
  readonly sub: number;
  readonly key?: string;
  readonly sinceMs: number;
}
type StoredOutage = { readonly sub: number; readonly outage: OutageState | Counted };
const nameOf = (sub: number, key: string | undefined): string => (key === undefined ? `${sub}` : `${sub}:${key}`);

/** What operators have paused, and what is down: entries of the register, looked at again and again by every process that works. */
export class Pauses {
  readonly #env: Env;
  readonly #engine: Engine;
  readonly #listeners = new Set<(paused: ReadonlyMap<number, Paused>) => void>();
  #timer: Timer | undefined;
  #fail: ((error: unknown) => void) | undefined;
  #asked = 0;
  #told = 0;

  constructor(env: Env, engine: Engine) {
    this.#env = env;
    this.#engine = engine;
  }

  /** By subscription; those of which nothing is paused are absent. Tells those who follow. */
  async look(): Promise<ReadonlyMap<number, Paused>> {
    const asked = ++this.#asked;
    const found = new Map<number, { all: boolean; keys: Set<string>; outage: OutageState | undefined }>();
    for (const { body } of await this.#engine.ledger.entries(kind)) {
      const stored = JSON.parse(body) as Stored | StoredOutage;
      const { sub } = stored;
      const one = found.get(sub) ?? { all: false, keys: new Set(), outage: undefined };
      const key = "key" in stored ? stored.key : undefined;
      if ("outage" in stored) one.outage = isOn(stored.outage) ? stored.outage : undefined;
      else if (key === undefined) one.all = true;
      else one.keys.add(key);
      found.set(sub, one);
    }
    // An answer that was overtaken tells nobody.
    if (asked > this.#told) {
      this.#told = asked;
      for (const listener of this.#listeners) listener(found);
    }
    return found;
  }

  /** `listener` hears what is paused, at most `limits.pausePollMs` late, until it is unfollowed. */
  follow(listener: (paused: ReadonlyMap<number, Paused>) => void, fail: (error: unknown) => void): void {
    this.#listeners.add(listener);
    this.#fail = fail;
    if (this.#timer === undefined) this.#later();
  }
  unfollow(listener: (paused: ReadonlyMap<number, Paused>) => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  #later(): void {
    this.#timer = this.#env.after(limits.pausePollMs, () => void this.#poll(), { upkeep: true });
  }
  async #poll(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      if (!mayPass(error) && this.#listeners.size > 0) this.#fail?.(error);
    }
    if (this.#listeners.size > 0) this.#later();
  }

  /** Whether anything changed: it may have been so already. */
  async set(source: string, name: string, key: string | undefined, isPaused: boolean): Promise<boolean> {
    const subscription = (await this.#engine.ledger.tally()).find(
      (each) => each.name === name && each.state !== "retired",
    );
    if (subscription === undefined)
      throw new FactlogError("NOT_FOUND", `this log has no subscription ${name}: see \`factlog status\`.`, {
        details: { subscription: name },
      });
    if (key !== undefined && subscription.definition.order !== "key")
      throw new FactlogError(
        "INVALID_OPTION",
        `${name} does not order by key (order: "${subscription.definition.order}"): pause the whole subscription.`,
        { details: { subscription: name } },
      );
    const { sub } = subscription;
    const facts = { subscription: name, ...(key === undefined ? {} : { key }) };
    const moved = await moveEntry(this.#engine.ledger, kind, nameOf(sub, key), (seen, all) => {
      if ((seen !== undefined) === isPaused) return undefined;
      if (isPaused && all.length >= limits.pausesMax)
        throw new FactlogError("INVALID_OPTION", `${limits.pausesMax} pauses are in force, and there may be no more.`);
      const stored: Stored = { sub, ...(key === undefined ? {} : { key }), sinceMs: this.#env.now() };
      return {
        body: isPaused ? JSON.stringify(stored) : undefined,
        events: [auditEvent(this.#env, source, isPaused ? "paused" : "resumed", facts)],
      };
    });
    if (moved) await this.look();
    return moved;
  }
}

const partName = "pauses";

/** The pauses of a store: who sets one and who works in this process share them. */
export function pausesOf(store: SharedStore): Pauses {
  const known = (store.parts.get(partName) as Pauses | undefined) ?? new Pauses(store.env, store.engine);
  store.parts.set(partName, known);
  return known;
}
