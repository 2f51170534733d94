/** What the receiver writes down, and what it and its parent say to each other. */
export const effects = ["charge", "reserve", "ship", "mail"] as const;
export type Effect = (typeof effects)[number];
export type Counts = Readonly<Record<Effect, number>>;

/** A line of the receiver's file. */
export interface Call {
  readonly effect: Effect;
  readonly key: string;
  readonly orderId: string;
  /** Who called. */
  readonly pid: number;
  readonly cds?: number;
  readonly cents?: number;
  /** Customers whose orders were being served at that moment, this one included. */
  readonly together: number;
}

/** To the receiver. */
export type Order =
  /** Never answer call number `nth`, from now on, of this process: it is written down, and then the line is silent. */
  | { readonly kind: "hold"; readonly pid: number; readonly nth: number }
  /** Refuse to reserve more CDs than this for one order; null: take any. */
  | { readonly kind: "parcel"; readonly cdsMax: number | null };

/** From the receiver. */
export type News =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "counts"; readonly counts: Counts }
  | { readonly kind: "held"; readonly call: Call };

export const customerOf = (orderId: string): string => orderId.slice(0, orderId.lastIndexOf("-"));
export const nameOf = (call: Call): string => `${call.effect} ${call.orderId}`;

/** The first call under each name. */
export function firstOf(calls: readonly Call[], name: (call: Call) => string): readonly Call[] {
  const known = new Set<string>();
  return calls.filter((call) => known.size < known.add(name(call)).size);
}
