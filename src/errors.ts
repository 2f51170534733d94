/** Stable codes. docs/reference/errors.md explains each; a test pairs the two both ways. */
export const errorCodes = [
  "INVALID_DATA",
  "INVALID_ATTRIBUTE",
  "INVALID_OPTION",
  "INVALID_DEFINITION",
  "UNKNOWN_EVENT_TYPE",
  "EVENT_TOO_LARGE",
  "NESTING_TOO_DEEP",
  "SCHEMA_ASYNC",
  "ID_CONFLICT",
  "CONFLICT",
  "NOT_FOUND",
  "BUSY",
  "STORE_BUSY",
  "STORE_FULL",
  "STORE_READ_ONLY",
  "STORE_FAILED",
  "STORE_UNREACHABLE",
  "ACCESS_DENIED",
  "STORE_TOO_OLD",
  "STORE_TOO_NEW",
  "NOT_A_LOG",
  "SLOTS_MISMATCH",
  "STORE_MISMATCH",
  "NETWORK_FILE_SYSTEM",
  "SQLITE_TOO_OLD",
  "POSTGRES_TOO_OLD",
  "DRIVER_MISSING",
  "NODE_TOO_OLD",
  "OUTCOME_UNKNOWN",
  "CLOSED",
  "NOT_SUPPORTED",
  "FROM_REQUIRED",
  "DUPLICATE_SUBSCRIPTION",
  "UNKNOWN_SUBSCRIPTION",
  "SUBSCRIPTION_MISSING",
  "EMIT_NOT_DECLARED",
  "EMIT_TOO_LATE",
  "EMIT_IN_STEP",
  "NOT_IN_STEP",
  "WAIT_IN_STEP",
  "STEP_NAME_TAKEN",
  "STEP_INVALID",
  "STEP_TIMEOUT",
  "BUDGET_EXCEEDED",
  "STATE_INVALID",
  "TX_CLOSED",
  "HANDLER_ASYNC",
  "POISON",
  "AWAIT_DEPLOY",
  "LEASE_LOST",
  "HANDLER_TIMEOUT",
  "SHUTDOWN",
  "SUSPENDED",
  "SETTLED",
  "WORKER_STUCK",
  "TIMEOUT",
  "DELIVERY_DEAD",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "MISDIRECTED",
  "METHOD_NOT_ALLOWED",
  "UNSUPPORTED_MEDIA_TYPE",
  "BODY_TOO_LARGE",
  "BODY_CONSUMED",
  "TOO_MANY_HEADERS",
  "TOO_MANY_REQUESTS",
  "TOO_MANY_STREAMS",
  "WEBHOOK_FAILED",
  "ADDRESS_PRIVATE",
  "ASSERTION",
] as const;
export type FactlogErrorCode = (typeof errorCodes)[number] | (string & {});

/** Thrown by Factlog. Test `code`, not the class; the message says what to do next. */
export class FactlogError extends Error {
  override readonly name = "FactlogError";
  readonly code: FactlogErrorCode;
  /** The same call may succeed later, unchanged. */
  readonly retryable: boolean;
  /** The facts of the case, by name. */
  readonly details: Readonly<Record<string, unknown>>;
  constructor(
    code: FactlogErrorCode,
    message: string,
    options: ErrorOptions & { readonly details?: Readonly<Record<string, unknown>>; readonly retryable?: boolean } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** An impossible state stops the store; it does not go on. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new FactlogError("ASSERTION", `impossible state: ${message}. Please report it.`);
}

/** Whether the store was only busy or full: the same call may succeed later, and has done nothing so far. */
export function mayPass(error: unknown): boolean {
  return hasCode(error, "STORE_BUSY") || hasCode(error, "STORE_FULL");
}

/** Whether `error` is a FactlogError with this code. */
export function hasCode(error: unknown, code: FactlogErrorCode): error is FactlogError {
  return error instanceof FactlogError && error.code === code;
}
