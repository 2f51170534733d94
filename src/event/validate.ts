import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { jsonFault, nestsTooDeep, sameJson } from "./json.ts";
import { type AnySchema, issuesOf, issuesText, pathText, runSchema } from "./schema.ts";

/** Data in the form in which it is stored. */
export interface WireData {
  readonly text: string;
  /** The schema gave back what it was given. */
  readonly plain: boolean;
}

/**
 * Checks `data` against JSON, bounds and schema, and writes it as JSON. `text`, where it is given, is the JSON text that
 * `data` was parsed from: it is kept byte for byte. Throws INVALID_DATA, NESTING_TOO_DEEP, EVENT_TOO_LARGE, SCHEMA_ASYNC.
 */
export function validateData(type: string, schema: AnySchema, data: unknown, text: string | undefined): WireData {
  const wire = text ?? jsonTextOf(type, data);
  checkDataSize(type, wire);
  const result = runSchema(schema, data, type);
  if (result.issues !== undefined) {
    const issues = issuesOf(result);
    throw new FactlogError("INVALID_DATA", `${type}: ${issuesText(issues)}. Nothing was stored.`, {
      details: { type, issues },
    });
  }
  return { text: wire, plain: sameJson(data, result.value) };
}

function jsonTextOf(type: string, data: unknown): string {
  const fault = jsonFault(data);
  if (fault === undefined) return JSON.stringify(data);
  const path = pathText(fault.path);
  throw new FactlogError(
    fault.code,
    `${type}: ${path === "" ? "data" : path} is ${fault.reason}. Nothing was stored.`,
    {
      details: { type, issues: [{ path, message: `is ${fault.reason}` }] },
    },
  );
}

function checkDataSize(type: string, text: string): void {
  if (text.length * 3 <= limits.eventBytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.eventBytesMax) return;
  throw new FactlogError(
    "EVENT_TOO_LARGE",
    `${type}: data is ${bytes} bytes, the limit is ${limits.eventBytesMax}: store large things elsewhere and publish where they are.`,
    { details: { type, bytes, limit: limits.eventBytesMax } },
  );
}

/** The schema's output. Throws INVALID_DATA (details: `issues`) with `what` in the message, and SCHEMA_ASYNC. */
export function validate(schema: AnySchema, value: unknown, what: string): { readonly value: unknown } {
  const result = runSchema(schema, value, what);
  if (result.issues === undefined) return result;
  const issues = issuesOf(result);
  throw new FactlogError("INVALID_DATA", `${what}: ${issuesText(issues)}.`, { details: { issues } });
}

/** Parses JSON text after its bounds have been checked. Throws INVALID_DATA, NESTING_TOO_DEEP, EVENT_TOO_LARGE. */
export function parseData(type: string, text: string): unknown {
  if (typeof text !== "string" || !text.isWellFormed()) {
    throw new FactlogError("INVALID_DATA", `${type}: data is no well-formed text. Nothing was stored.`, {
      details: { type },
    });
  }
  checkDataSize(type, text);
  if (nestsTooDeep(text)) {
    throw new FactlogError(
      "NESTING_TOO_DEEP",
      `${type}: data has more than ${limits.nestingMax} levels. Nothing was stored.`,
      {
        details: { type, limit: limits.nestingMax },
      },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FactlogError(
      "INVALID_DATA",
      `${type}: data is no JSON: ${(cause as Error).message}. Nothing was stored.`,
      {
        cause,
        details: { type, issues: [{ path: "", message: (cause as Error).message }] },
      },
    );
  }
}
