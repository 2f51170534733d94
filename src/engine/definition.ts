import type { Slot, PositionNumber } from "../event/stored-event.ts";
import type { Definition } from "./ledger.ts";

/** As stored: JSON has no Infinity, so an unbounded `crashesMax` is null. */
export function encodeDefinition({ types, order, onExhausted, crashesMax, slots }: Definition): string {
  return JSON.stringify({ types, order, onExhausted, crashesMax, slots });
}

export function decodeDefinition(text: string): Definition {
  const { crashesMax, ...rest } = JSON.parse(text) as Omit<Definition, "crashesMax"> & { crashesMax: number | null };
  return { ...rest, crashesMax: crashesMax ?? Infinity };
}

/** The order of its types says nothing. */
export function isSameDefinition(a: Definition, b: Definition): boolean {
  const plain = (one: Definition): string => encodeDefinition({ ...one, types: one.types.toSorted() });
  return plain(a) === plain(b);
}

/** Positions per slot, as a JSON list of pairs. */
export const encodeStart = (start: ReadonlyMap<Slot, PositionNumber>): string => JSON.stringify([...start]);
export const decodeStart = (text: string): ReadonlyMap<Slot, PositionNumber> =>
  new Map(JSON.parse(text) as [Slot, PositionNumber][]);
