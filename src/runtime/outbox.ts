import type { EventLog, Relayed } from "../engine/event-log.ts";
import { pause, type Env } from "../env.ts";
import { hasCode, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";

/**
 * Every working process has the log move what waits in its outbox (events of the user's own transactions). The log lets
 * one of them do it at a time, so nobody is elected, and where that one dies the next look of another goes on.
 */
export class OutboxPoll {
  readonly #env: Env;
  readonly #log: EventLog;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;

  constructor(env: Env, log: EventLog, fail: (error: unknown) => void) {
    this.#env = env;
    this.#log = log;
    this.#running = this.#run().catch(fail);
  }

  /** Has all moved that waits now. Whether there was nothing, and another process is not at it either. */
  async empty(): Promise<boolean> {
    const { carried, more } = await this.#carry();
    return carried === 0 && !more;
  }

  stop(): Promise<void> {
    this.#stopped.abort();
    return this.#running;
  }

  async #carry(): Promise<Relayed> {
    for (let sum = 0; ;) {
      const { carried, more } = await this.#log.relay!();
      sum += carried;
      if (carried === 0 || !more || this.#stopped.signal.aborted) return { carried: sum, more };
    }
  }

  async #run(): Promise<void> {
    let waitMs: number = limits.outboxPollMinMs;
    while (!this.#stopped.signal.aborted) {
      const carried = await this.#carryIfItMay();
      waitMs = carried > 0 ? limits.outboxPollMinMs : Math.min(2 * waitMs, limits.outboxPollMaxMs);
      await pause(this.#env, waitMs, this.#stopped.signal);
    }
  }

  /** A store that is busy, or whose connection is being made again, is asked again. */
  async #carryIfItMay(): Promise<number> {
    try {
      return (await this.#carry()).carried;
    } catch (error) {
      if (mayPass(error) || hasCode(error, "STORE_UNREACHABLE")) return 0;
      throw error;
    }
  }
}
