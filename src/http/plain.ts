import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { shown } from "./body.ts";
import type { Draft } from "./draft.ts";
import { jsonFaultAt } from "./json-fault.ts";
import { elementsOf, type Member, membersOf, type Span } from "./json-text.ts";
import { timeOf } from "./time.ts";

type Attributes = { -readonly [Name in keyof Draft["attributes"]]: Draft["attributes"][Name] };

const texts = new Set(["id", "source", "subject", "correlationId", "causationId", "traceparent", "tracestate"]);

/** Throws INVALID_DATA with the place where the text is no JSON. */
export function requireJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (cause) {
    const position = jsonFaultAt(text) ?? 0;
    const what =
      position >= text.length ? "it ends too early" : `${shown(text.slice(position, position + 8))} cannot stand`;
    throw new FactlogError("INVALID_DATA", `this is no JSON: ${what} at position ${position}. Nothing was stored.`, {
      cause,
      details: { position },
    });
  }
}

/** The elements of a batch, each read by `read`; a refusal says of which it is. Throws BODY_TOO_LARGE. */
export function eachOf(text: string, read: (text: string, span: Span) => Draft): readonly Draft[] | undefined {
  const spans = elementsOf(text);
  if (spans === undefined) return undefined;
  if (spans.length > limits.batchEventsMax)
    throw new FactlogError(
      "BODY_TOO_LARGE",
      `a batch is one transaction of at most ${limits.batchEventsMax} events, this one has ${spans.length}. Nothing was stored.`,
    );
  return spans.map((span, index) => atIndex(index, () => read(text, span)));
}

/** The refusal of one event of a batch says which. */
export function atIndex<T>(index: number, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof FactlogError)) throw error;
    throw new FactlogError(error.code, `event ${index} of the batch: ${error.message}`, {
      cause: error,
      details: { ...error.details, index },
    });
  }
}

/** The members of an object, none of them twice. Throws INVALID_DATA. */
export function fieldsOf(text: string, span: Span): ReadonlyMap<string, Member> {
  const members = membersOf(text, span);
  if (members === undefined)
    throw new FactlogError("INVALID_DATA", "an event is a JSON object: { type, data }. Nothing was stored.");
  const fields = new Map(members.map((member) => [member.name, member]));
  if (fields.size === members.length) return fields;
  const twice = members.find((member) => fields.get(member.name) !== member)?.name ?? "";
  throw invalid(twice, "is given twice. Nothing was stored.");
}

/** `{ type, data, id?, ... }`, in the words of `publish`. */
export function plainDraft(text: string, span: Span): Draft {
  const fields = fieldsOf(text, span);
  const attributes: Attributes = {};
  for (const [name, { start, end }] of fields) {
    if (name === "type" || name === "data") continue;
    const value = JSON.parse(text.slice(start, end)) as unknown;
    if (texts.has(name)) attributes[name as "id"] = textIn(name, value);
    else if (name === "time") attributes.time = timeOf("time", textIn("time", value), "INVALID_ATTRIBUTE");
    else if (name === "extensions") attributes.extensions = value as Record<string, string>;
    else throw invalid(name.slice(0, 80), "is no field of an event: own attributes go into extensions.");
  }
  const [type, data] = [fields.get("type"), fields.get("data")];
  if (type === undefined) throw invalid("type", "is missing: say which event it is.");
  if (data === undefined) throw invalid("data", "is missing: give null where there is none.");
  const name = textIn("type", JSON.parse(text.slice(type.start, type.end)) as unknown);
  return { type: name, data: text.slice(data.start, data.end), attributes, claims: {} };
}

function textIn(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw invalid(name, `is ${value === null ? "null" : typeof value}: give a string.`);
}

export function invalid(attribute: string, message: string): FactlogError {
  return new FactlogError("INVALID_ATTRIBUTE", `${attribute} ${message}`, { details: { attribute } });
}
