import type { EncodedEvent } from "../event/stored-event.ts";

/** A small named document of the log's own, such as an access token: it belongs to no subscription. */
export interface Entry {
  readonly name: string;
  /** Text, at most `limits.entryBytesMax`; its meaning is the kind's. */
  readonly body: string;
}
/** An entry moves on, with the facts that tell of it. */
export interface Entering {
  readonly kind: string;
  readonly name: string;
  /** The body as `entries` told it; undefined: there was none. */
  readonly seen: string | undefined;
  /** Undefined: it is removed. */
  readonly body: string | undefined;
  readonly events: readonly EncodedEvent[];
}

/** What is kept by name. The part of the ledger that knows no subscription and needs no session. */
export interface Register {
  /** All entries of a kind in the order of their names (code points). There are few: a kind has its own bound. */
  entries(kind: string): Promise<readonly Entry[]>;
  /**
   * Puts an entry in the place of what was seen and states its facts, in one durable transaction. False, and nothing
   * happens, where something else stands there now. Not idempotent: after OUTCOME_UNKNOWN look again.
   */
  enter(entering: Entering): Promise<boolean>;
}
