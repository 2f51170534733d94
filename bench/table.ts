import type { Measurement } from "./measure.ts";

/** The heading of the lines that `rowOf` gives. */
export const header = (against: string): string => row(["measure", "value", "unit", against, "ratio", "target"]);

/** One figure for people. */
export function rowOf({ name, value, unit, raw, ratio, target, better }: Measurement): string {
  const met = target === null ? "" : (better === "higher") === (ratio ?? value) >= target ? "met" : "MISSED";
  const bound = target === null ? "" : `${better === "higher" ? ">=" : "<="} ${target} ${met}`;
  return row([name, figure(value), unit, raw === null ? "" : figure(raw), ratio?.toFixed(2) ?? "", bound]);
}

function row(cells: readonly string[]): string {
  const widths = [30, 10, 16, 10, 8, 16];
  return cells.map((cell, i) => (i === 0 || i === 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" ");
}

function figure(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
