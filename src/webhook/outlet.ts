import { type Env, pause } from "../env.ts";
import { FactlogError, hasCode } from "../errors.ts";
import { limits } from "../limits.ts";
import { type Post, post } from "./post.ts";
import type { Webhook } from "./target.ts";

/** What became of a webhook that was given up. Where it was to go is told without its path: that may be a secret. */
export interface GivenUp {
  readonly to: string;
  readonly id: string;
  readonly attempts: number;
  readonly error: unknown;
}

/** Sends webhooks to one target, one after the other in order, each a bounded number of times. */
export class Outlet {
  readonly #env: Env;
  readonly #target: Webhook;
  readonly #givenUp: (what: GivenUp) => void;
  readonly #waiting: Post[] = [];
  readonly #stopped = new AbortController();
  readonly #over = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(env: Env, target: Webhook, givenUp: (what: GivenUp) => void) {
    this.#env = env;
    this.#target = target;
    this.#givenUp = givenUp;
  }

  /** At the bound the oldest that waits is given up: newer ones say more. */
  push(message: Post): void {
    this.#waiting.push(message);
    if (this.#waiting.length > limits.webhooksWaitingMax) this.#giveUp(this.#waiting.shift(), 0, "too many wait");
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined));
  }
  async #sendAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await this.#send(next);
  }
  async #send(message: Post): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await post(this.#env, this.#target, message, this.#over.signal);
        return;
      } catch (error) {
        const over = attempt >= limits.webhookAttemptsMax || isFinal(error) || this.#stopped.signal.aborted;
        if (over) return this.#giveUp(message, attempt, error);
        const mostMs = limits.webhookBackoffMs * limits.webhookBackoffFactor ** (attempt - 1);
        await pause(this.#env, mostMs * (0.5 + this.#env.random() / 2), this.#stopped.signal);
      }
    }
  }
  #giveUp(message: Post | undefined, attempts: number, error: unknown): void {
    if (message === undefined) return;
    this.#givenUp({ to: new URL(this.#target.webhook).origin, id: message.id, attempts, error });
  }

  /** Each that waits is tried once more, without waiting between: at most 10 s in all are given to it. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    const enough = new AbortController();
    await Promise.race([this.#sending, pause(this.#env, limits.webhookTimeoutMs, enough.signal)]);
    enough.abort();
    this.#over.abort(new FactlogError("SHUTDOWN", "the worker has stopped."));
    for (const message of this.#waiting.splice(0)) this.#giveUp(message, 0, "the worker has stopped");
  }
}

/** Trying again would not help: 410 says that the receiver is gone, and a private address stays one. */
function isFinal(error: unknown): boolean {
  return hasCode(error, "ADDRESS_PRIVATE") || (hasCode(error, "WEBHOOK_FAILED") && error.details["status"] === 410);
}
