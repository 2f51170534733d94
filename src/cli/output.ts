import { once } from "node:events";
import { styleText } from "node:util";
import { shownError } from "./failure.ts";
import { table } from "./format.ts";
import { oneLine, printable, printableJson } from "./printable.ts";

type Style = "plain" | "good" | "bad" | "faint";
const formats = { good: "green", bad: "red", faint: "dim" } as const;

/**
 * What a command prints: lines for people, or, under `--json`, JSON objects, one a line; never both. Results go to stdout,
 * errors and remarks to stderr. Everything is made safe here, whatever it holds.
 */
export class Output {
  readonly json: boolean;
  readonly #verbose: boolean;

  constructor(options: { readonly json?: boolean | undefined; readonly verbose?: boolean | undefined } = {}) {
    this.json = options.json === true;
    this.#verbose = options.verbose === true;
  }

  /** One line for people. */
  say(text: string, style: Style = "plain"): void {
    if (!this.json) write(process.stdout, printable(text), style);
  }
  /** Text of several lines for people. */
  sayAll(text: string, style: Style = "plain"): void {
    for (const line of text.split("\n")) this.say(line, style);
  }
  table(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
    const safe = rows.map((row) => row.map((cell) => (typeof cell === "number" ? cell : printable(cell))));
    for (const line of table(headings, safe)) this.say(line);
  }
  /** One JSON object on a line of its own, under `--json`. Text is taken for JSON as it is. */
  object(value: object | string): void {
    if (!this.json) return;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    process.stdout.write(`${process.stdout.isTTY ? printableJson(text) : oneLine(text)}\n`);
  }
  /** A remark beside the result: stderr, whatever the form of the result. */
  remark(text: string): void {
    write(process.stderr, printable(text), "faint");
  }
  /** Shows an error, once. */
  fail(error: unknown): void {
    const shown = shownError(error, this.#verbose);
    if (this.json) process.stderr.write(`${JSON.stringify({ error: shown.fields })}\n`);
    else for (const line of shown.lines) write(process.stderr, printable(line), "bad");
  }
  /** Waits until what was printed has gone out: call it in long loops. */
  async ready(): Promise<void> {
    if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
  }
}

function write(stream: NodeJS.WriteStream, line: string, style: Style): void {
  const styled = style === "plain" || !stream.isTTY ? line : styleText(formats[style], line, { stream });
  stream.write(`${styled}\n`);
}

/** Whoever reads stdout has gone (`factlog tail | head`): that is no error. */
export function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
      throw error;
    });
  }
}
