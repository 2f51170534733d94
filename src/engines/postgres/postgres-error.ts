import { FactlogError } from "../../errors.ts";
import type { Location } from "./location.ts";

/** Thrown by our own functions: see `functions.ts`. */
export const raised = {
  refused: "FL001",
  leaseLost: "FL002",
  impossible: "FL003",
  conflict: "FL004",
  notFound: "FL005",
  guest: "FL006",
  notMine: "FL007",
  settledBefore: "FL008",
} as const;

interface ServerError {
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly constraint?: string | undefined;
  readonly table?: string | undefined;
  readonly schema?: string | undefined;
}

/** What the server answered, or undefined where no answer came. */
export function answerOf(error: unknown): ServerError | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === "string" && typeof severity === "string" ? (error as ServerError) : undefined;
}

/** The same where a library has wrapped it. */
export function serverErrorIn(error: unknown): ServerError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const answer = answerOf(at);
    if (answer !== undefined) return answer;
  }
  return answerOf(error);
}

export const codeOf = (error: unknown): string | undefined => answerOf(error)?.code;

/** The connection is of no use any more; what was under way may have been done or not. */
export function isLost(error: unknown): boolean {
  if (error instanceof FactlogError || isOfTls(error)) return false;
  const code = codeOf(error);
  if (code === undefined) return isOfTheSocket(error);
  return ["57P01", "57P02", "57P03", "57P05", "25P03"].includes(code) || code.startsWith("08");
}

/** Errors of sockets and of the driver about them; those of our own code are none. */
function isOfTheSocket(error: unknown): boolean {
  const { code, message = "", syscall } = (error ?? {}) as { code?: string; message?: string; syscall?: string };
  if (syscall !== undefined || (typeof code === "string" && /^E[A-Z]+$/u.test(code))) return true;
  return /connection|terminated|timeout|not queryable|closed/iu.test(message);
}

/** The certificate is not trusted or is another's, or the server speaks no TLS. */
function isOfTls(error: unknown): boolean {
  const { code, message = "" } = (error ?? {}) as { code?: unknown; message?: string };
  return (typeof code === "string" && /CERT|^ERR_TLS|^ERR_SSL/u.test(code)) || /does not support SSL/u.test(message);
}

/** The transaction was rolled back through no fault of its own: it may run again at once. */
export const mayRunAgain = (error: unknown): boolean => ["40001", "40P01"].includes(codeOf(error) ?? "");

/** A row of this identity is there already. */
export const isKnown = (error: unknown): boolean =>
  codeOf(error) === "23505" && answerOf(error)?.constraint === "event_id";

/** What is wrong with the values that were sent: it may be one caller's alone. */
export const isOfTheValues = (error: unknown): boolean => /^(22|23|54)/u.test(codeOf(error) ?? "");

export function storeError(error: unknown, location: Location): unknown {
  if (error instanceof FactlogError) return error;
  const answer = answerOf(error);
  const text = error instanceof Error ? error.message : String(error);
  const make = (code: string, message: string, retryable = false): FactlogError =>
    new FactlogError(code, `${location.shown}: ${message}`, {
      cause: error,
      retryable,
      details: { store: location.shown, ...(answer === undefined ? {} : { sqlstate: answer.code }) },
    });
  if (answer === undefined) return withoutAnswer(error, text, make);
  const raisedByUs = ours(answer.code, text, error);
  if (raisedByUs !== undefined) return raisedByUs;
  const passing = passingStates[answer.code]?.(text);
  if (passing !== undefined) return make(passing[0], passing[1], true);
  switch (answer.code) {
    case "25006":
      return make("STORE_READ_ONLY", "the database is read-only, as a standby is: name the primary server.");
    case "42501":
      return make("ACCESS_DENIED", `${text}: ${mending(text, location)}`);
    case "28P01":
    case "28000":
      return make("ACCESS_DENIED", `${text}: look at the user and password of the address, and at pg_hba.conf.`);
    case "3D000":
      return make("STORE_UNREACHABLE", `${text}: create it (createdb), or name another.`);
    case "42P01":
    case "3F000":
    case "42883":
      return make("STORE_FAILED", `the log's schema is not whole (${text}): restore it, or name another schema.`);
    default:
      return isLost(error) ? make("STORE_UNREACHABLE", `the connection ended (${text}).`, true) : error;
  }
}

/** What our own functions in the database raise. */
function ours(state: string, text: string, cause: unknown): FactlogError | undefined {
  switch (state) {
    case raised.leaseLost:
      return new FactlogError("LEASE_LOST", "this session was declared dead by others: join anew.", { cause });
    case raised.impossible:
      return new FactlogError("ASSERTION", `impossible state: ${text}. Please report it.`, { cause });
    case raised.conflict:
      return new FactlogError("CONFLICT", text, { cause });
    case raised.notFound:
      return new FactlogError("NOT_FOUND", text, { cause });
    default:
      return undefined;
  }
}

type Passing = (text: string) => readonly [code: "STORE_BUSY" | "STORE_FULL", message: string];

const unserialised: Passing = (text) => [
  "STORE_BUSY",
  `transactions stood in each other's way again and again (${text}): nothing was stored; try again.`,
];
const noRoom: Passing = (text) => ["STORE_FULL", `the server has no room (${text}): nothing was stored; make room.`];

/** States that may be over when the same is tried again, by their SQLSTATE. */
const passingStates: Readonly<Record<string, Passing>> = {
  "55P03": () => ["STORE_BUSY", "a lock was not to be had in time: look for a long transaction in pg_stat_activity."],
  "57014": (text) => [
    "STORE_BUSY",
    `a statement was ended (${text}): nothing was stored; look at statement_timeout and at the server's load.`,
  ],
  "40001": unserialised,
  "40P01": unserialised,
  "53300": () => ["STORE_BUSY", "the server has no connection left: raise max_connections, or open fewer processes."],
  "53100": noRoom,
  "53200": noRoom,
  "53400": noRoom,
};

type Make = (code: "STORE_UNREACHABLE", message: string, retryable?: boolean) => FactlogError;

/** The server was not reached, or not as the address wants it. */
function withoutAnswer(error: unknown, text: string, make: Make): unknown {
  if (isOfTls(error)) {
    return make(
      "STORE_UNREACHABLE",
      `no trusted connection (${text}): look at sslmode and sslrootcert of the address, and name the server as its certificate does. Nothing was sent in the clear.`,
    );
  }
  if (!isLost(error)) return error;
  return make("STORE_UNREACHABLE", `no connection (${text}): is the server running and the address right?`, true);
}

/** The statement that gives the right that is missing. */
function mending(text: string, { quoted }: Location): string {
  const database = /for database (\S+)/u.exec(text)?.[1];
  const user = "CURRENT_USER_OF_FACTLOG";
  if (database !== undefined)
    return `GRANT CREATE ON DATABASE ${database} TO ${user}, or let an owner open the log once.`;
  if (/for schema/u.test(text)) return `GRANT USAGE ON SCHEMA ${quoted} TO ${user}.`;
  if (/for function/u.test(text)) return `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${quoted} TO ${user}.`;
  if (/for sequence/u.test(text)) return `GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${quoted} TO ${user}.`;
  return `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${quoted} TO ${user}.`;
}

export function unknownOutcome(error: unknown, location: Location): FactlogError {
  const text = error instanceof Error ? error.message : String(error);
  return new FactlogError(
    "OUTCOME_UNKNOWN",
    `${location.shown}: the connection ended while a transaction was under way (${text}): it may or may not be stored; repeat it under the same ids.`,
    { cause: error, retryable: true, details: { store: location.shown, cause: text } },
  );
}
