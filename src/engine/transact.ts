import type { TransactionSource } from "../app/store.ts";
import type { PositionNumber } from "../event/stored-event.ts";
import type { Effects, SlotLease } from "./ledger.ts";

/** A handler's own transaction: see `Ledger.transact`. */
export interface Transact {
  readonly source: TransactionSource;
  /**
   * Gives what is settled: at least one delivery, all of them or none. Where it throws or rejects, nothing of the
   * transaction remains. Under a source of mode "sync" it returns no promise, and may be called again, after a
   * transaction that came to nothing.
   */
  readonly run: (tx: unknown) => readonly OwnSettle[] | Promise<readonly OwnSettle[]>;
}
/** How its delivery is settled in it. */
export interface OwnSettle {
  readonly lease: SlotLease;
  readonly position: PositionNumber;
  /** Absent: the delivery had no row; a row that it got meanwhile is known by `firstRowToken`. */
  readonly rowToken?: number;
  /** `writes` are refused: the handler has its transaction. */
  readonly effects?: Effects;
}
export type Transacted =
  | { readonly status: "settled" }
  /** Nothing remains, because of one of those to be settled: "lost": its fence failed; "stood": it was settled before. */
  | { readonly status: "lost" | "stood"; readonly position: PositionNumber }
  /**
   * Nothing remains. "failed": `run` or the database refused; "again": transactions stood in each other's way; "not
   * begun": `run` was not called, or the store had no room for what it did.
   */
  | { readonly status: "failed" | "again" | "not begun"; readonly error: unknown };
