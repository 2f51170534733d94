/** What must come out, added up line by line from the file itself. Shares nothing with the shop, its parser least of all. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

export interface Totals {
  readonly purchases: number;
  readonly cds: number;
  readonly cents: number;
}

/** Of each day, by YYYY-MM-DD. */
export type Days = ReadonlyMap<string, Totals>;

export interface Expected {
  readonly totals: Totals;
  readonly days: Days;
}

export async function expectedOf(path: string): Promise<Expected> {
  let [purchases, cds] = [0, 0];
  let cents = 0n;
  const days = new Map<string, Totals>();
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const columns = line.trim().split(/\s+/);
    const [discs, money] = columns.slice(-2);
    if (discs === undefined || money === undefined || columns[0] === "customer_id") continue;
    const [whole = "", fraction = ""] = money.split(".");
    const amount = BigInt(whole + fraction.padEnd(2, "0"));
    purchases += 1;
    cds += Number.parseInt(discs, 10);
    cents += amount;
    const date = columns.at(-3) ?? "";
    const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
    const before = days.get(day) ?? { purchases: 0, cds: 0, cents: 0 };
    days.set(day, {
      purchases: before.purchases + 1,
      cds: before.cds + Number.parseInt(discs, 10),
      cents: before.cents + Number(amount),
    });
  }
  return { totals: { purchases, cds, cents: Number(cents) }, days };
}
