/** Text for whoever watches a delivery at work. Nothing keeps it. */
export interface Delta {
  readonly correlationId: string;
  readonly subscription: string;
  /** Of the event that is being handled. */
  readonly eventId: string;
  readonly key: string | undefined;
  readonly group: string | undefined;
  readonly text: string;
}

/**
 * How processes of one store hear each other's deltas. Lossy by contract: what is not heard at once is gone, and what cannot be
 * told is lost without a word. Order within one process's deltas is kept.
 */
export interface DeltaPort {
  /** Tells the other processes. Bounded by the caller; nothing waits for it. */
  tell(deltas: readonly Delta[]): void;
  /** What other processes tell from now on, not this one, until the answer is called. Soon: within a second. */
  listen(hear: (delta: Delta) => void): () => void;
}
