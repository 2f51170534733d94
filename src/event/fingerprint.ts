import { createHash } from "node:crypto";
import type { AnySchema } from "./schema.ts";

interface JsonSchemaSource {
  readonly jsonSchema?: {
    readonly input: (options: { readonly target: string }) => unknown;
    readonly output: (options: { readonly target: string }) => unknown;
  };
}

/**
 * 16 hex digits that name what a schema accepts at one version. "" where the schema has no JSON Schema, and where it may
 * change a value: JSON Schema does not show a `trim()`, so a reader could take it for the schema without. Data under ""
 * run through the schema on every read.
 */
export function fingerprintOf(schema: AnySchema, version: number): string {
  try {
    const source = (schema["~standard"] as JsonSchemaSource).jsonSchema;
    if (source === undefined || !keepsValues(schema)) return "";
    const target = { target: "draft-2020-12" };
    const text = JSON.stringify([version, source.input(target), source.output(target)]);
    return createHash("sha256").update(text).digest("hex").slice(0, 16);
  } catch {
    return "";
  }
}

/**
 * Whether the schema is known to give present values back as they were. It may refuse them, drop undeclared members and
 * fill in absent ones: those show in its JSON Schema. Libraries that cannot be asked count as changing values.
 */
function keepsValues(schema: AnySchema): boolean {
  switch (schema["~standard"].vendor) {
    case "zod":
      return zodKeepsValues(schema, new Set());
    case "arktype":
      return (schema as { readonly includesTransform?: unknown }).includesTransform === false;
    default:
      return false;
  }
}

/** Kinds of zod schemas, as in https://zod.dev/packages/core, that keep a value if their parts do. */
const zodKinds = new Set(
  (
    "string number boolean null any unknown never literal enum template_literal " +
    "object array tuple record union intersection lazy optional nullable nonoptional readonly default prefault"
  ).split(" "),
);

interface ZodDefinition {
  readonly type?: string;
  readonly check?: string;
  readonly format?: string;
  readonly coerce?: boolean;
  readonly fn?: unknown;
  readonly getter?: () => unknown;
}

/** Walks schemas, their checks, and the lists and records that hold them. */
function zodKeepsValues(node: unknown, seen: Set<unknown>): boolean {
  if (typeof node !== "object" || node === null || seen.has(node)) return true;
  seen.add(node);
  const definition = (node as { readonly _zod?: { readonly def: ZodDefinition } })._zod?.def;
  if (definition === undefined) return Object.values(node).every((part) => zodKeepsValues(part, seen));
  if (!zodNodeKeepsValues(definition)) return false;
  const parts = definition.type === "lazy" ? [definition.getter?.()] : Object.values(definition);
  return parts.every((part) => zodKeepsValues(part, seen));
}

function zodNodeKeepsValues({ type, check, format, coerce, fn }: ZodDefinition): boolean {
  if (check === "overwrite" || coerce === true) return false;
  // A `refine` has a function that answers yes or no; other custom checks get hold of the value itself.
  if (check === "custom") return fn !== undefined;
  // `z.url()` trims.
  if (format === "url") return false;
  return type === undefined ? check !== undefined : zodKinds.has(type);
}
