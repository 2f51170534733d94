import type { Logger } from "../app/context.ts";

/** Warnings and errors as one JSON object a line on stderr; the rest is dropped. */
export const plainLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (message, fields) => line("warn", message, fields),
  error: (message, fields) => line("error", message, fields),
};

function line(level: string, message: string, fields: object | undefined): void {
  let text: string;
  try {
    text = JSON.stringify({ level, message, ...fields });
  } catch {
    text = JSON.stringify({ level, message });
  }
  process.stderr.write(`${text}\n`);
}
