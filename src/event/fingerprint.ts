import { createHash } from "node:crypto";
import type { AnySchema } from "./schema.ts";

interface JsonSchemaSource {
  readonly jsonSchema?: {
    readonly input: (options: { readonly target: string }) => unknown;
    readonly output: (options: { readonly target: string }) => unknown;
  };
}

/**
 * 16 hex digits that name what a schema accepts and gives at one version; "" where the schema cannot say either as JSON
 * Schema (always so where it transforms): its data are then validated on every read.
 */
export function fingerprintOf(schema: AnySchema, version: number): string {
  try {
    const source = (schema["~standard"] as JsonSchemaSource).jsonSchema;
    if (source === undefined) return "";
    const target = { target: "draft-2020-12" };
    const text = JSON.stringify([version, source.input(target), source.output(target)]);
    return createHash("sha256").update(text).digest("hex").slice(0, 16);
  } catch {
    return "";
  }
}
