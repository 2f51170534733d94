import { limits } from "../limits.ts";

/** A value that JSON can hold. Properties that are `undefined` are left out. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/** Why a value is not JSON, and where. `reason` completes "<path> is ...". */
export interface JsonFault {
  readonly code: "INVALID_DATA" | "NESTING_TOO_DEEP" | "EVENT_TOO_LARGE";
  readonly path: readonly PropertyKey[];
  readonly reason: string;
}

/** Objects and arrays left to visit: each takes two bytes of text, so shared subtrees cannot make a walk endless. */
let containersLeft = 0;

/** Undefined where `value` is JSON of at most `limits.nestingMax` levels; else the first fault. Calls no user code. */
export function jsonFault(value: unknown): JsonFault | undefined {
  containersLeft = limits.eventBytesMax / 2;
  return isJson(value, 1) ? undefined : findFault(value);
}

function isJson(value: unknown, depth: number): boolean {
  const kind = typeof value;
  if (kind === "string" || kind === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  return value === null || (typeof value === "object" && isJsonContainer(value, depth));
}

function isJsonContainer(value: object, depth: number): boolean {
  if (depth > limits.nestingMax || --containersLeft < 0) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isJson(value[index], depth + 1)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const name in value) {
    const member: unknown = (value as Record<string, unknown>)[name];
    if (typeof member === "string") continue;
    if (member !== undefined && !isJson(member, depth + 1)) return false;
  }
  return true;
}

/** An object literal, of whatever realm, or one without a prototype. */
function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === Object.prototype || prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, "isPrototypeOf");
}

/** The slow twin of `isJson`: knows the path. */
function findFault(value: unknown): JsonFault {
  containersLeft = limits.eventBytesMax / 2;
  const fault = faultAt(value, [], []);
  return fault ?? { code: "INVALID_DATA", path: [], reason: "not JSON" };
}

function faultAt(value: unknown, path: readonly PropertyKey[], ancestors: readonly object[]): JsonFault | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return undefined;
  if (typeof value !== "object") return { code: "INVALID_DATA", path, reason: scalarName(value) };
  if (ancestors.includes(value)) return { code: "INVALID_DATA", path, reason: "an object that contains itself" };
  if (ancestors.length >= limits.nestingMax) {
    const reason = `the beginning of more than ${limits.nestingMax} levels`;
    return { code: "NESTING_TOO_DEEP", path: path.slice(0, 3), reason };
  }
  if (--containersLeft < 0) {
    return { code: "EVENT_TOO_LARGE", path, reason: `one of more than ${limits.eventBytesMax / 2} objects` };
  }
  if (!Array.isArray(value) && !isPlainObject(value)) return { code: "INVALID_DATA", path, reason: objectName(value) };
  const within = [...ancestors, value];
  const members: Iterable<readonly [PropertyKey, unknown]> = Array.isArray(value)
    ? value.entries()
    : Object.entries(value).filter(([, member]) => member !== undefined);
  for (const [name, member] of members) {
    const fault = faultAt(member, [...path, name], within);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function scalarName(value: unknown): string {
  if (typeof value === "number" || value === undefined) return String(value);
  return typeof value === "bigint" ? "a bigint (give a number, or text)" : `a ${typeof value}`;
}

function objectName(value: object): string {
  const name: unknown = (value as { readonly constructor?: { readonly name?: unknown } }).constructor?.name;
  if (value instanceof Date) return "a Date (give its text: toISOString())";
  return typeof name === "string" && name !== "" && name !== "Object"
    ? `an instance of ${name} (give a plain object)`
    : "no plain object";
}

/** Whether the JSON text nests deeper than `limits.nestingMax`, found in one pass over its characters. */
export function nestsTooDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22:
        index = endOfString(text, index);
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > limits.nestingMax) return true;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
      default:
    }
  }
  return false;
}

/** Index of the quote that closes the string opened at `start`; the text's length where none does. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, index: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(index - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 1;
}

/** Whether `output` equals what `JSON.parse(JSON.stringify(input))` gives. `input` is known to be JSON. */
export function sameJson(input: unknown, output: unknown): boolean {
  if (input === output) return true;
  if (typeof input !== "object" || typeof output !== "object" || input === null || output === null) return false;
  return Array.isArray(input) ? Array.isArray(output) && sameArray(input, output) : sameObject(input, output);
}

function sameArray(input: readonly unknown[], output: readonly unknown[]): boolean {
  if (input.length !== output.length) return false;
  for (let index = 0; index < input.length; index++) if (!sameJson(input[index], output[index])) return false;
  return true;
}

function sameObject(input: object, output: object): boolean {
  if (Array.isArray(output) || !isPlainObject(output)) return false;
  let count = 0;
  for (const name in input) {
    const member: unknown = (input as Record<string, unknown>)[name];
    if (member === undefined) continue;
    if (name === "__proto__" && !Object.hasOwn(output, name)) return false;
    if (!sameJson(member, (output as Record<string, unknown>)[name])) return false;
    count++;
  }
  return hasNoMore(output, count);
}

/** Whether an object has no members beside `count` known ones that are not `undefined`. */
function hasNoMore(object: object, count: number): boolean {
  let names = 0;
  for (const _ in object) names++;
  if (names === count) return true;
  for (const name in object) if ((object as Record<string, unknown>)[name] !== undefined) count--;
  return count === 0;
}
