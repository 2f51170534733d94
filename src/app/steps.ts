import type { RetryPolicy } from "../delivery/retry-policy.ts";
import type { Duration } from "../duration.ts";
import type { AnyEventType, EventOf } from "../event/define.ts";

/** What `T` is after one round trip through JSON: `Date` -> string, functions and symbols gone. */
export type Jsonified<T> = T extends null | undefined | boolean | number | string
  ? T
  : T extends { toJSON(): infer J }
    ? Jsonified<J>
    : T extends (...args: never) => unknown
      ? never
      : T extends readonly unknown[]
        ? { [I in keyof T]: Jsonified<T[I]> }
        : T extends bigint | symbol
          ? never
          : T extends object
            ? {
                [K in keyof T as T[K] extends (...args: never) => unknown ? never : K]: Jsonified<T[K]>;
              }
            : T;

/** What a step may know of itself. */
export interface StepContext {
  /** Give it to a receiver that knows idempotency keys: the same for every run of this step in this scope. */
  readonly idempotencyKey: string;
  /** Aborted with the attempt, and when the step runs past its timeout. Give it to fetch. */
  readonly signal: AbortSignal;
  /** 1 for its first run. */
  readonly attempt: number;
}

export interface StepOptions {
  /**
   * A crash left the step begun and not done: nobody knows whether it took effect. "retry" (default) runs it again, "ask"
   * raises an approval, "fail" makes the delivery a dead letter.
   */
  readonly onAmbiguous?: "retry" | "ask" | "fail";
  /**
   * Runs of the step within one attempt of the delivery; between them the handler waits as with `sleep`. Default: one.
   */
  readonly retry?: Pick<RetryPolicy, "attemptsMax" | "backoff">;
  readonly timeout?: Duration;
  /** Another one drops what older runs have remembered. */
  readonly version?: number | string;
}

export type Approval =
  | { readonly approved: true; readonly by: string; readonly at: Date; readonly comment: string | undefined }
  | {
      readonly approved: false;
      readonly reason: "rejected" | "expired";
      readonly by: string | undefined;
      readonly at: Date;
      readonly comment: string | undefined;
    };

export interface ApprovalRequest {
  readonly summary: string;
  /** Anything that JSON can carry. */
  readonly details?: unknown;
  /** Then it has expired. Default: none. */
  readonly timeout?: Duration;
  readonly assignee?: string;
}

export interface WaitForOptions<E extends AnyEventType> {
  readonly key: string;
  readonly where?: (event: EventOf<E>) => boolean;
  readonly timeout: Duration;
}

/** Memoised parts of a handler, and waits that hold no process. Part of every handler's context. */
export interface StepVerbs {
  /**
   * Runs `fn` once per scope and remembers its value, which is always the JSON round trip, the first time too. A later
   * attempt gets the value without running it. Emit, write and state belong to the whole delivery, not to a step: EMIT_IN_STEP.
   */
  step<T>(
    name: string,
    fn: (step: StepContext) => T | PromiseLike<T>,
    options?: StepOptions,
  ): Promise<Jsonified<Awaited<T>>>;
  /**
   * Waits without a process, lease or place in flight: the run is left behind, and later starts again from the top over
   * what it remembers. `finally` and `await using` of the run that was left do NOT execute: open nothing across a wait.
   */
  sleep(name: string, duration: Duration | Date): Promise<void>;
  /**
   * The first fact of one of these types with this key that lies behind the delivered event (or behind the last one found
   * under this name); facts that came before the call count. `null` when the time is up.
   */
  waitFor<E extends AnyEventType>(
    name: string,
    type: E | readonly E[],
    options: WaitForOptions<E>,
  ): Promise<EventOf<E> | null>;
  /** A person's answer: `factlog approve`, `factlog reject`, `log.operator.answer`. */
  approval(name: string, request: ApprovalRequest): Promise<Approval>;
}
