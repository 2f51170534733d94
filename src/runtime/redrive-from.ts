import type { DeliveryRow, Ledger } from "../engine/ledger.ts";
import { FactlogError } from "../errors.ts";

/** Where a redriven delivery begins: what its handler has remembered up to there counts. Default "failed-step": all of it. */
export type RedriveFrom = "failed-step" | "fresh" | { readonly step: string };

/**
 * Names of the steps that are forgotten: the one that is named, what is inside it, and what came to its state after it. Throws
 * NOT_FOUND where the delivery has no such step.
 */
export async function stepsFrom(
  ledger: Ledger,
  id: string,
  row: DeliveryRow,
  from: RedriveFrom | undefined,
): Promise<readonly string[]> {
  if (from === undefined || from === "failed-step" || from === "fresh") return [];
  const steps = await ledger.steps(row, row.scope);
  const first = steps.find(({ name }) => name === from.step);
  if (first === undefined) {
    const names = steps.map(({ name }) => name).join(", ");
    const what = names === "" ? "none at all" : `but ${names}`;
    throw new FactlogError(
      "NOT_FOUND",
      `${id} has no step ${JSON.stringify(from.step)}, ${what}. Nothing was redriven.`,
    );
  }
  return steps
    .filter(({ name, atMs }) => atMs >= first.atMs || name.startsWith(`${from.step}/`))
    .map(({ name }) => name);
}
