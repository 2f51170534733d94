import type { StandardSchemaV1 } from "@standard-schema/spec";
import { FactlogError } from "../errors.ts";

/** Any Standard Schema: zod, valibot, arktype and others. */
// oxlint-disable-next-line typescript/no-explicit-any -- the type parameters of an arbitrary schema
export type AnySchema = StandardSchemaV1<any, any>;
/** What a schema accepts: the wire form. */
export type In<S extends AnySchema> = StandardSchemaV1.InferInput<S>;
/** What a schema gives: the form that handlers see. */
export type Out<S extends AnySchema> = StandardSchemaV1.InferOutput<S>;

export function isSchema(value: unknown): value is AnySchema {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  const standard = (value as { readonly "~standard"?: unknown })["~standard"];
  return (
    typeof standard === "object" &&
    standard !== null &&
    typeof (standard as AnySchema["~standard"]).validate === "function"
  );
}

/** Runs a schema. `what` names it in the message. Throws SCHEMA_ASYNC when it answers with a promise. */
export function runSchema(schema: AnySchema, value: unknown, what: string): StandardSchemaV1.Result<unknown> {
  const result = schema["~standard"].validate(value);
  if (!("then" in result)) return result;
  result.then(undefined, () => undefined);
  throw new FactlogError(
    "SCHEMA_ASYNC",
    `${what}: its schema answers with a promise. Use a synchronous one whose checks throw nothing; look things up before publishing, or in the handler.`,
  );
}

/** One finding of a schema, with its place as text: `lines[0].sku`; "" for the value itself. */
export interface SchemaIssue {
  readonly path: string;
  readonly message: string;
}

export function issuesOf(failure: StandardSchemaV1.FailureResult): readonly SchemaIssue[] {
  return failure.issues.map((issue) => ({
    path: pathText((issue.path ?? []).map((segment) => (typeof segment === "object" ? segment.key : segment))),
    message: issue.message,
  }));
}

/** First issue in one line, and how many more there are. */
export function issuesText(issues: readonly SchemaIssue[]): string {
  const [first, ...rest] = issues;
  if (first === undefined) return "the schema refused it without saying why";
  const message = first.message.replace(/^Invalid (?:input|type): /, "").replace(/\.$/, "");
  const named = first.path === "" || message.startsWith(first.path) ? message : `${first.path}: ${message}`;
  return rest.length === 0 ? named : `${named} (and ${rest.length} more)`;
}

/** `["lines", 0, "sku"]` as `lines[0].sku`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (typeof key === "string" && /^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(key)) text += text === "" ? key : `.${key}`;
    else text += typeof key === "symbol" ? `[${String(key)}]` : `[${JSON.stringify(key)}]`;
  }
  return text;
}
