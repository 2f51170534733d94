import { FactlogError } from "../../errors.ts";
import type { PoolClient } from "./driver.ts";
import type { SqlStatement } from "../../engine/ledger.ts";
import { asRefusal, requireAllowed, runGuest } from "./guest.ts";
import { answerOf, isLost } from "./postgres-error.ts";
import type { PgTx } from "./pg-store.ts";

/** `ctx.tx` on a client of `pg`: no way to end the transaction, or to change the log's tables by mistake. */
export class GuestTransaction implements PgTx {
  readonly #client: PoolClient;
  readonly #schema: string;
  /** Statements whose answers have not come. */
  running = 0;
  /** The first error of the server: the transaction is ended by it, whatever the handler makes of it. */
  failed: unknown;
  /** No answer came: the connection is of no use any more. */
  lost = false;

  constructor(client: PoolClient, schema: string) {
    this.#client = client;
    this.#schema = schema;
  }

  /** A statement that was queued. */
  async write(statement: SqlStatement): Promise<void> {
    try {
      await runGuest(this.#client, statement, this.#schema);
    } catch (error) {
      if (answerOf(error) !== undefined) this.failed ??= error;
      if (isLost(error)) this.lost = true;
      throw error;
    }
  }

  async query<Row = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }> {
    if (typeof text !== "string")
      throw new FactlogError("INVALID_OPTION", "ctx.tx.query takes the text of a statement, and an array of values.");
    requireAllowed("ctx.tx", text, this.#schema);
    this.running++;
    try {
      const { rows, rowCount } = await this.#client.query({ text, values, queryMode: "extended" });
      return { rows: rows as Row[], rowCount };
    } catch (error) {
      if (answerOf(error) !== undefined) this.failed ??= error;
      if (isLost(error)) this.lost = true;
      throw asRefusal("ctx.tx", text, error);
    } finally {
      this.running--;
    }
  }
}
