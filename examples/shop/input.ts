/** Reads purchases from a file in either form of data/README.md. */
import { readFileSync } from "node:fs";

export interface Purchase {
  /** Customer, and which purchase of this customer's it is: the same in every reading of the same file. */
  readonly orderId: string;
  readonly customerId: string;
  /** YYYY-MM-DD */
  readonly date: string;
  readonly cds: number;
  readonly cents: number;
}

export interface Input {
  readonly path: string;
  readonly purchases: readonly Purchase[];
}

/** The input is at fault, not the program: the message says it all. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** The purchases of a file, in the order in which they were made. Throws InputError. */
export function readInput(path: string): Input {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new InputError(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return { path, purchases: parsePurchases(text, path) };
}

/** `name` is that of the file, for messages: a bad line is named by it and its number. */
export function parsePurchases(text: string, name: string): readonly Purchase[] {
  const lines = text.split(/\r?\n/);
  const isHeader = (line: string, index: number): boolean => index === 0 && line.trim().startsWith("customer_id");
  const form = forms.find(({ pattern }) => lines.some((line) => pattern.test(line))) ?? forms[0];
  const rows = lines.flatMap((line, index) => {
    if (line.trim() === "" || isHeader(line, index)) return [];
    const row = rowOf(form.pattern.exec(line)?.groups);
    if (row !== undefined) return [row];
    throw new InputError(
      `${name}, line ${index + 1}: expected "${form.columns}", found ${JSON.stringify(line.trim())}`,
    );
  });
  return numbered(rows.toSorted((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0)));
}

const [customer, date, cds] = ["(?<customer>\\d+)", "(?<date>\\d{8})", "(?<cds>\\d{1,9})"];
const dollars = "(?<dollars>\\d{1,9})(?:\\.(?<cents>\\d{1,2}))?";
const lineOf = (...columns: readonly string[]): RegExp => new RegExp(`^\\s*${columns.join("\\s+")}\\s*$`);
const forms = [
  { columns: "customer YYYYMMDD cds dollars", pattern: lineOf(customer, date, cds, dollars) },
  { columns: "customer number YYYYMMDD cds dollars", pattern: lineOf(customer, "\\d+", date, cds, dollars) },
] as const;

function rowOf(columns: Record<string, string> | undefined): Omit<Purchase, "orderId"> | undefined {
  if (columns === undefined) return undefined;
  const { customer = "", date = "", cds, dollars, cents = "" } = columns;
  const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
  if (!isDay(day)) return undefined;
  return {
    customerId: customer,
    date: day,
    cds: Number(cds),
    cents: Number(dollars) * 100 + Number(cents.padEnd(2, "0")),
  };
}

function isDay(day: string): boolean {
  const time = Date.parse(day);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
}

function numbered(rows: readonly Omit<Purchase, "orderId">[]): readonly Purchase[] {
  const counts = new Map<string, number>();
  return rows.map((row) => {
    const count = (counts.get(row.customerId) ?? 0) + 1;
    counts.set(row.customerId, count);
    return { orderId: `${row.customerId}-${count}`, ...row };
  });
}
