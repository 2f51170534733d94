import { crc32 } from "node:zlib";
import { FactlogError } from "../errors.ts";
import {
  definitionOfEvent,
  type EventAttributes,
  type EventDefinition,
  jsonTextOf,
  type NewEvent,
  noAttributes,
} from "./define.ts";
import {
  attributesText,
  checkExtensions,
  checkId,
  checkName,
  checkTraceparent,
  checkTracestate,
  parseAttributes,
  timeMsOf,
} from "./envelope.ts";
import type { EncodedEvent, Slot } from "./stored-event.ts";
import { parseData, validateData } from "./validate.ts";

type Summed = Omit<EncodedEvent, "crc" | "schema" | "plain">;

/**
 * crc32 over every field but `schema` and `plain`, data last. Fields are divided by U+0000, which none of them can hold,
 * and an absent key or group differs from an empty one. One call over one text: two chained ones cost twice as much.
 */
export function checksum(event: Summed): number {
  const { source, id, type, timeMs, version, attributes, data } = event;
  const key = event.key === undefined ? "" : `=${event.key}`;
  const group = event.group === undefined ? "" : `=${event.group}`;
  return crc32(`${source}\0${id}\0${type}\0${key}\0${group}\0${timeMs}\0${version}\0${attributes}\0${data}`);
}

export function isIntact(event: EncodedEvent): boolean {
  return checksum(event) === event.crc;
}

/**
 * Whether two events of one identity say the same: type, key, subject, version and the data's text. Time, trace and
 * correlation do not count: the first stored win.
 */
export function sameContent(a: EncodedEvent, b: EncodedEvent): boolean {
  if (a.data !== b.data || a.type !== b.type || a.key !== b.key || a.version !== b.version) return false;
  return (
    a.attributes === b.attributes || parseAttributes(a.attributes).subject === parseAttributes(b.attributes).subject
  );
}

/** What `append` throws where another fact stands under this identity. `index`: of the event in its batch. */
export function idConflict(event: EncodedEvent, index: number): FactlogError {
  return new FactlogError(
    "ID_CONFLICT",
    `an event with id ${JSON.stringify(event.id)} of source ${JSON.stringify(event.source)} is stored with other content: ` +
      "the data's bytes count, order of names and spelling of numbers included. Give a new fact an id of its own.",
    { details: { index, id: event.id } },
  );
}

/** What an event's slot is the remainder of, in logs that leave the choice to us: of its key, without one of its id. */
export function hashOf(event: Pick<EncodedEvent, "key" | "id">): number {
  return crc32(event.key ?? event.id);
}

export function slotOf(event: Pick<EncodedEvent, "key" | "id">, slots: number): Slot {
  return hashOf(event) % slots;
}

/** Of the event or delivery that led to this one. The event's own attributes come before it. */
interface Surroundings {
  /** Default: the event's own id. */
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** What surrounds an event when it is encoded. The event's own attributes come before it. */
export interface EncodeContext extends Surroundings {
  /** Default source. */
  readonly source: string;
  /** Default time, milliseconds since 1970. */
  readonly nowMs: number;
  /** Default id. */
  uuid(): string;
  /** Id of an event that has none of its own and whose type derives none: those emitted by a delivery. */
  readonly id?: string | undefined;
}

/**
 * Validates and encodes. Precedence: the event's own attributes, then what its definition derives from the data, then the
 * context, then the default. Throws INVALID_DATA, INVALID_ATTRIBUTE, NESTING_TOO_DEEP, EVENT_TOO_LARGE, SCHEMA_ASYNC, and
 * INVALID_OPTION for an event that no event type made.
 */
export function encodeEvent(event: NewEvent, context: EncodeContext): EncodedEvent {
  const definition = definitionOfEvent(event);
  const { data, attributes } = event;
  if (attributes !== noAttributes) checkAttributeNames(attributes);
  const wire = validateData(definition.type, definition.schema, data, jsonTextOf(event));
  const id = idOf(definition, event, context);
  const encoded = {
    source: sourceOf(attributes.source ?? context.source),
    id,
    type: definition.type,
    key: derived("key", definition, data),
    group: derived("group", definition, data),
    timeMs: attributes.time === undefined ? context.nowMs : timeMsOf(attributes.time),
    attributes: encodeAttributes(id, attributes, context),
    data: wire.text,
    version: definition.version,
    schema: definition.fingerprint,
    plain: wire.plain,
    crc: 0,
  };
  encoded.crc = checksum(encoded);
  return encoded;
}

/** An event that was stated elsewhere, with its own identity, time, key and version. */
export interface StatedElsewhere extends Pick<EncodedEvent, "type" | "data" | "key" | "group" | "version"> {
  readonly attributes: EventAttributes & Required<Pick<EventAttributes, "id" | "source" | "time">>;
}

/**
 * Encodes it as it stands. Its schema is not at hand, so its data are validated whenever they are read. Throws
 * INVALID_DATA, INVALID_ATTRIBUTE, NESTING_TOO_DEEP, EVENT_TOO_LARGE.
 */
export function encodeStated({ attributes, ...event }: StatedElsewhere): EncodedEvent {
  const { id, source, time } = attributes;
  const { type, data, key, group, version } = event;
  checkName("type", type);
  checkId("id", id);
  if (key !== undefined) checkId("key", key);
  if (group !== undefined) checkId("group", group);
  parseData(type, data);
  const encoded = {
    source: sourceOf(source),
    id,
    type,
    key,
    group,
    timeMs: timeMsOf(time),
    attributes: encodeAttributes(id, attributes, {}),
    data,
    version,
    schema: "",
    plain: false,
    crc: 0,
  };
  encoded.crc = checksum(encoded);
  return encoded;
}

function idOf(definition: EventDefinition, event: NewEvent, context: EncodeContext): string {
  const id = event.attributes.id ?? derived("id", definition, event.data) ?? context.id;
  if (id === undefined) return context.uuid();
  checkId("id", id);
  return id;
}

function derived(name: "key" | "id" | "group", definition: EventDefinition, data: unknown): string | undefined {
  const derive = definition[name];
  if (derive === undefined) return undefined;
  let value: string;
  try {
    value = derive(data);
  } catch (cause) {
    throw new FactlogError("INVALID_ATTRIBUTE", `${definition.type}: its ${name} function threw: ${String(cause)}`, {
      cause,
      details: { attribute: name, type: definition.type },
    });
  }
  checkId(name, value);
  return value;
}

let checkedSource: string | undefined;

/** Sources repeat: the last good one is not checked again. */
function sourceOf(source: string): string {
  if (source !== checkedSource) {
    checkName("source", source);
    checkedSource = source;
  }
  return source;
}

function encodeAttributes(id: string, own: EventAttributes, context: Surroundings): string {
  if (own === noAttributes && isBare(context)) return "";
  const correlationId = own.correlationId ?? context.correlationId;
  const causationId = own.causationId ?? context.causationId;
  const traceparent = own.traceparent ?? context.traceparent;
  // The state belongs to its parent: an own parent does not take the context's state.
  const tracestate = own.tracestate ?? (own.traceparent === undefined ? context.tracestate : undefined);
  const { subject, extensions = {} } = own;
  if (correlationId !== undefined) checkId("correlationId", correlationId);
  if (causationId !== undefined) checkId("causationId", causationId);
  if (subject !== undefined) checkId("subject", subject);
  if (traceparent !== undefined) checkTraceparent(traceparent);
  if (tracestate !== undefined) checkTracestate(tracestate);
  checkExtensions(extensions);
  const correlation = correlationId === id ? undefined : correlationId;
  return attributesText({ correlationId: correlation, causationId, subject, traceparent, tracestate, extensions });
}

function isBare({ correlationId, causationId, traceparent, tracestate }: Surroundings): boolean {
  return (correlationId ?? causationId ?? traceparent ?? tracestate) === undefined;
}

const attributeNames = new Set([
  "id",
  "source",
  "subject",
  "time",
  "correlationId",
  "causationId",
  "traceparent",
  "tracestate",
  "extensions",
]);

function checkAttributeNames(attributes: EventAttributes): void {
  for (const name of Object.keys(attributes)) {
    if (attributeNames.has(name)) continue;
    throw new FactlogError(
      "INVALID_ATTRIBUTE",
      `${name} is no attribute of an event: an own one goes into extensions.`,
      {
        details: { attribute: name },
      },
    );
  }
}
