import { isDate } from "node:util/types";
import { FactlogError } from "../errors.ts";

/** A statement with its values, portable over engines: the engine puts its placeholders between the pieces of `text`. */
export interface Statement {
  readonly text: readonly string[];
  readonly values: readonly unknown[];
}

/**
 * On what `sql` has made: JSON of a stranger cannot carry it, so no data is ever taken for SQL. Registered, so that a
 * statement of another copy of the package is understood.
 */
const statementKey: unique symbol = Symbol.for("factlog.statement");

/**
 * sql`insert into stock values (${sku}, ${quantity})`. Values: text, finite numbers, bigints, booleans, null, Dates and
 * bytes (Uint8Array); anything else throws INVALID_OPTION at once. Values are never part of the text. A statement that
 * `sql` made, such as the name of a projection's table, is put in as it is, with its values.
 */
export function sql(text: TemplateStringsArray, ...values: readonly unknown[]): Statement {
  const pieces = [text[0] ?? ""];
  const bound: unknown[] = [];
  for (const [index, value] of values.entries()) {
    if (isStatement(value)) {
      pieces[pieces.length - 1] += value.text[0] ?? "";
      pieces.push(...value.text.slice(1));
      bound.push(...value.values);
      pieces[pieces.length - 1] += text[index + 1] ?? "";
    } else {
      checkValue(value, index);
      bound.push(value);
      pieces.push(text[index + 1] ?? "");
    }
  }
  return statementOf(pieces, bound);
}

/** Text that is ours, such as a table's name, as a statement to be put into others. */
export function plainSql(text: string): Statement {
  return statementOf([text], []);
}

function statementOf(text: readonly string[], values: readonly unknown[]): Statement {
  const statement = { text: Object.freeze([...text]), values: Object.freeze([...values]) };
  return Object.freeze(Object.defineProperty(statement, statementKey, { value: true }));
}

function isStatement(value: unknown): value is Statement {
  return typeof value === "object" && value !== null && statementKey in value;
}

function checkValue(value: unknown, index: number): void {
  if (isBindable(value)) return;
  throw new FactlogError(
    "INVALID_OPTION",
    `value ${index + 1} of the statement is ${nameOf(value)}: give text, a finite number, bigint, boolean, null, Date or Uint8Array.`,
    { details: { index } },
  );
}

function isBindable(value: unknown): boolean {
  if (value === null || typeof value === "string" || typeof value === "bigint" || typeof value === "boolean")
    return true;
  if (typeof value === "number") return Number.isFinite(value);
  return value instanceof Uint8Array || (isDate(value) && !Number.isNaN(value.getTime()));
}

function nameOf(value: unknown): string {
  if (value === undefined) return "undefined (give null for SQL's NULL)";
  if (typeof value === "number") return String(value);
  if (isDate(value)) return "an invalid Date";
  return Array.isArray(value)
    ? "an array (give JSON.stringify(...) or one placeholder for each)"
    : `of type ${typeof value}`;
}
