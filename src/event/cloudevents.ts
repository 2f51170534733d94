import { FactlogError } from "../errors.ts";
import { storedOf } from "./decode.ts";
import type { RecordedEvent } from "./define.ts";

/**
 * An event in the structured form of CloudEvents 1.0.2: see https://github.com/cloudevents/spec. `data` is the wire form
 * as stored, before upcasting, and `dataschema` names that version: "factlog:<type, percent-encoded>:<version>".
 * Extensions: the official names, `factloggroup`, and the publisher's own.
 */
export interface CloudEvent {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly datacontenttype: "application/json";
  readonly dataschema: string;
  readonly time: string;
  readonly [name: string]: unknown;
}

/** Throws INVALID_OPTION for an event that was not read from a log. */
export function toCloudEvent(event: RecordedEvent): CloudEvent {
  const { head, data } = partsOf(event);
  return { ...head, data: JSON.parse(data) as unknown };
}

/** The same as JSON text, with the data's text byte for byte as stored. */
export function toCloudEventJson(event: RecordedEvent): string {
  const { head, data } = partsOf(event);
  return `${JSON.stringify(head).slice(0, -1)},"data":${data}}`;
}

function partsOf(event: RecordedEvent): { readonly head: CloudEvent; readonly data: string } {
  const stored = storedOf(event);
  if (stored === undefined)
    throw new FactlogError("INVALID_OPTION", "this event was not read from a log: it has no place yet.");
  const optional = {
    subject: event.subject,
    partitionkey: event.key,
    factloggroup: event.group,
    causationid: event.causationId,
    traceparent: event.traceparent,
    tracestate: event.tracestate,
  };
  const head: CloudEvent = {
    specversion: "1.0",
    id: event.id,
    source: event.source,
    type: event.type,
    datacontenttype: "application/json",
    dataschema: `factlog:${encodeURIComponent(event.type)}:${stored.version}`,
    time: event.time.toISOString(),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    correlationid: event.correlationId,
    /** As text that sorts like the number: 16 digits hold every safe integer. */
    sequence: String(stored.position).padStart(16, "0"),
    recordedtime: event.recordedTime.toISOString(),
    ...event.extensions,
  };
  return { head, data: stored.data };
}
