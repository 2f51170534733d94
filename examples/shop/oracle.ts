/** What must come out, added up line by line from the file itself. Shares nothing with the shop, its parser least of all. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

export interface Totals {
  readonly purchases: number;
  readonly cds: number;
  readonly cents: number;
}

export async function expectedTotals(path: string): Promise<Totals> {
  let [purchases, cds] = [0, 0];
  let cents = 0n;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const columns = line.trim().split(/\s+/);
    const [discs, money] = columns.slice(-2);
    if (discs === undefined || money === undefined || columns[0] === "customer_id") continue;
    const [whole = "", fraction = ""] = money.split(".");
    purchases += 1;
    cds += Number.parseInt(discs, 10);
    cents += BigInt(whole + fraction.padEnd(2, "0"));
  }
  return { purchases, cds, cents: Number(cents) };
}
