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
  readonly groups: ReadonlySet<string>;
  /** It stands still by itself: what it depends on is down. */
  readonly outage: OutageState | undefined;
}
export const notPaused: Paused = { all: false, keys: new Set(), groups: new Set(), outage: undefined };

const kind = "pause";
interface Stored {
  readonly sub: number;
  readonly key?: string;
  readonly group?: string;
  readonly sinceMs: number;
}
/** What of a subscription an operator means: the whole of it where neither is said. */
export interface PauseOf {
  readonly key?: string;
  readonly group?: string;
}
type StoredOutage = { readonly sub: number; readonly outage: OutageState | Counted };
function nameOf(sub: number, { key, group }: PauseOf): string {
  if (group !== undefined) return `${sub}@${group}`;
  return key === undefined ? `${sub}` : `${sub}:${key}`;
}

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
    const found = new Map<number, Found>();
    for (const { body } of await this.#engine.ledger.entries(kind)) {
      const stored = JSON.parse(body) as Stored | StoredOutage;
      const { sub } = stored;
      const one = found.get(sub) ?? { all: false, keys: new Set(), groups: new Set(), outage: undefined };
      if ("outage" in stored) one.outage = isOn(stored.outage) ? stored.outage : undefined;
      else if (stored.group !== undefined) one.groups.add(stored.group);
      else if (stored.key !== undefined) one.keys.add(stored.key);
      else one.all = true;
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
  async set(source: string, name: string, of: PauseOf, isPaused: boolean): Promise<boolean> {
    const subscription = (await this.#engine.ledger.tally()).find(
      (each) => each.name === name && each.state !== "retired",
    );
    if (subscription === undefined)
      throw new FactlogError("NOT_FOUND", `this log has no subscription ${name}: see \`factlog status\`.`, {
        details: { subscription: name },
      });
    requirePausable(name, subscription.definition.order, of);
    const { sub } = subscription;
    const { key, group } = of;
    const only = { ...(key === undefined ? {} : { key }), ...(group === undefined ? {} : { group }) };
    const facts = { subscription: name, ...only };
    const moved = await moveEntry(this.#engine.ledger, kind, nameOf(sub, of), (seen, all) => {
      if ((seen !== undefined) === isPaused) return undefined;
      if (isPaused && all.length >= limits.pausesMax)
        throw new FactlogError("INVALID_OPTION", `${limits.pausesMax} pauses are in force, and there may be no more.`);
      const stored: Stored = { sub, ...only, sinceMs: this.#env.now() };
      return {
        body: isPaused ? JSON.stringify(stored) : undefined,
        events: [auditEvent(this.#env, source, isPaused ? "paused" : "resumed", facts)],
      };
    });
    if (moved) await this.look();
    return moved;
  }
}

interface Found {
  all: boolean;
  readonly keys: Set<string>;
  readonly groups: Set<string>;
  outage: OutageState | undefined;
}

function requirePausable(name: string, order: "key" | "none" | "log", { key, group }: PauseOf): void {
  const refuse = (why: string): FactlogError =>
    new FactlogError("INVALID_OPTION", `${name}: ${why}.`, { details: { subscription: name } });
  if (key !== undefined && group !== undefined) throw refuse("give a key or a group, not both");
  if (key !== undefined && order !== "key")
    throw refuse(`it does not order by key (order: "${order}"): pause a group of it, or the whole subscription`);
  if (group !== undefined && order === "log")
    throw refuse('order: "log" lets no group go before another: pause the whole subscription');
}

const partName = "pauses";

/** The pauses of a store: who sets one and who works in this process share them. */
export function pausesOf(store: SharedStore): Pauses {
  const known = (store.parts.get(partName) as Pauses | undefined) ?? new Pauses(store.env, store.engine);
  store.parts.set(partName, known);
  return known;
}
