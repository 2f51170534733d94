import { limits } from "../limits.ts";
import { mediaTypeOf, textOf, unsupported } from "./body.ts";
import type { Call } from "./call.ts";
import { fieldsOf, invalid, requireJson } from "./plain.ts";

/** A small JSON object with no other fields than these; no body is an empty one. */
export async function fieldsIn(
  { request, incoming }: Call,
  names: readonly string[],
): Promise<ReadonlyMap<string, unknown>> {
  const type = mediaTypeOf(request.headers.get("content-type"));
  const text = await textOf(request, incoming);
  if (text === "") return new Map();
  if (type !== "application/json") throw unsupported("this body", "application/json");
  requireJson(text);
  const fields = fieldsOf(text, { start: 0, end: text.length });
  for (const name of fields.keys())
    if (!names.includes(name)) throw invalid(name.slice(0, 80), "is no field of this request.");
  return new Map([...fields].map(([name, { start, end }]) => [name, JSON.parse(text.slice(start, end)) as unknown]));
}

/** A field that has to be text where it is there. Throws INVALID_ATTRIBUTE. */
export function textField(fields: ReadonlyMap<string, unknown>, name: string): string | undefined {
  const value = fields.get(name);
  if (value === undefined) return undefined;
  if (typeof value !== "string" || Buffer.byteLength(value) > limits.attributesBytesMax || !value.isWellFormed())
    throw invalid(name, "is no text of a reasonable length.");
  return value;
}
