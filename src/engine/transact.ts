import type { TransactionSource } from "../app/store.ts";
import type { PositionNumber } from "../event/stored-event.ts";
import type { Effects, SlotLease } from "./ledger.ts";

/** A handler's own transaction: see `Ledger.transact`. */
export interface Transact {
  readonly source: TransactionSource;
  /** Where it rejects, nothing of the transaction remains. */
  readonly run: (tx: unknown) => Promise<OwnSettle>;
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
  | { readonly status: "settled" | "lost" }
  /**
   * Nothing remains. "failed": `run` or the database refused; "again": transactions stood in each other's way; "not
   * begun": `run` was not called.
   */
  | { readonly status: "failed" | "again" | "not begun"; readonly error: unknown };
