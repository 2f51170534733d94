import { assert } from "../../errors.ts";
import { firstRowToken } from "../../engine/ledger.ts";
import type {
  AnnounceChange,
  Change,
  Effects,
  FailureRecord,
  ProgressChange,
  RowChange,
  RowInsert,
  RowState,
} from "../../engine/ledger.ts";
import type { StepChange } from "../../engine/journal.ts";
import type { DelayedEvent } from "../../engine/timetable.ts";
import { slotOf } from "../../event/codec.ts";
import { correlationIdOf } from "../../event/envelope.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { idHex } from "./event-row.ts";
import type { Names } from "./names.ts";
import { encodeRanges } from "../../engine/ranges.ts";

/** Numbers of the states in `delivery`; indexes and functions name them. */
export const rowStates: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];
export const stateNumber: Readonly<Record<RowState, number>> = {
  held: 0,
  ready: 1,
  running: 2,
  retrying: 3,
  dead: 4,
  deferred: 5,
};

const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0);

/** Looks for impossible changes before the first one is applied: together they are one transaction. */
export function requireSound(changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind !== "progress") continue;
    const ended = total(Object.values(change.outcomes)) + change.insert.length;
    assert(total(change.matched.values()) === ended, "a progress change matched other than it closed and inserted");
  }
}

/** What a change does when, and only when, it takes place. */
export function effectsOf(change: Change): readonly Effects[] {
  if (change.kind === "progress") return change.effects;
  const closes = change.kind === "row" && change.to.state === "closed";
  return closes && change.effects !== undefined ? [change.effects] : [];
}

/** Events that a change brings into the log, now or later. */
export function eventsOf(change: Change): readonly EncodedEvent[] {
  if (change.kind === "announce") return [change.event];
  return effectsOf(change).flatMap(({ emits, delayed = [] }) => [...emits, ...delayed.map(({ event }) => event)]);
}

/** Changes as the function `record` reads them. */
export class ChangeWriter {
  readonly #names: Names;
  readonly #slots: number;
  readonly #sharesLog: boolean;

  constructor(names: Names, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#names = names;
    this.#slots = options.slots;
    this.#sharesLog = options.sharesLog;
  }

  /** `barred`: changes (by index) that the database has refused already. */
  write(changes: readonly Change[], barred: ReadonlyMap<number, unknown>): string {
    return JSON.stringify(
      changes.map((change, index) => ({ ...this.#fields(change), ...(barred.has(index) ? { barred: true } : {}) })),
    );
  }

  event(event: EncodedEvent): object {
    if (!this.#sharesLog) return event;
    return {
      ...event,
      sourceId: this.#names.sourceId(event.source),
      schemaId: this.#names.schemaId(event),
      slot: slotOf(event, this.#slots),
      idHex: idHex(event.id),
    };
  }

  delayed({ event, dueMs }: DelayedEvent): {
    readonly event: object;
    readonly correlation: string;
    readonly dueMs: number;
  } {
    return { event: this.event(event), correlation: correlationIdOf(event), dueMs };
  }

  #fields(change: Change): object {
    switch (change.kind) {
      case "progress":
        return this.#progress(change);
      case "row":
        return this.#row(change);
      case "start":
        return {
          kind: "start",
          ...change.lease,
          position: change.position,
          rowToken: change.rowToken,
          holds: change.holds ?? false,
        };
      case "step":
        return stepFields(change);
      case "announce":
        return this.#announce(change);
      case "relay":
        return { kind: "relay", ...change.lease, done: change.done };
    }
  }

  #progress({ lease, low, ranges, claim, matched, outcomes, insert, effects, seen }: ProgressChange): object {
    return {
      kind: "progress",
      ...lease,
      low,
      ranges: encodeRanges(ranges, low),
      claim,
      total: total(matched.values()),
      matched: [...matched],
      ...outcomes,
      ...(insert.length > 0 ? { insert: insert.map(rowFields) } : {}),
      ...this.effects(effects),
      seen: seen.map(({ identity, atMs }) => [identity, atMs]),
    };
  }

  #row({ delivery, rowToken, to, effects }: RowChange): object {
    const head = { kind: "row", ...delivery, rowToken };
    if (to.state === "closed") return { ...head, as: to.as, ...this.effects(effects === undefined ? [] : [effects]) };
    const failure = to.failure === undefined ? {} : { failure: failureFields(to.failure) };
    return { ...head, ...to, state: stateNumber[to.state], ...failure };
  }

  #announce({ fence, event }: AnnounceChange): object {
    const by = "lease" in fence ? fence.lease : { ...fence.delivery, rowToken: fence.rowToken };
    return { kind: "announce", ...by, event: this.event(event) };
  }

  effects(effects: readonly Effects[]): object {
    if (effects.length === 0) return {};
    return {
      emits: effects.some(({ emits }) => emits.length > 0),
      effects: effects.map(({ position, emits, delayed = [], state }) => ({
        position,
        emits: emits.map((event) => this.event(event)),
        ...(delayed.length === 0 ? {} : { delayed: delayed.map((one) => this.delayed(one)) }),
        ...(state === undefined ? {} : { state: [state.key, state.value ?? null] }),
      })),
    };
  }
}

function stepFields({ delivery, rowToken, name, atMs, to }: StepChange): object {
  const { state, ...fields } = to;
  const bytes = to.state === "done" ? { bytes: Buffer.byteLength(to.value) } : {};
  return { kind: "step", ...delivery, rowToken, name, atMs, to: state, ...fields, ...bytes };
}

function rowFields(row: RowInsert): object {
  const { failure, event, state, stop, ...fields } = row;
  return {
    ...fields,
    state: stateNumber[state],
    stop: stop === true,
    token: firstRowToken,
    ...(failure === undefined ? {} : { failure: failureFields(failure) }),
    ...(event === undefined ? {} : { event: JSON.stringify(event) }),
  };
}

/** Text of thrown errors may hold what text in PostgreSQL cannot. */
const failureFields = (failure: FailureRecord): object => ({
  ...failure,
  class: storable(failure.class),
  fingerprint: storable(failure.fingerprint),
  error: storable(failure.error),
});
const storable = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD");
