/** What differs between logs, as data. With a capability it works; without it the answer is NOT_SUPPORTED. */
export interface LogCapabilities {
  /** Positions are comparable over the whole log, not only within a slot. Needed by `order: "log"`. */
  readonly totalOrder: boolean;
  /**
   * For how long a known (source, id) is recognised by `append`: as long as the event is retained, for a window of the
   * log's own, or never. Where it is not "retained" the runtime drops repeats on delivery.
   */
  readonly dedupe: "retained" | "window" | "none";
  /** Who drops old events. "theirs": rows carry the event's bytes from the start. */
  readonly retention: "ours" | "theirs";
  /** Whether `count` is exact or an upper bound. */
  readonly counts: "exact" | "bound";
  /** Events of the user's own SQL transactions wait in the store until `relay` moves them into the log. */
  readonly outbox: boolean;
  /** Slot count, fixed at creation. */
  readonly slots: number;
}

export interface LedgerCapabilities {
  /** Log and ledger are one database: emitted events are appended by `record` itself, and no outbox is needed. */
  readonly sharesLog: boolean;
  /** Whether SQL of the user (`ctx.write`) can take part in `record`. */
  readonly writes: boolean;
  /** Of which dialect a handler's own transaction may be, so that it settles its delivery (`transact`). */
  readonly transactions: "postgres" | "sqlite" | "memory";
  /** The death of a session's process is noticed at once, by a lock that it held (`SessionView.gone`). */
  readonly instantDeath: boolean;
}
