import { FactlogError } from "../../errors.ts";
import type { SqlStatement } from "../../engine/ledger.ts";
import type { Client } from "./driver.ts";
import { codeOf, raised } from "./postgres-error.ts";

/** While it is set, the tables of the log refuse every change. */
export const guestOn = "SET LOCAL factlog.guest = 'on'";
/** What the user's constraints put off is looked at now, while it can be told whose it is. */
export const guestOff = "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL factlog.guest = 'off'";

/** They end or nest the transaction, or change what the connection is for everybody. */
const refusedFirst = new Set(
  "abort begin checkpoint close cluster commit copy deallocate declare discard end execute fetch listen load move prepare release reset rollback savepoint set show start unlisten vacuum".split(
    " ",
  ),
);
/** Statements that change what a table is; those that change its rows are met by the tables themselves. */
const changesDefinitions = /^(alter|comment|create|drop|grant|reindex|revoke|security|truncate|lock|do)$/u;
const comments = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|\(|;)+/u;

/** Runs one statement of the user inside the open transaction. NOT_SUPPORTED: what it may not do. */
export async function runGuest(client: Pick<Client, "query">, statement: SqlStatement, schema: string): Promise<void> {
  const text = statement.text.map((piece, index) => (index === 0 ? piece : `$${index}${piece}`)).join("");
  requireAllowed("ctx.write", text, schema);
  const values = statement.values.map(bindable);
  try {
    await client.query({ text, values, rowMode: "array", queryMode: "extended" });
  } catch (error) {
    throw asRefusal("ctx.write", text, error);
  }
}

/** `verb`: what the user called, for messages. */
export function requireAllowed(verb: string, text: string, schema: string): void {
  const first = /^[a-z]+/iu.exec(text.replace(comments, ""))?.[0].toLowerCase() ?? "";
  const touchesOurs = changesDefinitions.test(first) && new RegExp(`\\b${schema}\\b`, "iu").test(text);
  if (refusedFirst.has(first) || touchesOurs) throw notAllowed(verb, text);
}

/** The server's answer, but where it says that something is not allowed. */
export function asRefusal(verb: string, text: string, error: unknown): unknown {
  return codeOf(error) === raised.guest || isSeveral(error) ? notAllowed(verb, text, error) : error;
}

const isSeveral = (error: unknown): boolean =>
  codeOf(error) === "42601" && /multiple commands/u.test((error as Error).message);

function notAllowed(verb: string, text: string, cause?: unknown): FactlogError {
  return new FactlogError(
    "NOT_SUPPORTED",
    `${verb} may not do this to the store (one statement, no transaction control, nothing to the log's own tables): ${text.slice(0, 200)}`,
    { cause },
  );
}

function bindable(value: unknown): unknown {
  if (value === null || ["boolean", "number", "bigint", "string"].includes(typeof value)) return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString();
  throw new FactlogError(
    "INVALID_OPTION",
    `a value of ctx.write is ${value === undefined ? "undefined" : `of type ${typeof value}`}: give a string, number, bigint, boolean, null, Date or Uint8Array.`,
  );
}
