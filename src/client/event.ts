import { FactlogError } from "../errors.ts";
import { issuesOf, issuesText, runSchema } from "../event/schema.ts";
import { applyUpcasts, type UpcastStep } from "../event/upcast.ts";
import { membersOf } from "../http/json-text.ts";
import type { AnyEventType, EventOf, Position, RecordedEvent } from "../index.ts";

/** What `defineEvent` keeps, found without loading it: see event/define.ts. */
const definitionKey: unique symbol = Symbol.for("factlog.definition");
interface Defined {
  readonly [definitionKey]: { readonly upcasts: ReadonlyMap<number, UpcastStep> };
}

/** Attributes that become fields; all others are extensions. */
const fields = new Set([
  "specversion",
  "id",
  "source",
  "type",
  "datacontenttype",
  "dataschema",
  "subject",
  "time",
  "partitionkey",
  "factloggroup",
  "causationid",
  "correlationid",
  "traceparent",
  "tracestate",
  "sequence",
  "recordedtime",
  "data",
]);

/** A CloudEvent of a log as handlers see it: its data as stored, or, where its type is known here, through the schema. */
export function eventOf<E extends AnyEventType>(text: string, position: string, types: readonly E[]): EventOf<E> {
  const event = JSON.parse(text) as Readonly<Record<string, string>> & { readonly data: unknown };
  const type = types.find((each) => each.type === event.type);
  const raw = membersOf(text)?.find((member) => member.name === "data");
  const recorded: RecordedEvent = {
    type: event["type"] ?? "",
    data: type === undefined ? event.data : through(type, event),
    id: event["id"] ?? "",
    source: event["source"] ?? "",
    key: event["partitionkey"],
    group: event["factloggroup"],
    position: position as Position,
    time: new Date(event["time"] ?? ""),
    recordedTime: new Date(event["recordedtime"] ?? ""),
    correlationId: event["correlationid"] ?? "",
    causationId: event["causationid"],
    subject: event["subject"],
    traceparent: event["traceparent"],
    tracestate: event["tracestate"],
    extensions: Object.fromEntries(Object.entries(event).filter(([name]) => !fields.has(name))) as Record<
      string,
      string
    >,
    erased: false,
    raw: () => new TextEncoder().encode(raw === undefined ? "null" : text.slice(raw.start, raw.end)),
  };
  return recorded as EventOf<E>;
}

function through(type: AnyEventType, event: { readonly [name: string]: unknown; readonly data: unknown }): unknown {
  const stored = Number(/:(\d+)$/u.exec(String(event["dataschema"]))?.[1] ?? type.version);
  if (stored > type.version)
    throw new FactlogError(
      "AWAIT_DEPLOY",
      `${type.type} ${String(event["id"])} is of version ${stored}, this code knows ${type.version}: deploy the newer definition.`,
    );
  const { upcasts } = (type as unknown as Defined)[definitionKey];
  const current = stored < type.version ? applyUpcasts(upcasts, event.data, stored, type.version) : event.data;
  const result = runSchema(type.schema, current, type.type);
  if (result.issues === undefined) return result.value;
  throw new FactlogError(
    "POISON",
    `${type.type} ${String(event["id"])} cannot be read: ${issuesText(issuesOf(result))}.`,
    {
      details: { reason: "schema", type: type.type, id: event["id"] },
    },
  );
}
