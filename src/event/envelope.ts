import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { EncodedEvent } from "./stored-event.ts";

/** Attributes that nobody searches by. `undefined` (and no extension) = default. */
export interface Envelope {
  /** Default: the event's own id. */
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly subject: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly extensions: Readonly<Record<string, string>>;
}

const noExtensions: Readonly<Record<string, string>> = Object.freeze({});
const defaults: Envelope = Object.freeze({
  correlationId: undefined,
  causationId: undefined,
  subject: undefined,
  traceparent: undefined,
  tracestate: undefined,
  extensions: noExtensions,
});

/** The JSON text of `EncodedEvent.attributes`: one flat object under CloudEvents names, "" where all are defaults. */
export function attributesText(envelope: Envelope): string {
  const { correlationId, causationId, subject, traceparent, tracestate, extensions } = envelope;
  const flat = { correlationid: correlationId, causationid: causationId, subject, traceparent, tracestate };
  const text = JSON.stringify({ ...flat, ...extensions });
  if (text === "{}") return "";
  checkAttributesSize(text);
  return text;
}

function checkAttributesSize(text: string): void {
  if (text.length * 3 <= limits.attributesBytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.attributesBytesMax) return;
  throw new FactlogError(
    "INVALID_ATTRIBUTE",
    `attributes are ${bytes} bytes together, the limit is ${limits.attributesBytesMax}: put large values into the data.`,
    { details: { attribute: "attributes", bytes, limit: limits.attributesBytesMax } },
  );
}

/** The inverse of `attributesText`. The text is taken to be intact. */
export function parseAttributes(text: string): Envelope {
  if (text === "") return defaults;
  const { correlationid, causationid, subject, traceparent, tracestate, ...extensions } = JSON.parse(text) as Record<
    string,
    string
  >;
  return {
    correlationId: correlationid,
    causationId: causationid,
    subject,
    traceparent,
    tracestate,
    extensions: Object.freeze(extensions),
  };
}

export function correlationIdOf(event: Pick<EncodedEvent, "id" | "attributes">): string {
  return event.attributes === "" ? event.id : (parseAttributes(event.attributes).correlationId ?? event.id);
}

/** CloudEvents attributes and the extensions that Factlog itself writes: not free for others. */
const takenNames = new Set([
  "id",
  "source",
  "specversion",
  "type",
  "datacontenttype",
  "dataschema",
  "subject",
  "time",
  "data",
  "partitionkey",
  "sequence",
  "correlationid",
  "causationid",
  "traceparent",
  "tracestate",
  "recordedtime",
  "expirytime",
  "dataref",
  "factloggroup",
]);

function invalid(attribute: string, message: string): FactlogError {
  return new FactlogError("INVALID_ATTRIBUTE", `${attribute} ${message}`, { details: { attribute } });
}

/** Ids, keys, groups, subjects: 1 to `limits.keyBytesMax` bytes of well-formed UTF-8 without U+0000. INVALID_ATTRIBUTE. */
export function checkId(attribute: string, value: unknown): asserts value is string {
  if (typeof value === "string" && value.length > 0 && value.isWellFormed() && !value.includes("\0")) {
    if (value.length * 3 <= limits.keyBytesMax || Buffer.byteLength(value) <= limits.keyBytesMax) return;
  }
  throw invalid(attribute, complaintOfId(value));
}

function complaintOfId(value: unknown): string {
  if (typeof value !== "string") return `is ${value === null ? "null" : typeof value}: give a string.`;
  if (value === "") return `is empty: give 1 to ${limits.keyBytesMax} bytes.`;
  if (!value.isWellFormed()) return "holds half a surrogate pair: give well-formed Unicode.";
  if (value.includes("\0")) return "holds U+0000: give text without it.";
  return `is ${Buffer.byteLength(value)} bytes of UTF-8: give 1 to ${limits.keyBytesMax}.`;
}

/**
 * Names of event types, sources, subscriptions and apps: 1 to `limits.nameLengthMax` characters, well-formed, without
 * control characters. INVALID_ATTRIBUTE naming `attribute`.
 */
export function checkName(attribute: string, value: unknown): asserts value is string {
  if (typeof value !== "string")
    throw invalid(attribute, `is ${value === null ? "null" : typeof value}: give a string.`);
  const shown = JSON.stringify(value.length > limits.nameLengthMax ? `${value.slice(0, 40)}...` : value);
  const characters = value.length <= limits.nameLengthMax ? value.length : Array.from(value).length;
  if (characters === 0 || characters > limits.nameLengthMax) {
    throw invalid(attribute, `${shown} has ${characters} characters: give 1 to ${limits.nameLengthMax}.`);
  }
  if (!value.isWellFormed())
    throw invalid(attribute, `${shown} holds half a surrogate pair: give well-formed Unicode.`);
  if (/\p{Cc}/u.test(value)) throw invalid(attribute, `${shown} holds a control character: give printable text.`);
}

const ids = "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}";
const traceparentForm = new RegExp(`^(?:00-${ids}|(?!00|ff)[0-9a-f]{2}-${ids}(?:-[\\x21-\\x7e]*)?)$`);

/** W3C Trace Context, level 2. */
export function checkTraceparent(value: unknown): asserts value is string {
  if (typeof value === "string" && value.length <= limits.keyBytesMax && traceparentForm.test(value)) return;
  throw invalid(
    "traceparent",
    "is not in W3C form (00-<32 hex digits>-<16 hex digits>-<2 hex digits>): pass the header on as it came.",
  );
}

export function checkTracestate(value: unknown): asserts value is string {
  if (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= limits.keyBytesMax &&
    /^[\x20-\x7e]+$/.test(value)
  )
    return;
  throw invalid(
    "tracestate",
    `is not 1 to ${limits.keyBytesMax} printable ASCII characters: pass the header on as it came.`,
  );
}

/** First and last millisecond that RFC 3339 can write: years 0000 to 9999. */
const timeMinMs = -62_167_219_200_000;
const timeMaxMs = 253_402_300_799_999;

/** Milliseconds since 1970 of a `time` attribute. */
export function timeMsOf(value: unknown): number {
  const ms = value instanceof Date ? value.getTime() : Number.NaN;
  if (ms >= timeMinMs && ms <= timeMaxMs) return ms;
  throw invalid("time", "is not a valid Date of the years 0 to 9999: give one, or leave it out for now.");
}

/** Names: lower-case letters and digits, not taken; values: printable text. */
export function checkExtensions(extensions: Readonly<Record<string, string>>): void {
  if (typeof extensions !== "object" || extensions === null) {
    throw invalid("extensions", "is no object: give names with string values.");
  }
  for (const name of Object.keys(extensions)) checkExtension(name, extensions[name]);
}

function checkExtension(name: string, value: unknown): void {
  const attribute = `extension ${JSON.stringify(name)}`;
  if (!/^[a-z0-9]+$/.test(name)) throw invalid(attribute, "has a name with other than lower-case letters and digits.");
  if (name.length > limits.nameLengthMax)
    throw invalid(attribute, `has a name of more than ${limits.nameLengthMax} characters.`);
  if (takenNames.has(name)) throw invalid(attribute, "is a name of CloudEvents or of Factlog itself: choose another.");
  if (typeof value !== "string")
    throw invalid(attribute, `is ${value === null ? "null" : typeof value}: give a string.`);
  if (!value.isWellFormed() || /\p{Cc}/u.test(value))
    throw invalid(attribute, "holds a control character or half a surrogate pair.");
}
