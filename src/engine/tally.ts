import type { PositionNumber, Slot } from "../event/stored-event.ts";
import type { Definition, Outcomes, Ranges, RowState, SubscriptionState } from "./ledger.ts";

/** All that is counted of a subscription. */
export interface SubscriptionTally {
  readonly sub: number;
  readonly gen: number;
  readonly name: string;
  readonly revision: number;
  readonly state: SubscriptionState;
  readonly definition: Definition;
  readonly types: readonly {
    readonly type: string;
    readonly since: ReadonlyMap<Slot, PositionNumber>;
    readonly baseline: number;
    readonly matched: number;
  }[];
  readonly slots: readonly {
    readonly slot: Slot;
    readonly session: number | undefined;
    readonly low: PositionNumber;
    readonly ranges: Ranges;
    readonly matched: number;
    readonly outcomes: Outcomes;
  }[];
  readonly rows: Readonly<Record<RowState, number>>;
  /** Rows that retry for what their handler waits for. */
  readonly waiting: number;
  /** Keys that a dead row blocks. */
  readonly blockedKeys: number;
  /** Oldest recorded time over all rows but dead ones. */
  readonly oldestRowMs: number | undefined;
  readonly inFlight: number;
}
