import { FactlogError } from "../errors.ts";
import { isJsonType, mediaTypeOf, unsupported } from "./body.ts";
import type { Draft } from "./draft.ts";
import type { Span } from "./json-text.ts";
import { fieldsOf, invalid } from "./plain.ts";
import { timeOf } from "./time.ts";

/** A CloudEvent in structured form; its data keep their bytes. */
export function structuredDraft(text: string, span: Span): Draft {
  const fields = fieldsOf(text, span);
  const attributes = new Map<string, string>();
  for (const [name, { start, end }] of fields) {
    if (name === "data" || name === "data_base64") continue;
    const value = textOf(name.slice(0, 80), JSON.parse(text.slice(start, end)) as unknown);
    if (value !== undefined) attributes.set(name, value);
  }
  const [data, base64] = [fields.get("data"), fields.get("data_base64")];
  if (data !== undefined && base64 !== undefined) throw invalid("data_base64", "stands beside data: give one of them.");
  if (base64 !== undefined)
    return draftOf(attributes, fromBase64(JSON.parse(text.slice(base64.start, base64.end)) as unknown));
  return draftOf(attributes, data === undefined ? undefined : text.slice(data.start, data.end));
}

/** A value of the type system of CloudEvents in its canonical text; undefined for null, which means not given. */
function textOf(name: string, value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || Number.isInteger(value)) return JSON.stringify(value);
  throw invalid(
    name,
    `is ${Array.isArray(value) ? "an array" : `a ${typeof value}`}: give text, a boolean or an integer.`,
  );
}

function fromBase64(value: unknown): string {
  const clean =
    typeof value === "string" && /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/u.test(value);
  if (!clean) throw invalid("data_base64", "is no base64.");
  return fromUtf8(Buffer.from(value, "base64"), "data_base64");
}

function fromUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid(name, "is no UTF-8.");
  }
}

/** Whether the headers carry a CloudEvent, the body being its data. */
export const isBinary = (headers: Headers): boolean => headers.has("ce-specversion") || headers.has("ce-type");

/** A CloudEvent in binary form: attributes in headers, the body as its data. */
export function binaryDraft(headers: Headers, body: string): Draft {
  const attributes = new Map<string, string>();
  for (const [header, value] of headers) {
    if (!header.startsWith("ce-")) continue;
    const name = header.slice("ce-".length);
    if (name === "datacontenttype") throw invalid("ce-datacontenttype", "is no header: content-type says it.");
    attributes.set(name, decodeHeader(name, value));
  }
  const contentType = headers.get("content-type");
  if (contentType !== null) attributes.set("datacontenttype", contentType);
  return draftOf(attributes, body === "" ? undefined : body);
}

/** Quoted strings first, then one round of percent-decoding; what decodes to no UTF-8 is refused. */
export function decodeHeader(name: string, value: string): string {
  if (!/^[\x20-\x7e]*$/u.test(value)) throw invalid(`ce-${name}`, "holds more than ASCII: percent-encode its UTF-8.");
  const quoted = /^"((?:[^"\\]|\\.)*)"$/u.exec(value)?.[1];
  const text = quoted === undefined ? value : quoted.replaceAll(/\\(.)/gu, "$1");
  return text.replaceAll(/(?:%[\da-f]{2})+/giu, (run) =>
    fromUtf8(Buffer.from(run.replaceAll("%", ""), "hex"), `ce-${name}`),
  );
}

/** Given by the log, so they are not taken from the caller; they stand in what the log itself has exported. */
const given = new Set(["specversion", "type", "datacontenttype", "sequence", "recordedtime"]);
const renamed: Readonly<Record<string, keyof Draft["attributes"]>> = {
  id: "id",
  source: "source",
  subject: "subject",
  correlationid: "correlationId",
  causationid: "causationId",
  traceparent: "traceparent",
  tracestate: "tracestate",
};
const claimed: Readonly<Record<string, keyof Draft["claims"]>> = {
  partitionkey: "key",
  factloggroup: "group",
  dataschema: "schema",
};

function draftOf(from: ReadonlyMap<string, string>, data: string | undefined): Draft {
  const { specversion, type, datacontenttype } = requiredOf(from);
  if (specversion !== "1.0")
    throw invalid("specversion", `is ${JSON.stringify(specversion.slice(0, 20))}: give "1.0".`);
  if (datacontenttype !== undefined && !isJsonType(mediaTypeOf(datacontenttype)))
    throw unsupported(`data of ${JSON.stringify(datacontenttype.slice(0, 80))}`, "JSON");
  const attributes: Record<string, unknown> = {};
  const claims: Record<string, string> = {};
  const extensions: [string, string][] = [];
  for (const [name, value] of from) {
    if (given.has(name)) continue;
    if (Object.hasOwn(renamed, name)) attributes[renamed[name] as string] = value;
    else if (Object.hasOwn(claimed, name)) claims[claimed[name] as string] = value;
    else if (name === "time") attributes["time"] = timeOf("time", value, "INVALID_ATTRIBUTE");
    else extensions.push([name, value]);
  }
  // Of entries, so that a name such as __proto__ is one like any other.
  if (extensions.length > 0) attributes["extensions"] = Object.fromEntries(extensions);
  return { type, data: data ?? "null", attributes, claims };
}

function requiredOf(from: ReadonlyMap<string, string>): {
  readonly specversion: string;
  readonly type: string;
  readonly datacontenttype: string | undefined;
} {
  for (const name of ["specversion", "id", "source", "type"])
    if ((from.get(name) ?? "") === "") throw invalid(name, "is missing: every CloudEvent has it.");
  return {
    specversion: from.get("specversion") as string,
    type: from.get("type") as string,
    datacontenttype: from.get("datacontenttype"),
  };
}

/** What a dataschema of ours says of an event type: another version of it is other data. */
export function checkDataSchema(schema: string | undefined, type: string, version: number): void {
  if (schema === undefined || !schema.startsWith("factlog:")) return;
  const expected = `factlog:${encodeURIComponent(type)}:${version}`;
  if (schema === expected) return;
  throw new FactlogError(
    "INVALID_ATTRIBUTE",
    `dataschema ${JSON.stringify(schema.slice(0, 80))} is not ${expected}, which is published here.`,
    {
      details: { attribute: "dataschema", expected },
    },
  );
}
