import { CommanderError } from "commander";
import { FactlogError } from "../errors.ts";
import { describeFailure } from "../runtime/failure.ts";

export interface ShownError {
  readonly lines: readonly string[];
  /** The same for machines. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** How an error is shown: `CODE message` for a refusal, with its stack only where it was asked for or is a surprise. */
export function shownError(error: unknown, verbose = false): ShownError {
  if (!isRefusal(error)) return surprise(error);
  const { code, message, retryable, details } = error;
  const cause = verbose || error.cause instanceof UserCodeError ? causeLines(error, verbose) : [];
  return { lines: [...`${code} ${message}`.split("\n"), ...cause], fields: { code, message, retryable, details } };
}

/** A FactlogError of this or of another copy of the package. */
function isRefusal(error: unknown): error is FactlogError {
  return error instanceof FactlogError || (error instanceof Error && error.name === "FactlogError" && "code" in error);
}

/** Something in the user's own file: its text helps, our stack does not. */
export class UserCodeError extends Error {}

function causeLines(error: FactlogError, verbose: boolean): readonly string[] {
  if (error.cause instanceof UserCodeError) return error.cause.message.split("\n");
  return verbose ? describeFailure("error", error).error.split("\n").slice(1) : [];
}

function surprise(error: unknown): ShownError {
  if (error instanceof CommanderError) return misused(error);
  const text = describeFailure("error", error).error;
  const lines = [...text.split("\n"), "This is not meant to happen: please report it, with these lines."];
  return { lines, fields: { code: "UNEXPECTED", message: text } };
}

/** The command line itself is wrong. */
function misused({ message: text }: CommanderError): ShownError {
  const message = text.replace(/^error: /u, "");
  return { lines: [message], fields: { code: "INVALID_OPTION", message, retryable: false, details: {} } };
}
