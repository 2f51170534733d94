import type { Logger } from "../app/context.ts";
import type { EventLog } from "../engine/event-log.ts";
import type { Definition, LeaseState, Ledger, SlotLease } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import { pause } from "../env.ts";
import { hasCode } from "../errors.ts";
import type { EncodedEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import type { Tenant } from "./session.ts";
import type { Settler } from "./settle.ts";

export const relayName = "factlog.relay";
export const relayDefinition: Definition = {
  types: [],
  order: "log",
  onExhausted: "stop",
  crashesMax: 1,
  slots: "one",
};

/**
 * Where log and ledger are two stores: carries what settles have emitted from the ledger's outbox into the log, in order,
 * by one process at a time. A crash in between appends again; readers drop the repeat by its identity.
 */
export class Relay implements Tenant {
  readonly sub: number;
  readonly gen: number;
  readonly revision: number;
  readonly slotCount = 1;
  readonly inFlight = 0;
  readonly #env: Env;
  readonly #log: EventLog;
  readonly #ledger: Ledger;
  readonly #settler: Settler;
  readonly #logger: Logger;
  readonly #fail: (error: unknown) => void;
  readonly #stopped = new AbortController();
  #lease: SlotLease | undefined;
  #leaving = false;
  #started = false;
  #nap: AbortController | undefined;

  constructor(
    world: {
      readonly env: Env;
      readonly log: EventLog;
      readonly ledger: Ledger;
      readonly settler: Settler;
      readonly logger: Logger;
      fail(error: unknown): void;
    },
    enrolled: { readonly sub: number; readonly gen: number; readonly revision: number },
  ) {
    this.#env = world.env;
    this.#log = world.log;
    this.#ledger = world.ledger;
    this.#settler = world.settler;
    this.#logger = world.logger;
    this.#fail = (error) => world.fail(error);
    this.sub = enrolled.sub;
    this.gen = enrolled.gen;
    this.revision = enrolled.revision;
  }

  async hold(leases: readonly SlotLease[]): Promise<void> {
    this.#lease = leases[0];
    if (this.#lease === undefined) this.#leaving = false;
    if (this.#started) return;
    this.#started = true;
    this.#run().catch((error: unknown) => this.#fail(error));
  }
  disown(): Promise<void> {
    return this.hold([]);
  }
  shrinkTo(count: number): void {
    if (count === 0 && this.#lease !== undefined) this.#leaving = true;
  }
  returnable(): readonly { readonly lease: SlotLease; drop(): void }[] {
    if (!this.#leaving || this.#lease === undefined) return [];
    return [{ lease: this.#lease, drop: () => void (this.#lease = undefined) }];
  }
  heard(_news: LeaseState["subscriptions"][number], _served: boolean): void {}
  /** Something was put into the outbox. */
  wake(): void {
    this.#nap?.abort();
  }
  stop(): void {
    this.#stopped.abort();
    this.#nap?.abort();
  }
  /** Carries all that waits now. Answers how much it was. */
  async carry(): Promise<number> {
    let carried = 0;
    for (;;) {
      const lease = this.#lease;
      if (lease === undefined || this.#leaving) return carried;
      const rows = await this.#ledger.outbox(limits.pageEvents);
      if (rows.length === 0) return carried;
      await this.#append(rows.map((row) => row.event));
      await this.#forget(
        lease,
        rows.map((row) => row.seq),
      );
      carried += rows.length;
    }
  }
  /** Where the log knows an event with other content, the first stands, and the others go on. */
  async #append(events: readonly EncodedEvent[]): Promise<void> {
    try {
      await this.#log.append(events);
    } catch (error) {
      if (!hasCode(error, "ID_CONFLICT")) throw error;
      if (events.length > 1) for (const event of events) await this.#append([event]);
      else
        this.#logger.warn("another event stands in the log under this id; the first one stays", {
          type: events[0]?.type,
          id: events[0]?.id,
        });
    }
  }
  #forget(lease: SlotLease, done: readonly number[]): Promise<void> {
    return new Promise((resolve) => {
      this.#settler.submit({ kind: "relay", lease, done }, (result) => {
        if (result.status === "lost") this.#lease = undefined;
        resolve();
      });
    });
  }
  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        await this.carry();
      } catch (error) {
        if (!hasCode(error, "OUTCOME_UNKNOWN") && !hasCode(error, "STORE_BUSY")) throw error;
      }
      this.#nap = new AbortController();
      await pause(this.#env, limits.wakeMaxMs, this.#nap.signal);
    }
  }
}
