import { backup, DatabaseSync, constants, type StatementSync } from "node:sqlite";
import { FactlogError } from "../../errors.ts";
import { isDenied } from "./sqlite-error.ts";

/** The one file that touches node:sqlite. Everything here is synchronous; rows are arrays, twice as fast as objects. */
export type Cell = null | number | string | Uint8Array;

export interface Statement<Row extends readonly Cell[] = readonly Cell[]> {
  run(...values: readonly Cell[]): { readonly changes: number | bigint };
  get(...values: readonly Cell[]): Row | undefined;
  all(...values: readonly Cell[]): Row[];
}

/** Names of our tables begin so. SQL of the user may read them and change none. */
export const ownPrefix = "factlog_";
/** User statements kept prepared. */
const foreignStatementsMax = 128;

export class Database {
  readonly #db: DatabaseSync;
  readonly #foreign = new Map<string, StatementSync>();
  /** While a statement of the user is prepared and run: what it may do. */
  #guarded: "no" | "may change" | "may read" = "no";

  /** Opens; throws SQLite's own errors. */
  constructor(path: string, options: { readonly readOnly?: boolean; readonly timeoutMs?: number } = {}) {
    this.#db = new DatabaseSync(path, {
      readOnly: options.readOnly ?? false,
      timeout: options.timeoutMs ?? 0,
      enableForeignKeyConstraints: false,
      enableDoubleQuotedStringLiterals: false,
      allowExtension: false,
      defensive: true,
      returnArrays: true,
    });
  }

  /** Asks SQLite to let the authorizer see every statement that is prepared from now on. */
  guardOwnTables(): void {
    this.#db.setAuthorizer((action, first, second) => {
      if (this.#guarded === "no" || readers.has(action)) return constants.SQLITE_OK;
      const allowed = this.#guarded === "may change" && isAllowed(action, first, second);
      return allowed ? constants.SQLITE_OK : constants.SQLITE_DENY;
    });
  }

  prepare<Row extends readonly Cell[] = readonly Cell[]>(sql: string): Statement<Row> {
    return this.#db.prepare(sql) as unknown as Statement<Row>;
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  /**
   * Copies the database to a file of one moment, off the event loop. In one step: one that is copied page by page begins
   * anew whenever somebody else commits.
   */
  async copyTo(path: string): Promise<void> {
    await backup(this.#db, path, { rate: 2 ** 31 - 1 });
  }

  /** The first column of the first row. */
  value(sql: string): Cell {
    return this.prepare(sql).get()?.[0] ?? null;
  }

  /** Some errors end the transaction on their own. */
  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  /**
   * Runs one statement of the user inside the open transaction. Refused with NOT_SUPPORTED: changing our tables, ending
   * or nesting the transaction, attaching files, pragmas, more than one statement. `verb`: what the user called.
   */
  runForeign(verb: string, sql: string, values: readonly unknown[]): { readonly changes: number } {
    return this.#asForeign(verb, sql, values, (statement, given) => ({
      changes: Number(statement.run(...given).changes),
    }));
  }

  /** The first row, by names. */
  getForeign(verb: string, sql: string, values: readonly unknown[]): unknown {
    return this.#asForeign(verb, sql, values, (statement, given) => statement.get(...given));
  }

  allForeign(verb: string, sql: string, values: readonly unknown[]): readonly unknown[] {
    return this.#asForeign(verb, sql, values, (statement, given) => statement.all(...given));
  }

  /** All rows of a statement that only reads. */
  queryForeign(verb: string, sql: string, values: readonly unknown[]): readonly Record<string, unknown>[] {
    const all = (statement: StatementSync, given: readonly Bindable[]) =>
      statement.all(...given).map((row) => ({ ...row }));
    return this.#asForeign(verb, sql, values, all, "may read");
  }

  #asForeign<T>(
    verb: string,
    sql: string,
    values: readonly unknown[],
    act: (statement: StatementSync, values: readonly Bindable[]) => T,
    may: "may change" | "may read" = "may change",
  ): T {
    this.#guarded = may;
    try {
      return act(
        this.#foreignStatement(verb, sql),
        values.map((value) => bindable(verb, value)),
      );
    } catch (error) {
      if (!isDenied(error)) throw error;
      throw new FactlogError("NOT_SUPPORTED", `${verb} may not do this to the store: ${sql.slice(0, 200)}`, {
        cause: error,
      });
    } finally {
      this.#guarded = "no";
    }
  }

  #foreignStatement(verb: string, sql: string): StatementSync {
    const key = `${this.#guarded} ${sql}`;
    const known = this.#foreign.get(key);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(sql);
    if (statement.sourceSQL.trim().length < sql.trim().length) {
      throw new FactlogError("NOT_SUPPORTED", `${verb} takes one statement at a time: ${sql.slice(0, 200)}`);
    }
    statement.setReturnArrays(false);
    if (this.#foreign.size >= foreignStatementsMax) this.#foreign.clear();
    this.#foreign.set(key, statement);
    return statement;
  }

  close(): void {
    this.#foreign.clear();
    if (this.#db.isOpen) this.#db.close();
  }
}

const readers = new Set<number>([
  constants.SQLITE_READ,
  constants.SQLITE_SELECT,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
]);
const refused = new Set<number>([
  constants.SQLITE_TRANSACTION,
  constants.SQLITE_SAVEPOINT,
  constants.SQLITE_ATTACH,
  constants.SQLITE_DETACH,
  constants.SQLITE_PRAGMA,
]);

/** The arguments of the authorizer name a table, or an index, trigger or database and then its table. */
function isAllowed(action: number, first: string | null, second: string | null): boolean {
  if (refused.has(action)) return false;
  const isOurs = (name: string | null): boolean => name?.toLowerCase().startsWith(ownPrefix) ?? false;
  if (action === constants.SQLITE_UPDATE) return !isOurs(first);
  return !isOurs(first) && !isOurs(second);
}

type Bindable = null | number | bigint | string | Uint8Array;

function bindable(verb: string, value: unknown): Bindable {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value === null || typeof value === "number" || typeof value === "bigint" || typeof value === "string")
    return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString();
  throw new FactlogError(
    "INVALID_OPTION",
    `a value of ${verb} is ${value === undefined ? "undefined" : `of type ${typeof value}`}: give a string, number, bigint, boolean, null, Date or Uint8Array.`,
  );
}
