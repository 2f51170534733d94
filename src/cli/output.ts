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
    for (const line of this.tableLines(headings, rows)) this.say(line);
  }
  /** The lines of such a table. */
  tableLines(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): readonly string[] {
    return table(
      headings,
      rows.map((row) => row.map((cell) => (typeof cell === "number" ? cell : printable(cell)))),
    );
  }
  /** These lines instead of all that the terminal shows: as many as it has room for, cut at its edge. */
  redraw(lines: readonly (readonly [text: string, style?: Style])[]): void {
    if (this.json) return;
    // A terminal that does not know its size says 0.
    const rows = process.stdout.rows > 0 ? process.stdout.rows : 24;
    const columns = process.stdout.columns > 0 ? process.stdout.columns : 80;
    process.stdout.write("\x1b[H\x1b[2J");
    for (const [text, style] of lines.slice(0, rows - 1))
      write(process.stdout, printable(text).slice(0, columns), style ?? "plain");
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
