import { isDate } from "node:util/types";
import { FactlogError } from "../errors.ts";

/** A statement with its values, portable over engines: the engine puts its placeholders between the pieces of `text`. */
export interface Statement {
  readonly text: readonly string[];
  readonly values: readonly unknown[];
}

/**
 * sql`insert into stock values (${sku}, ${quantity})`. Values: text, finite numbers, bigints, booleans, null, Dates and
 * bytes (Uint8Array); anything else throws INVALID_OPTION at once. Values are never part of the text.
 */
export function sql(text: TemplateStringsArray, ...values: readonly unknown[]): Statement {
  values.forEach(checkValue);
  return Object.freeze({ text: Object.freeze([...text]), values: Object.freeze([...values]) });
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
