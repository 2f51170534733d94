import { FactlogError, type errorCodes } from "../errors.ts";

type KnownCode = (typeof errorCodes)[number];

/**
 * The status of every code. 5xx only where the server, its store or its programmer is at fault; nothing that a client sends
 * leads there.
 */
export const statusOfCode: Readonly<Record<KnownCode, number>> = {
  INVALID_DATA: 400,
  INVALID_ATTRIBUTE: 400,
  INVALID_OPTION: 400,
  NESTING_TOO_DEEP: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  UNKNOWN_EVENT_TYPE: 404,
  UNKNOWN_SUBSCRIPTION: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  ID_CONFLICT: 409,
  CONFLICT: 409,
  DELIVERY_DEAD: 409,
  EVENT_TOO_LARGE: 413,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  MISDIRECTED: 421,
  TOO_MANY_REQUESTS: 429,
  TOO_MANY_HEADERS: 431,

  INVALID_DEFINITION: 500,
  SCHEMA_ASYNC: 500,
  BODY_CONSUMED: 500,
  POISON: 500,
  AWAIT_DEPLOY: 500,
  STORE_FAILED: 500,
  STORE_READ_ONLY: 500,
  STORE_TOO_OLD: 500,
  STORE_TOO_NEW: 500,
  NOT_A_LOG: 500,
  SLOTS_MISMATCH: 500,
  STORE_MISMATCH: 500,
  NETWORK_FILE_SYSTEM: 500,
  SQLITE_TOO_OLD: 500,
  POSTGRES_TOO_OLD: 500,
  DRIVER_MISSING: 500,
  NODE_TOO_OLD: 500,
  ACCESS_DENIED: 500,
  FROM_REQUIRED: 500,
  DUPLICATE_SUBSCRIPTION: 500,
  SUBSCRIPTION_MISSING: 500,
  EMIT_NOT_DECLARED: 500,
  EMIT_TOO_LATE: 500,
  STATE_INVALID: 500,
  EMIT_IN_STEP: 500,
  NOT_IN_STEP: 500,
  WAIT_IN_STEP: 500,
  STEP_NAME_TAKEN: 500,
  STEP_INVALID: 500,
  STEP_TIMEOUT: 500,
  TX_CLOSED: 500,
  HANDLER_ASYNC: 500,
  LEASE_LOST: 500,
  HANDLER_TIMEOUT: 500,
  SUSPENDED: 500,
  SETTLED: 500,
  WORKER_STUCK: 500,
  BUDGET_EXCEEDED: 500,
  WEBHOOK_FAILED: 500,
  ADDRESS_PRIVATE: 500,
  ASSERTION: 500,
  NOT_SUPPORTED: 501,
  BUSY: 503,
  STORE_BUSY: 503,
  STORE_FULL: 503,
  STORE_UNREACHABLE: 503,
  CLOSED: 503,
  SHUTDOWN: 503,
  TOO_MANY_STREAMS: 503,
  OUTCOME_UNKNOWN: 503,
  TIMEOUT: 504,
};

/** Problem details, RFC 9457. `code` is the product's; `detail` says what to do next. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
}

const retryAfterSeconds = 5;

/** Any error as an answer. What is no refusal of ours is told to `surprised`, and not to the caller. */
export function problemOf(error: unknown, surprised: (error: unknown) => void): Response {
  if (!isRefusal(error)) {
    surprised(error);
    return response({ code: "UNEXPECTED", status: 500, detail: "this is not meant to happen: see the server's log." });
  }
  const status = Object.hasOwn(statusOfCode, error.code) ? statusOfCode[error.code as KnownCode] : 500;
  if (status >= 500 && !error.retryable) surprised(error);
  const { code, retryable, message, details } = error;
  // What the server is to blame for may name its files: that is for its log.
  const detail = status === 500 && code !== "BODY_CONSUMED" ? "the server cannot answer: see its log." : message;
  return response({ code, status, retryable, detail, ...(status < 500 ? { details } : {}) });
}

interface Facts {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
}

function response({ code, status, detail, retryable = false, details = {} }: Facts): Response {
  const { allow, ...facts } = details;
  const problem: Problem = {
    type: "about:blank",
    title: code,
    status,
    detail,
    code,
    retryable,
    ...(Object.keys(facts).length === 0 ? {} : { details: facts }),
  };
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (status === 401) headers.set("www-authenticate", "Bearer");
  if (status === 429) headers.set("retry-after", "1");
  if (status === 503) headers.set("retry-after", String(retryAfterSeconds));
  if (typeof allow === "string") headers.set("allow", allow);
  // The rest of a body that nobody reads must not be taken for the next request.
  if (status === 413) headers.set("connection", "close");
  return new Response(JSON.stringify(problem), { status, headers });
}

/** A FactlogError of this or of another copy of the package. */
function isRefusal(error: unknown): error is FactlogError {
  return error instanceof FactlogError || (error instanceof Error && error.name === "FactlogError" && "code" in error);
}
