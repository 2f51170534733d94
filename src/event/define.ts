import { FactlogError } from "../errors.ts";
import { checkName } from "./envelope.ts";
import { fingerprintOf } from "./fingerprint.ts";
import type { Position } from "./position.ts";
import { type AnySchema, type In, isSchema, type Out } from "./schema.ts";
import { type Upcast, upcastChain, type UpcastStep } from "./upcast.ts";
import { parseData } from "./validate.ts";

export interface EventOptions<S extends AnySchema> {
  /**
   * Standard Schema, synchronous. Its INPUT is the wire form: it must be JSON, it is validated before append, and its
   * bytes are what is stored. Its OUTPUT is what handlers get: the schema runs again on read, after the upcasters, so a
   * default added today applies to old facts, and a transform (string -> Date) is allowed.
   */
  readonly schema: S;
  /** Ordering key. Absent: the event is unordered. 1 to 512 bytes of UTF-8. */
  readonly key?: (data: In<S>) => string;
  /**
   * Natural identity. Publishing the same (source, id) twice stores one fact. Default: a fresh UUIDv7, which means that
   * a client's retry makes a SECOND fact: give an id wherever the business has one.
   */
  readonly id?: (data: In<S>) => string;
  /** Who the event belongs to, e.g. the tenant. Stored beside the key, so it is known before data are parsed. */
  readonly group?: (data: In<S>) => string;
  /** Version of the wire form. Default 1. */
  readonly version?: number;
  /** One entry for each older version, in any order; gaps and duplicates are refused. See `upcast`. */
  readonly upcasts?: readonly Upcast[];
  /** For people. */
  readonly description?: string;
}

export interface EventAttributes {
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  readonly time?: Date;
  readonly correlationId?: string;
  readonly causationId?: string;
  /** W3C Trace Context. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** CloudEvents extension attributes: lower-case letters and digits. */
  readonly extensions?: Readonly<Record<string, string>>;
}

/** An event that is made but not yet in the log. Do not change its data before it is published. */
export interface NewEvent<T extends string = string, D = unknown> {
  readonly type: T;
  readonly data: D;
  readonly attributes: EventAttributes;
}

/** A fact: an event as it stands in the log. The union over `on: [A, B]` is discriminated by `type`. */
export interface RecordedEvent<T extends string = string, D = unknown> {
  readonly type: T;
  readonly data: D;
  readonly id: string;
  readonly source: string;
  readonly key: string | undefined;
  readonly group: string | undefined;
  readonly position: Position;
  /** When it happened, by the publisher. */
  readonly time: Date;
  /** When it was appended, by the log. */
  readonly recordedTime: Date;
  readonly correlationId: string;
  readonly causationId: string | undefined;
  readonly subject: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** CloudEvents extension attributes as published. */
  readonly extensions: Readonly<Record<string, string>>;
  /** Whether the data subject was erased; `data` is then `null` at run time. */
  readonly erased: boolean;
  /** The data's bytes as given, before upcasting. */
  raw(): Uint8Array;
}

export interface EventType<T extends string = string, S extends AnySchema = AnySchema> {
  (data: In<S>, attributes?: EventAttributes): NewEvent<T, In<S>>;
  readonly type: T;
  readonly schema: S;
  readonly version: number;
  /** Narrows any event, e.g. one from another app. */
  is(event: { readonly type: string }): event is RecordedEvent<T, Out<S>>;
}
// oxlint-disable-next-line typescript/no-explicit-any -- `unknown` would refuse schemas with a narrower input
export type AnyEventType = EventType<string, any>;
/** The recorded event of an event type: `EventOf<typeof OrderPlaced>`. Distributes over unions. */
export type EventOf<E> = E extends EventType<infer T, infer S> ? RecordedEvent<T, Out<S>> : never;
/** The new event of an event type. Distributes over unions. */
export type NewEventOf<E> = E extends EventType<infer T, infer S> ? NewEvent<T, In<S>> : never;

/** What an event type says, resolved. Internal: reached through `definitionOf`. */
export interface EventDefinition {
  readonly type: string;
  readonly schema: AnySchema;
  readonly version: number;
  /** See `fingerprintOf`. */
  readonly fingerprint: string;
  readonly key: ((data: unknown) => string) | undefined;
  readonly id: ((data: unknown) => string) | undefined;
  readonly group: ((data: unknown) => string) | undefined;
  readonly upcasts: ReadonlyMap<number, UpcastStep>;
  readonly description: string | undefined;
  readonly eventType: AnyEventType;
}

/** Registered symbols, so that two copies of the package in one process understand each other's events. */
const definitionKey: unique symbol = Symbol.for("factlog.definition");
const jsonTextKey: unique symbol = Symbol.for("factlog.jsonText");

/** Of every event without attributes of its own: compared by identity. */
export const noAttributes: EventAttributes = Object.freeze({});
const optionNames = new Set(["schema", "key", "id", "group", "version", "upcasts", "description"]);

class Definition implements EventDefinition {
  readonly type: string;
  readonly schema: AnySchema;
  readonly version: number;
  readonly key: EventDefinition["key"];
  readonly id: EventDefinition["id"];
  readonly group: EventDefinition["group"];
  readonly upcasts: ReadonlyMap<number, UpcastStep>;
  readonly description: string | undefined;
  readonly eventType: AnyEventType;
  #fingerprint: string | undefined;
  constructor(type: string, options: EventOptions<AnySchema>, eventType: AnyEventType) {
    this.type = type;
    this.schema = options.schema;
    this.version = eventType.version;
    this.key = options.key;
    this.id = options.id;
    this.group = options.group;
    this.upcasts = upcastChain(type, eventType.version, options.upcasts ?? []);
    this.description = options.description;
    this.eventType = eventType;
    Object.freeze(this);
  }
  get fingerprint(): string {
    return (this.#fingerprint ??= fingerprintOf(this.schema, this.version));
  }
}

/** Each event type has a subclass that knows the definition, so that an event itself holds nothing but what it shows. */
class MadeEvent implements NewEvent {
  readonly type: string;
  readonly data: unknown;
  readonly attributes: EventAttributes;
  constructor(type: string, data: unknown, attributes: EventAttributes | undefined) {
    this.type = type;
    this.data = data;
    this.attributes = attributes === undefined ? noAttributes : Object.freeze({ ...attributes });
  }
}

/** Defines an event type. Throws INVALID_DEFINITION naming the option, INVALID_ATTRIBUTE on a bad type name. */
export function defineEvent<const T extends string, S extends AnySchema>(
  type: T,
  options: EventOptions<S>,
): EventType<T, S> {
  checkName("event type", type);
  checkOptions(type, options);
  const TypedEvent = class NewEvent extends MadeEvent {};
  const make = (data: In<S>, attributes?: EventAttributes): NewEvent =>
    Object.freeze(new TypedEvent(type, data, attributes));
  const eventType = Object.assign(make, {
    schema: options.schema,
    type,
    version: options.version ?? 1,
    is: (event: { readonly type: string }): boolean => event.type === type,
  }) as unknown as EventType<T, S>;
  const definition = new Definition(type, options as unknown as EventOptions<AnySchema>, eventType);
  Object.defineProperty(TypedEvent.prototype, definitionKey, { value: definition });
  Object.defineProperties(eventType, { [definitionKey]: { value: definition }, name: { value: type } });
  return Object.freeze(eventType);
}

function checkOptions<S extends AnySchema>(type: string, options: EventOptions<S>): void {
  const refuse = (option: string, message: string): never => {
    throw new FactlogError("INVALID_DEFINITION", `${type}: ${option} ${message}`, { details: { type, option } });
  };
  if (typeof options !== "object" || options === null) refuse("options", "are missing: give at least { schema }.");
  for (const name of Object.keys(options)) if (!optionNames.has(name)) refuse(name, "is no option of defineEvent.");
  if (!isSchema(options.schema))
    refuse("schema", "is no Standard Schema: give one of zod, valibot, arktype or the like.");
  for (const name of ["key", "id", "group"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "function") refuse(name, "is no function of the data.");
  }
  const { version, upcasts } = options;
  if (version !== undefined && !(Number.isSafeInteger(version) && version >= 1)) {
    refuse("version", `is ${String(version)}: give a whole number of at least 1.`);
  }
  if (upcasts !== undefined && !Array.isArray(upcasts)) refuse("upcasts", "is no array.");
}

/** Whether `value` was made by `defineEvent`, of whatever copy of the package. */
export function isEventType(value: unknown): value is AnyEventType {
  return typeof value === "function" && definitionKey in value;
}

/** Throws INVALID_OPTION where `eventType` was not made by `defineEvent`. */
export function definitionOf(eventType: AnyEventType): EventDefinition {
  const definition = (eventType as Partial<Defined> | null | undefined)?.[definitionKey];
  if (definition !== undefined) return definition;
  throw new FactlogError("INVALID_OPTION", `${String(eventType)} is no event type: give what defineEvent returned.`);
}

/** Throws INVALID_OPTION where no event type made the event. */
export function definitionOfEvent(event: NewEvent): EventDefinition {
  const definition = (event as Partial<Defined> | null | undefined)?.[definitionKey];
  if (definition !== undefined) return definition;
  throw new FactlogError(
    "INVALID_OPTION",
    "this event was made by no event type: make it by calling one, as in OrderPlaced({ ... }).",
  );
}

interface Defined {
  readonly [definitionKey]: EventDefinition;
}

/**
 * An event from JSON text, whose bytes are stored as they are: numbers beyond 2^53, -0 and repeated keys survive.
 * Validation sees the parsed value. Throws INVALID_DATA on what is no JSON, NESTING_TOO_DEEP, EVENT_TOO_LARGE.
 */
export function newEventFromJson(eventType: AnyEventType, jsonText: string, attributes?: EventAttributes): NewEvent {
  const { type } = definitionOf(eventType);
  const event = eventType(parseData(type, jsonText), attributes) as NewEvent;
  const own = { ...Object.getOwnPropertyDescriptors(event), [jsonTextKey]: { value: jsonText } };
  return Object.freeze(Object.create(Object.getPrototypeOf(event) as object, own) as NewEvent);
}

/** The text given to `newEventFromJson`; undefined for an event made from a value. */
export function jsonTextOf(event: NewEvent): string | undefined {
  return (event as { readonly [jsonTextKey]?: string })[jsonTextKey];
}
