import type { EventLog } from "../engine/event-log.ts";
import type { Ledger } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import { hasCode, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";

/** How far all awaited facts have been told to those who wait, as the tick of a schedule of ours. */
export const signalsName = "factlog.signals";

/**
 * Tells deliveries that wait for facts of the facts that came. Every working process does it; telling twice is harmless.
 *
 * No fact falls between: the head is taken first, then the types that are awaited, and only facts up to that head are
 * read. Whoever begins to wait later than that looks himself, from then on, at all that the log holds.
 */
export class Signals {
  readonly #env: Env;
  readonly #log: EventLog;
  readonly #ledger: Ledger;
  readonly #told: () => void;
  readonly #stopped = new AbortController();
  #nap = new AbortController();
  #active = false;
  /** Somebody began to wait since the last look at what is awaited began. */
  #asked = false;
  #checkedMs = Number.NEGATIVE_INFINITY;
  readonly #running: Promise<void>;

  constructor(world: {
    readonly env: Env;
    readonly log: EventLog;
    readonly ledger: Ledger;
    /** Deliveries are due. */
    told(): void;
    fail(error: unknown): void;
  }) {
    this.#env = world.env;
    this.#log = world.log;
    this.#ledger = world.ledger;
    this.#told = () => world.told();
    this.#running = this.#run().catch((error: unknown) => world.fail(error));
  }

  /** Somebody here waits for facts. */
  awaiting(): void {
    this.#asked = true;
    if (this.#active) return;
    this.#active = true;
    this.#nap.abort();
  }
  /** Something was appended. */
  wake(): void {
    if (this.#active) this.#nap.abort();
  }
  /** Tells of all that is there. Answers how many deliveries heard something. */
  async settle(): Promise<number> {
    return this.#active || (await this.#isAwaited()) ? this.#tell() : 0;
  }
  stop(): Promise<void> {
    this.#stopped.abort();
    this.#nap.abort();
    return this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#nap = new AbortController();
      try {
        if (this.#active || (await this.#isAwaited())) await this.#tell();
      } catch (error) {
        if (!mayPass(error) && !hasCode(error, "OUTCOME_UNKNOWN") && !hasCode(error, "STORE_UNREACHABLE")) throw error;
      }
      await new Promise<void>((resolve) => {
        const timer = this.#env.after(this.#active ? limits.wakeMaxMs : limits.duePollMs, resolve, { upkeep: true });
        const woken = (): void => {
          timer.cancel();
          resolve();
        };
        if (this.#nap.signal.aborted || this.#stopped.signal.aborted) woken();
        else this.#nap.signal.addEventListener("abort", woken, { once: true });
      });
    }
  }
  /** Processes that wait for nothing look now and then whether others do: they may have to go on for them. */
  async #isAwaited(): Promise<boolean> {
    if (this.#env.monotonic() - this.#checkedMs < limits.duePollMs) return false;
    this.#checkedMs = this.#env.monotonic();
    return (await this.#ledger.awaited()).length > 0;
  }

  async #tell(): Promise<number> {
    this.#asked = false;
    const head = Math.max(0, ...(await this.#log.count([])).heads.values());
    const types = await this.#ledger.awaited();
    const seen = await this.#ledger.ticked(signalsName);
    this.#active = types.length > 0 || this.#asked;
    const from = seen ?? 0;
    let told = 0;
    if (types.length > 0 && from < head) told = await this.#tellBetween(new Set(types), from, head);
    if (told > 0) this.#told();
    if (from < head) await this.#ledger.tick({ schedule: signalsName, seenMs: seen, tickMs: head, events: [] });
    return told;
  }
  async #tellBetween(types: ReadonlySet<string>, from: number, head: number): Promise<number> {
    const { slots } = this.#log.capabilities;
    let told = 0;
    for (let at = from; at < head;) {
      const after = new Map(Array.from({ length: slots }, (_, slot) => [slot, at]));
      const page = await this.#log.read({ after, types, limit: limits.pageEvents, scanMax: limits.scanMax });
      for (const { type, key, position } of page.events) {
        if (key === undefined || position > head) continue;
        told += await this.#ledger.signal({ type, key, position });
      }
      at = Math.min(...page.scannedTo.values());
      if (page.atHead) break;
      if (this.#stopped.signal.aborted) return told;
    }
    return told;
  }
}
