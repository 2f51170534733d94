import type { Effects, SqlStatement } from "../../engine/ledger.ts";
import type { Appended } from "../../engine/event-log.ts";
import { idConflict, sameContent } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Delays } from "./delays.ts";
import { isOfTheStore } from "./sqlite-error.ts";
import type { Store } from "./store.ts";

/** Why a change was refused: an effect of the delivery at this position. */
export class Refusal extends Error {
  readonly position: number;
  constructor(position: number, cause: unknown) {
    super("an effect was refused", { cause });
    this.position = position;
  }
}

/** Emits, writes and state, inside the transaction of the settle that they belong to. */
export class EffectWriter {
  readonly #store: Store;
  readonly #delays: Delays;
  readonly #sharesLog: boolean;
  readonly #sql;

  constructor(store: Store, delays: Delays, sharesLog: boolean) {
    this.#store = store;
    this.#delays = delays;
    this.#sharesLog = sharesLog;
    const { db } = store;
    this.#sql = {
      setState: db.prepare(
        "INSERT INTO factlog_state(sub, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      ),
      dropState: db.prepare("DELETE FROM factlog_state WHERE sub = ? AND key = ?"),
      enqueue: db.prepare("INSERT INTO factlog_outbox(source, id, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"),
      waiting: db.prepare<[string]>("SELECT event FROM factlog_outbox WHERE source = ? AND id = ?"),
    };
  }

  /** Throws a Refusal naming the first delivery one of whose effects cannot be; the caller rolls back. */
  apply(sub: number, effects: readonly Effects[]): void {
    for (const one of effects) {
      try {
        this.#applyOne(sub, one);
      } catch (error) {
        if (isOfTheStore(error)) throw error;
        throw new Refusal(one.position, error);
      }
    }
  }

  /** To the log where it is ours, else to the outbox. Throws ID_CONFLICT and has then changed nothing. */
  emit(event: EncodedEvent, index = 0): void {
    if (this.#sharesLog) {
      this.#store.appender.append(event, index);
      return;
    }
    const first = this.#enqueue(event);
    if (first !== undefined && !sameContent(first, event)) throw idConflict(event, index);
  }

  /** As `emit`, but the first content stands: says whether that is another. */
  announce(event: EncodedEvent): { readonly appended: Appended | undefined; readonly diverged: boolean } {
    if (this.#sharesLog) return this.#store.appender.announce(event);
    const first = this.#enqueue(event);
    return { appended: undefined, diverged: first !== undefined && !sameContent(first, event) };
  }

  #applyOne(sub: number, { emits, delayed = [], writes, state }: Effects): void {
    for (const [index, event] of emits.entries()) this.emit(event, index);
    for (const [index, one] of delayed.entries()) this.#delays.put(one, index);
    for (const statement of writes) this.#store.db.runForeign("ctx.write", sqlText(statement), statement.values);
    if (state?.value !== undefined) this.#sql.setState.run(sub, state.key, state.value);
    else if (state !== undefined) this.#sql.dropState.run(sub, state.key);
  }

  /** Gives what waits under this identity already. */
  #enqueue(event: EncodedEvent): EncodedEvent | undefined {
    const { changes } = this.#sql.enqueue.run(event.source, event.id, JSON.stringify(event));
    if (changes === 1) return undefined;
    return JSON.parse(this.#sql.waiting.get(event.source, event.id)![0]) as EncodedEvent;
  }
}

const sqlText = (statement: SqlStatement): string => statement.text.join("?");
