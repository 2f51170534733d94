import { FactlogError } from "../errors.ts";
import { isPosition } from "../event/position.ts";
import type { From, Position } from "../index.ts";
import { limits } from "../limits.ts";
import { shown } from "./body.ts";
import type { Parameter } from "./call.ts";
import { timeOf } from "./time.ts";

export const parameters = {
  types: {
    name: "type",
    in: "query",
    description: "Only events of this type; may be given several times.",
    schema: { type: "array", items: { type: "string" } },
  },
  key: { name: "key", in: "query", description: "Only events of this key.", schema: { type: "string" } },
  group: { name: "group", in: "query", description: "Only events of this group.", schema: { type: "string" } },
  correlation: {
    name: "correlation",
    in: "query",
    description: "Only events of this correlation.",
    schema: { type: "string" },
  },
  from: {
    name: "from",
    in: "query",
    description: '"beginning", "now", a time (RFC 3339), or a cursor: what lies behind it.',
    schema: { type: "string" },
  },
  since: {
    name: "since",
    in: "query",
    description:
      "A position that the correlation does not begin before, as in the links that publishing answers: spares reading the log from its beginning.",
    schema: { type: "string" },
  },
  limit: {
    name: "limit",
    in: "query",
    description: "At most so many.",
    schema: { type: "integer", minimum: 1, maximum: limits.listMax, default: limits.listDefault },
  },
  lastEventId: {
    name: "Last-Event-ID",
    in: "header",
    description: "The id of the last event that was received: the stream goes on behind it.",
    schema: { type: "string" },
  },
} as const satisfies Readonly<Record<string, Parameter>>;

export const pathParameter = (name: string, description: string): Parameter => ({
  name,
  in: "path",
  description,
  schema: { type: "string" },
});

/** The query as the route knows it. Throws INVALID_OPTION on names it does not have, on repeats, and on bad values. */
export function parseQuery(
  search: URLSearchParams,
  known: readonly Parameter[],
): ReadonlyMap<string, readonly string[]> {
  const query = new Map<string, readonly string[]>();
  for (const name of new Set(search.keys())) {
    const parameter = known.find((each) => each.in === "query" && each.name === name);
    if (parameter === undefined) throw bad(`${shown(name)} is no parameter of this path`);
    const values = search.getAll(name);
    if (values.length > 1 && parameter.schema.type !== "array") throw bad(`${name} is given ${values.length} times`);
    if (values.length > limits.listMax) throw bad(`${name} is given more than ${limits.listMax} times`);
    for (const value of values) checkValue(parameter, value);
    query.set(name, values);
  }
  return query;
}

function checkValue({ name, schema }: Parameter, value: string): void {
  if (value === "") throw bad(`${name} is empty`);
  if (schema.type !== "integer") return;
  const number = Number(value);
  if (/^\d{1,9}$/u.test(value) && number >= schema.minimum && number <= schema.maximum) return;
  throw bad(`${name} is ${shown(value)}: give a whole number from ${schema.minimum} to ${schema.maximum}`);
}

const bad = (message: string): FactlogError => new FactlogError("INVALID_OPTION", `${message}.`);

/** Where to begin, as the query says it. */
export function fromOf(text: string | undefined): From | undefined {
  if (text === undefined || text === "beginning" || text === "now") return text;
  if (isPosition(text)) return text;
  return timeOf("from", text, "INVALID_OPTION");
}

export function positionOf(name: string, text: string | null | undefined): Position | undefined {
  if (text === undefined || text === null || text === "") return undefined;
  if (text.length <= limits.keyBytesMax && isPosition(text)) return text;
  throw bad(`${name} is ${shown(text)}, which is no position: give one as an event's id field or a link shows it`);
}
