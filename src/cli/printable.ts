/**
 * Control characters of every kind, and the marks that turn the direction of text: what could make a terminal do, or
 * show, something else than the data say.
 */
// oxlint-disable-next-line no-control-regex -- they are what it is for
const dangerous = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** One line of text that is safe to print: what could command a terminal is shown as an escape (`\x1b`, `\n`, `\u202e`). */
export function printable(text: string): string {
  return text.toWellFormed().replace(dangerous, (char) => named[char] ?? escapeOf(char));
}

function escapeOf(char: string): string {
  const code = char.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * JSON text as one line that is safe to print and means the same: line ends stand between tokens only and become spaces,
 * every other dangerous character stands in a string and becomes its JSON escape.
 */
export function printableJson(json: string): string {
  return oneLine(json).replace(dangerous, (char) =>
    char === "\t" ? " " : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** JSON text as one line: a raw line end cannot stand in a string. */
export function oneLine(json: string): string {
  return json.replaceAll(/[\r\n]+/gu, " ");
}
