import type { From } from "../app/subscription.ts";
import type { EventLog, ReadPage, ReadRequest } from "../engine/event-log.ts";
import { FactlogError } from "../errors.ts";
import { decodeEvent, decodeUnknown } from "../event/decode.ts";
import {
  type AnyEventType,
  definitionOf,
  type EventDefinition,
  type EventOf,
  type RecordedEvent,
} from "../event/define.ts";
import { parsePosition, type Position } from "../event/position.ts";
import type { PositionNumber, Slot, StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { correlationIdOf } from "./correlation.ts";

export interface ReadOptions<E extends AnyEventType = AnyEventType> {
  /** Only these types, decoded by their schemas; without it all types, with their data as stored. */
  readonly on?: E | readonly E[];
  /** Only these types, by name, with their data as stored. Not together with `on`. */
  readonly types?: readonly string[];
  readonly key?: string;
  readonly group?: string;
  readonly correlationId?: string;
  /** Default "beginning" for `read`, "now" for `follow` (but "beginning" of a correlation). A position: after it. */
  readonly from?: From;
  /** Up to and with this position, or before this time. Default: the head when the read begins. */
  readonly to?: Position | Date;
  readonly signal?: AbortSignal;
}

/** The types a reader wants to see, and how it sees them. */
export class View<E extends AnyEventType = AnyEventType> {
  readonly #definitions: ReadonlyMap<string, EventDefinition> | undefined;
  readonly #epoch: string;
  /** undefined: all. */
  readonly types: ReadonlySet<string> | undefined;
  readonly #shared: boolean;

  constructor({ on, types: names }: Pick<ReadOptions<E>, "on" | "types">, epoch: string, shared = false) {
    if (on !== undefined && names !== undefined)
      throw new FactlogError("INVALID_OPTION", "on and types both say which types: give one of them.");
    const types = on === undefined ? undefined : Array.isArray(on) ? (on as readonly E[]) : [on as E];
    this.#definitions = types === undefined ? undefined : new Map(types.map((type) => [type.type, definitionOf(type)]));
    this.#epoch = epoch;
    this.#shared = shared;
    this.types = names === undefined ? this.#definitions && new Set(this.#definitions.keys()) : new Set(names);
  }
  shows(stored: StoredEvent): boolean {
    return this.types === undefined || this.types.has(stored.type);
  }
  decode(stored: StoredEvent): EventOf<E> {
    const definition = this.#definitions?.get(stored.type);
    if (this.#shared && definition === undefined) return decodedOnce(stored, this.#epoch) as EventOf<E>;
    const event: RecordedEvent =
      definition === undefined ? decodeUnknown(stored, this.#epoch) : decodeEvent(stored, definition, this.#epoch);
    return event as EventOf<E>;
  }
}

const decoded = new WeakMap<StoredEvent, RecordedEvent>();
function decodedOnce(stored: StoredEvent, epoch: string): RecordedEvent {
  const known = decoded.get(stored);
  if (known !== undefined) return known;
  const event = decodeUnknown(stored, epoch);
  decoded.set(stored, event);
  return event;
}

/** Reads of whoever was woken at the same moment and stands at the same place: one for all of them. */
const reads = new WeakMap<EventLog, Map<string, Promise<ReadPage>>>();
function readOnce(log: EventLog, request: ReadRequest): Promise<ReadPage> {
  const place = placeOf(request);
  if (place === undefined) return log.read(request);
  const running = reads.get(log) ?? new Map<string, Promise<ReadPage>>();
  reads.set(log, running);
  const known = running.get(place);
  if (known !== undefined) return known;
  const page = log.read(request);
  running.set(place, page);
  // No longer: what is appended from now on must be found by who is woken for it.
  queueMicrotask(() => running.delete(place));
  return page;
}

/** A name for what is read where all slots stand at one position. */
function placeOf({ after, types }: ReadRequest): string | undefined {
  const [first, ...rest] = after.values();
  if (first === undefined || rest.some((each) => each !== first)) return undefined;
  return types === undefined ? String(first) : JSON.stringify([first, ...types]);
}

/** A walk along the log: a position per slot, a page a step. */
export class Walk {
  readonly #log: EventLog;
  readonly #filter: Pick<ReadOptions, "key" | "group" | "correlationId">;
  readonly #types: ReadonlySet<string> | undefined;
  readonly #at: Map<Slot, PositionNumber>;
  readonly #fromMs: number;
  readonly #shared: boolean;
  atHead = false;

  constructor(log: EventLog, filter: WalkFilter, start: ReadonlyMap<Slot, PositionNumber>, fromMs: number) {
    this.#log = log;
    this.#filter = filter;
    this.#types = filter.types;
    this.#shared = filter.shared === true;
    this.#at = new Map(start);
    this.#fromMs = fromMs;
  }
  get at(): ReadonlyMap<Slot, PositionNumber> {
    return this.#at;
  }
  /** What the next page holds of what is wanted. */
  async next(): Promise<readonly StoredEvent[]> {
    const types = this.#types;
    const request = {
      after: this.#at,
      limit: limits.pageEvents,
      scanMax: limits.scanMax,
      ...(types === undefined ? {} : { types }),
    };
    const page = await (this.#shared ? readOnce(this.#log, request) : this.#log.read(request));
    for (const [slot, to] of page.scannedTo) this.#at.set(slot, Math.max(to, this.#at.get(slot) ?? 0));
    this.atHead = page.atHead;
    return page.events.filter((stored) => this.#wants(stored));
  }
  #wants(stored: StoredEvent): boolean {
    const { key, group, correlationId } = this.#filter;
    if (stored.recordedMs < this.#fromMs) return false;
    if (key !== undefined && stored.key !== key) return false;
    if (group !== undefined && stored.group !== group) return false;
    return correlationId === undefined || correlationIdOf(stored) === correlationId;
  }
}
export interface WalkFilter extends Pick<ReadOptions, "key" | "group" | "correlationId"> {
  readonly types: ReadonlySet<string> | undefined;
  /** See FollowOptions. */
  readonly shared?: boolean;
}

/** Starts a walk where `from` says. */
export async function walk(log: EventLog, options: WalkFilter, from: From): Promise<Walk> {
  const slots = Array.from({ length: log.capabilities.slots }, (_, slot) => slot);
  if (from === "now") return new Walk(log, options, (await log.count([])).heads, 0);
  if (from === "beginning") return new Walk(log, options, new Map(slots.map((slot) => [slot, 0])), 0);
  if (from instanceof Date) return new Walk(log, options, new Map(slots.map((slot) => [slot, 0])), from.getTime());
  const { slot, position } = parsePosition(from, log.epoch);
  const start = log.capabilities.totalOrder
    ? slots.map((each) => [each, position] as const)
    : slots.map((each) => [each, each === slot ? position : 0] as const);
  return new Walk(log, options, new Map(start), 0);
}

/** A finite read of history. */
export async function* read<E extends AnyEventType>(
  log: EventLog,
  options: ReadOptions<E>,
): AsyncGenerator<EventOf<E>> {
  const end = await endOf(log, options.to);
  const view = new View(options, log.epoch);
  const steps = await walk(log, { ...options, types: view.types }, options.from ?? "beginning");
  for (;;) {
    options.signal?.throwIfAborted();
    for (const stored of await steps.next()) if (end.holds(stored)) yield view.decode(stored);
    if (steps.atHead || end.passed(steps.at)) return;
  }
}

interface End {
  holds(stored: StoredEvent): boolean;
  passed(at: ReadonlyMap<Slot, PositionNumber>): boolean;
}
async function endOf(log: EventLog, to: Position | Date | undefined): Promise<End> {
  const { heads } = await log.count([]);
  if (to instanceof Date) return { holds: (stored) => stored.recordedMs < to.getTime(), passed: beyond(heads) };
  const last = new Map(heads);
  if (to !== undefined) {
    const { slot, position } = parsePosition(to, log.epoch);
    if (log.capabilities.totalOrder) for (const each of heads.keys()) last.set(each, position);
    else last.set(slot, position);
  }
  return { holds: (stored) => stored.position <= (last.get(stored.slot) ?? 0), passed: beyond(last) };
}
const beyond =
  (last: ReadonlyMap<Slot, PositionNumber>) =>
  (at: ReadonlyMap<Slot, PositionNumber>): boolean =>
    [...last].every(([slot, position]) => (at.get(slot) ?? 0) >= position);
