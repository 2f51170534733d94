/** How an attempt ended. */
export type Outcome =
  | { readonly kind: "done" }
  /** The subscription's filter did not want it. */
  | { readonly kind: "skipped" }
  | { readonly kind: "failed"; readonly error: unknown; readonly class: "error" | "timeout" }
  /** The handler said that trying again is pointless. */
  | { readonly kind: "non-retryable"; readonly error: unknown }
  /** A failure whose handler named the wait. */
  | { readonly kind: "retry-after"; readonly error: unknown; readonly waitMs: number }
  /** Not now: no attempt is charged. */
  | { readonly kind: "deferred"; readonly error: unknown; readonly waitMs: number }
  /** What the handler depends on is down: no attempt is charged. */
  | { readonly kind: "unavailable"; readonly error: unknown; readonly waitMs: number }
  /** The run was left waiting; `dueMs` undefined: until it is woken. `holds`: its key waits with it. */
  | { readonly kind: "suspended"; readonly dueMs: number | undefined; readonly holds: boolean }
  /** The stored event cannot be read: no handler ran. */
  | { readonly kind: "poison"; readonly error: unknown }
  /** The event is newer than this code: it waits for a deployment, uncharged. */
  | { readonly kind: "await-deploy"; readonly error: unknown };

/** What the ledger is to record. */
export type Settlement =
  | { readonly kind: "close"; readonly as: "done" | "skipped" }
  | {
      readonly kind: "retry";
      readonly dueMs: number;
      readonly failures: number;
      readonly class: string;
      readonly error: unknown;
    }
  | { readonly kind: "wait"; readonly dueMs: number; readonly holds: boolean; readonly failures: number }
  | { readonly kind: "dead"; readonly failures: number; readonly class: string; readonly error: unknown };
