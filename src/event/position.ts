import { FactlogError } from "../errors.ts";
import type { PositionNumber, Slot } from "./stored-event.ts";

/**
 * Place of an event outside the process: an opaque token, good within one epoch of one log. Ordered by the log alone:
 * never compare with `<`.
 */
export type Position = string & { readonly __position: unique symbol };

const form = /^(.+)\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})$/s;

export function formatPosition(epoch: string, slot: Slot, position: PositionNumber): Position {
  return `${epoch}.${slot}.${position}` as Position;
}

/** Whether `token` has the form of a position, of whatever epoch. */
export function isPosition(token: unknown): token is Position {
  return typeof token === "string" && splitPosition(token) !== undefined;
}

/** Throws INVALID_OPTION on a malformed token and on one of another epoch (details: `epoch`, `expected`). */
export function parsePosition(
  token: string,
  epoch: string,
): { readonly slot: Slot; readonly position: PositionNumber } {
  const parts = typeof token === "string" ? splitPosition(token) : undefined;
  if (parts === undefined) {
    throw new FactlogError(
      "INVALID_OPTION",
      `${JSON.stringify(token)} is no position: give one as an event or a receipt shows it.`,
    );
  }
  if (parts.epoch !== epoch) {
    throw new FactlogError(
      "INVALID_OPTION",
      `position ${JSON.stringify(token)} is of epoch ${parts.epoch}, the log is in epoch ${epoch} (it was restored, or is another log): start from a time or from the beginning.`,
      { details: { epoch: parts.epoch, expected: epoch } },
    );
  }
  return parts;
}

/** The place just before a position: what is read from there on begins with its event. */
export function justBefore(position: Position, epoch: string): Position {
  const { slot, position: at } = parsePosition(position, epoch);
  return formatPosition(epoch, slot, Math.max(0, at - 1));
}

function splitPosition(
  token: string,
): { readonly epoch: string; readonly slot: Slot; readonly position: PositionNumber } | undefined {
  const match = form.exec(token);
  if (match === null) return undefined;
  const slot = Number(match[2]);
  const position = Number(match[3]);
  if (!Number.isSafeInteger(slot) || !Number.isSafeInteger(position)) return undefined;
  return { epoch: match[1] ?? "", slot, position };
}
