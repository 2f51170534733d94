import { idConflict } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { ChangeWriter } from "./changes.ts";
import { Lost, type Run } from "./connection.ts";
import { unknownOutcome } from "./postgres-error.ts";
import { inTransaction, type Store } from "./store.ts";

/** Facts stated by whoever needs no session: to the log where it is ours, else to the outbox. */
export class Facts {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
  }

  /** For each event whether it, and no other, stands now under its identity. */
  async state(run: Run, events: readonly EncodedEvent[]): Promise<readonly boolean[]> {
    if (events.length === 0) return [];
    const { env, channel } = this.#store;
    const json = JSON.stringify(events.map((event) => this.#writer.event(event)));
    const text = this.#store.sql("SELECT S.state_facts($1, $2, $3, $4)::text");
    const [row] = await run<[string]>(text, [json, env.now(), this.#sharesLog, channel]);
    return JSON.parse(row![0]) as boolean[];
  }

  /**
   * Runs a statement that answers a row where it has moved what its caller saw, and then states these events in the same
   * transaction: ID_CONFLICT where another stands under one's identity. False: it has moved nothing, and nothing was stated.
   */
  move(events: readonly EncodedEvent[], text: string, values: readonly unknown[]): Promise<boolean> {
    return this.write(events, async (run) => {
      if ((await run(this.#store.sql(text), values)).length === 0) return false;
      const other = (await this.state(run, events)).indexOf(false);
      if (other >= 0) throw idConflict(events[other]!, other);
      return true;
    });
  }

  /** One transaction that may state these events. */
  async write<T>(events: readonly EncodedEvent[], work: (run: Run) => Promise<T>): Promise<T> {
    const store = this.#store;
    store.requireSound();
    try {
      return await store.writes.run(async (run) => {
        if (this.#sharesLog) await store.names.ensure(run, events);
        return inTransaction(run, "BEGIN", () => work(run));
      });
    } catch (error) {
      throw error instanceof Lost ? unknownOutcome(error.cause, store.location) : store.error(error);
    }
  }
}
