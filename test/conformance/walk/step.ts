import type {
  Definition,
  DeliveryRef,
  DeliveryRow,
  LeaseRequest,
  Recorded,
  RowChange,
  RowInsert,
} from "../../../src/engine/ledger.ts";
import { FactlogError } from "../../../src/errors.ts";
import { checksum } from "../../../src/event/codec.ts";
import type { EncodedEvent } from "../../../src/event/stored-event.ts";
import type { Picture } from "./oracle.ts";

export const acts = [
  "take",
  "give back",
  "bury",
  "leave",
  "read",
  "start",
  "end",
  "release",
  "redrive",
  "discard",
  "redefine",
] as const;

/** One random act. `who`, `which` and `how` are taken modulo what there is to choose from. */
export interface Step {
  readonly act: (typeof acts)[number];
  readonly who: number;
  readonly which: number;
  readonly how: number;
}

export const pick = <T>(from: readonly T[], which: number): T | undefined => from[which % Math.max(1, from.length)];

const failure = { atMs: 1, class: "error", fingerprint: "f", error: "e" };

/** A lease request that asks for nothing. */
export const nobody: LeaseRequest = {
  leaseMs: 1,
  serves: [],
  dead: [],
  crashDueMs: 5,
  giveBack: [],
  release: [],
  want: [],
};

/** The row of a delivery that does not close at once; undefined: it does. */
export function insertOf(
  position: number,
  key: string,
  how: number,
  onExhausted: Definition["onExhausted"],
): RowInsert | undefined {
  const kinds = [undefined, undefined, "ready", "running", "retrying", "dead", "deferred"] as const;
  const state = pick(kinds, how);
  if (state === undefined) return undefined;
  const holds = state !== "dead" || onExhausted !== "skip-event";
  const rest = { dueMs: 5, failures: 0, eventId: `${position}`, correlationId: `${position}`, atMs: position };
  return {
    position,
    eventSlot: 0,
    key,
    holds,
    state,
    ...rest,
    ...(state === "deferred" ? { group: "g" } : {}),
    ...(state === "dead" ? { stop: onExhausted === "stop", failure } : {}),
  };
}

/** How an attempt ends. */
export function endOf(how: number, onExhausted: Definition["onExhausted"]): RowChange["to"] {
  const ends: readonly RowChange["to"][] = [
    { state: "closed", as: "done" },
    { state: "closed", as: "skipped" },
    { state: "retrying", dueMs: 7, failures: 1, failure },
    { state: "ready", dueMs: 3, failures: 0 },
    { state: "deferred", group: "g", failures: 1 },
    { state: "dead", failures: 2, holds: onExhausted !== "skip-event", stop: onExhausted === "stop", failure },
  ];
  return pick(ends, how)!;
}

export const refOf = ({ sub, gen, slot, position }: DeliveryRow): DeliveryRef => ({ sub, gen, slot, position });

/** One of few identities, with one of two contents. */
export const eventOf = (how: number): EncodedEvent => encoded(`emitted-${how % 11}`, "E", how % 3 === 0 ? "2" : "1");

export function encoded(id: string, type: string, data: string): EncodedEvent {
  const rest = {
    source: "walk",
    key: undefined,
    group: undefined,
    timeMs: 0,
    attributes: "",
    version: 1,
    schema: "",
    plain: true,
  };
  const draft = { id, type, data, ...rest };
  return { ...draft, crc: checksum(draft) };
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (error instanceof FactlogError) return error.code;
    throw error;
  }
}

export const shown = ({ status, freed, promoted, refused }: Recorded): unknown => [
  status,
  freed.toSorted(),
  promoted,
  refused?.position,
];

/** What two engines must agree on: all but the numbers of tokens, of which only the order counts. */
export function plain({ tally, rows }: Picture): unknown {
  const shownRows = rows.map((row) => ({ ...row, rowToken: undefined, failure: row.failure?.class }));
  const { rows: counts, slots, state, blockedKeys, oldestRowMs, revision } = tally;
  return { counts, slots, state, blockedKeys, oldestRowMs, revision, rows: shownRows };
}
