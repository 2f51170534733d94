import type { DeliveryRef } from "../engine/ledger.ts";
import { FactlogError } from "../errors.ts";

/** How people name a dead letter: `subscription:generation.slot.position`. */
export function deadLetterId(subscription: string, row: DeliveryRef): string {
  return `${subscription}:${row.gen}.${row.slot}.${row.position}`;
}

/** Throws INVALID_OPTION on what is no such id. */
export function parseDeadLetterId(id: string): {
  readonly subscription: string;
  readonly gen: number;
  readonly slot: number;
  readonly position: number;
} {
  const match = /^(.+):(\d{1,9})\.(\d{1,9})\.(\d{1,15})$/su.exec(id);
  if (match === null)
    throw new FactlogError(
      "INVALID_OPTION",
      `${JSON.stringify(id)} is no dead letter: give an id as \`factlog dead list\` shows it.`,
    );
  return { subscription: match[1] ?? "", gen: Number(match[2]), slot: Number(match[3]), position: Number(match[4]) };
}
