import { FactlogError } from "../../errors.ts";
import type { Database } from "./database.ts";
import { isOfTheStore } from "./sqlite-error.ts";
import type { SqliteTx } from "./sqlite-store.ts";

/** `ctx.tx` of one handler, inside the transaction that it shares with others. It is of no use after `close`. */
export class GuestTransaction implements SqliteTx {
  readonly #db: Database;
  #closed = false;
  /** What ended the transaction, or met the whole file: whatever the handler makes of it, nothing of it can stand. */
  broken: { readonly error: unknown } | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  run(text: string, ...values: readonly unknown[]): { readonly changes: number } {
    return this.#guarded(text, () => this.#db.runForeign("ctx.tx", text, values));
  }
  get<Row = Record<string, unknown>>(text: string, ...values: readonly unknown[]): Row | undefined {
    return this.#guarded(text, () => this.#db.getForeign("ctx.tx", text, values) as Row | undefined);
  }
  all<Row = Record<string, unknown>>(text: string, ...values: readonly unknown[]): readonly Row[] {
    return this.#guarded(text, () => this.#db.allForeign("ctx.tx", text, values) as readonly Row[]);
  }
  /** Its handler has returned, or thrown. */
  close(): void {
    this.#closed = true;
  }

  #guarded<T>(text: string, act: () => T): T {
    if (this.#closed) throw closed("its handler has returned: a handler on sqliteStore is synchronous");
    if (this.broken !== undefined) throw closed("an earlier statement rolled the transaction back");
    if (typeof text !== "string") {
      throw new FactlogError("INVALID_OPTION", "ctx.tx takes the text of a statement, and then its values.");
    }
    try {
      return act();
    } catch (error) {
      // Outside a transaction the next statement would be committed on its own.
      if (!this.#db.inTransaction || isOfTheStore(error)) this.broken = { error };
      throw error;
    }
  }
}

const closed = (why: string): FactlogError => new FactlogError("TX_CLOSED", `ctx.tx is closed: ${why}.`);
