import { inspect } from "node:util";
import { FactlogError } from "../errors.ts";
import { isIntact } from "./codec.ts";
import type { EventDefinition, RecordedEvent } from "./define.ts";
import { type Envelope, parseAttributes } from "./envelope.ts";
import { formatPosition, type Position } from "./position.ts";
import { issuesOf, issuesText, runSchema } from "./schema.ts";
import type { StoredEvent } from "./stored-event.ts";
import { applyUpcasts } from "./upcast.ts";

const notParsed: unique symbol = Symbol("not parsed");

/** A view of a stored event. Its fields are getters, so that what a handler does not look at costs nothing. */
class DecodedEvent implements RecordedEvent {
  readonly #stored: StoredEvent;
  readonly #epoch: string;
  #data: unknown;
  #envelope: Envelope | undefined;
  constructor(stored: StoredEvent, epoch: string, data: unknown) {
    this.#stored = stored;
    this.#epoch = epoch;
    this.#data = data;
  }
  get type(): string {
    return this.#stored.type;
  }
  get data(): unknown {
    if (this.#data === notParsed) this.#data = JSON.parse(this.#stored.data);
    return this.#data;
  }
  get id(): string {
    return this.#stored.id;
  }
  get source(): string {
    return this.#stored.source;
  }
  get key(): string | undefined {
    return this.#stored.key;
  }
  get group(): string | undefined {
    return this.#stored.group;
  }
  get position(): Position {
    return formatPosition(this.#epoch, this.#stored.slot, this.#stored.position);
  }
  get time(): Date {
    return new Date(this.#stored.timeMs);
  }
  get recordedTime(): Date {
    return new Date(this.#stored.recordedMs);
  }
  get correlationId(): string {
    return this.#attributes.correlationId ?? this.#stored.id;
  }
  get causationId(): string | undefined {
    return this.#attributes.causationId;
  }
  get subject(): string | undefined {
    return this.#attributes.subject;
  }
  get traceparent(): string | undefined {
    return this.#attributes.traceparent;
  }
  get tracestate(): string | undefined {
    return this.#attributes.tracestate;
  }
  get extensions(): Readonly<Record<string, string>> {
    return this.#attributes.extensions;
  }
  get erased(): boolean {
    return false;
  }
  get #attributes(): Envelope {
    return (this.#envelope ??= parseAttributes(this.#stored.attributes));
  }
  raw(): Uint8Array {
    return Buffer.from(this.#stored.data);
  }
  /** All fields as a plain object, as `JSON.stringify` and `console.log` show them. */
  toJSON(): Omit<RecordedEvent, "raw"> {
    const { type, data, id, source, key, group, position, time, recordedTime } = this;
    const { correlationId, causationId, subject, traceparent, tracestate, extensions, erased } = this;
    const place = { id, source, key, group, position, time, recordedTime };
    return { type, ...place, correlationId, causationId, subject, traceparent, tracestate, extensions, erased, data };
  }
  [inspect.custom](depth: number, options: object): string {
    if (depth < 0) return "[RecordedEvent]";
    const shown = Object.entries(this.toJSON()).filter(([, value]) => value !== undefined);
    return `RecordedEvent ${inspect(Object.fromEntries(shown), { ...options, depth })}`;
  }
  /** The stored form, for the codecs of this folder. */
  static storedOf(event: RecordedEvent): StoredEvent | undefined {
    return typeof event === "object" && event !== null && #stored in event ? event.#stored : undefined;
  }
}

/** The stored form of an event that `decodeEvent` or `decodeUnknown` of this copy of the package made. */
export function storedOf(event: RecordedEvent): StoredEvent | undefined {
  return DecodedEvent.storedOf(event);
}

/**
 * The one way from a stored event to what handlers see. The checksum is verified at once; data of which the schema is
 * known to say nothing new are parsed when first looked at, all others are upcast and run through the schema now.
 *
 * Throws POISON where the event cannot be read (details: `reason` "checksum" | "json" | "version" | "upcast" | "schema"),
 * and AWAIT_DEPLOY where it was written by a newer version of the definition than this one.
 */
export function decodeEvent(stored: StoredEvent, definition: EventDefinition, epoch: string): RecordedEvent {
  requireIntact(stored);
  const { version } = definition;
  if (stored.version > version) {
    throw new FactlogError(
      "AWAIT_DEPLOY",
      `${place(stored)} is of version ${stored.version}, this code knows ${version}: deploy the newer definition.`,
      { details: { type: stored.type, id: stored.id, stored: stored.version, known: version } },
    );
  }
  const known =
    stored.plain && stored.version === version && stored.schema !== "" && stored.schema === definition.fingerprint;
  return new DecodedEvent(stored, epoch, known ? notParsed : readData(stored, definition));
}

/** An event whose type the code does not know: its data are the stored JSON. The checksum is verified. Throws POISON. */
export function decodeUnknown(stored: StoredEvent, epoch: string): RecordedEvent {
  requireIntact(stored);
  return new DecodedEvent(stored, epoch, parse(stored));
}

function readData(stored: StoredEvent, definition: EventDefinition): unknown {
  const current = upToDate(stored, definition, parse(stored));
  let result: ReturnType<typeof runSchema>;
  try {
    result = runSchema(definition.schema, current, definition.type);
  } catch (cause) {
    throw poison(stored, "schema", String(cause), { cause });
  }
  if (result.issues === undefined) return result.value;
  const issues = issuesOf(result);
  throw poison(stored, "schema", issuesText(issues), { issues });
}

function upToDate(stored: StoredEvent, definition: EventDefinition, data: unknown): unknown {
  if (stored.version === definition.version) return data;
  if (!Number.isSafeInteger(stored.version) || stored.version < 1) {
    throw poison(stored, "version", `its version ${stored.version} never existed`);
  }
  try {
    return applyUpcasts(definition.upcasts, data, stored.version, definition.version);
  } catch (cause) {
    throw poison(stored, "upcast", String(cause), { cause });
  }
}

function parse(stored: StoredEvent): unknown {
  try {
    return JSON.parse(stored.data);
  } catch (cause) {
    throw poison(stored, "json", (cause as Error).message, { cause });
  }
}

function requireIntact(stored: StoredEvent): void {
  if (!isIntact(stored)) throw poison(stored, "checksum", "its bytes are not those that were stored");
}

function poison(
  stored: StoredEvent,
  reason: "checksum" | "json" | "version" | "upcast" | "schema",
  message: string,
  facts: { readonly cause?: unknown; readonly issues?: unknown } = {},
): FactlogError {
  const { cause, issues } = facts;
  return new FactlogError("POISON", `${place(stored)} cannot be read (${reason}): ${message}.`, {
    ...("cause" in facts ? { cause } : {}),
    details: {
      reason,
      type: stored.type,
      id: stored.id,
      slot: stored.slot,
      position: stored.position,
      ...(issues === undefined ? {} : { issues }),
    },
  });
}

function place(stored: StoredEvent): string {
  return `${stored.type} ${JSON.stringify(stored.id)} at ${stored.slot}.${stored.position}`;
}
