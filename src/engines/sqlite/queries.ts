import { limits } from "../../limits.ts";
import type {
  DeliveryQuery,
  DeliveryRef,
  DeliveryRow,
  FailureRecord,
  OutboxRow,
  SlotRef,
  SlotState,
} from "../../engine/ledger.ts";
import type { EncodedEvent, StoredEvent } from "../../event/stored-event.ts";
import { notThere } from "./command.ts";
import type { Cell, Database, Statement } from "./database.ts";
import { decodeStart } from "../../engine/definition.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import { rowStates, stateNumber } from "./rows.ts";
import type { Store } from "./store.ts";

const ofSlot = "sub = ? AND gen = ? AND slot = ?";
const columns = `sub, gen, slot, position, event_slot, key, holds, state, due_ms, token, session, scope, failures, crashes,
  redriven, event_id, correlation_id, at_ms, event, waits`;
type DeliveryCells = [
  sub: number,
  gen: number,
  slot: number,
  position: number,
  eventSlot: number,
  key: string,
  holds: number,
  state: number,
  dueMs: number | null,
  token: number,
  session: number | null,
  scope: number,
  failures: number,
  crashes: number,
  redriven: number,
  eventId: string,
  correlationId: string,
  atMs: number,
  event: string | null,
  waits: number,
];
type FailureCells = [atMs: number, kind: string, fingerprint: string, error: string];

function prepare(db: Database) {
  const failure = `SELECT at_ms, class, fingerprint, error FROM factlog_failure WHERE ${ofSlot} AND position = ?`;
  return {
    slot: db.prepare<[number, string, number, number]>(
      `SELECT low, ranges, claim, suspect FROM factlog_slot WHERE ${ofSlot}`,
    ),
    nextKey: db.prepare<[string]>(
      `SELECT key FROM factlog_delivery INDEXED BY factlog_delivery_key
       WHERE ${ofSlot} AND holds = 1 AND key > ? ORDER BY key LIMIT 1`,
    ),
    firstKey: db.prepare<[string]>(
      `SELECT key FROM factlog_delivery INDEXED BY factlog_delivery_key
       WHERE ${ofSlot} AND holds = 1 ORDER BY key LIMIT 1`,
    ),
    since: db.prepare<[string, string]>("SELECT type, since FROM factlog_counted WHERE sub = ? AND gen = ?"),
    seen: db.prepare<[string]>(`SELECT identity FROM factlog_seen WHERE ${ofSlot} AND at_ms >= ? ORDER BY at_ms`),
    settled: db.prepare<[number]>(
      `SELECT position FROM factlog_settled e WHERE ${ofSlot} AND position > ? AND NOT EXISTS(
         SELECT 1 FROM factlog_delivery d WHERE d.sub = e.sub AND d.gen = e.gen AND d.slot = e.slot AND d.position = e.position)
       ORDER BY position`,
    ),
    one: db.prepare<DeliveryCells>(`SELECT ${columns} FROM factlog_delivery WHERE ${ofSlot} AND position = ?`),
    due: db.prepare<DeliveryCells>(
      `SELECT ${columns} FROM factlog_delivery INDEXED BY factlog_delivery_due
       WHERE ${ofSlot} AND due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, position LIMIT ?`,
    ),
    slotsDue: db.prepare<[number]>(
      `SELECT value FROM json_each(?) WHERE EXISTS(SELECT 1 FROM factlog_delivery INDEXED BY factlog_delivery_due
         WHERE sub = ? AND gen = ? AND slot = value AND due_ms IS NOT NULL AND due_ms <= ?)`,
    ),
    deferred: db.prepare<DeliveryCells>(
      `SELECT ${columns} FROM factlog_delivery INDEXED BY factlog_delivery_deferred
       WHERE sub = ? AND gen = ? AND state = 5 AND grp = ? AND slot IN (SELECT value FROM json_each(?))
       ORDER BY position LIMIT ?`,
    ),
    nextGroup: db.prepare<[string]>(
      `SELECT grp FROM factlog_delivery INDEXED BY factlog_delivery_groups
       WHERE ${ofSlot} AND state = 5 AND grp > ? ORDER BY grp LIMIT 1`,
    ),
    firstGroup: db.prepare<[string]>(
      `SELECT grp FROM factlog_delivery INDEXED BY factlog_delivery_groups
       WHERE ${ofSlot} AND state = 5 ORDER BY grp LIMIT 1`,
    ),
    failures: db.prepare<FailureCells>(`${failure} ORDER BY n`),
    lastFailure: db.prepare<FailureCells>(`${failure} ORDER BY n DESC LIMIT 1`),
    state: db.prepare<[string]>("SELECT value FROM factlog_state WHERE sub = ? AND key = ?"),
    outbox: db.prepare<[number, string]>("SELECT seq, event FROM factlog_outbox ORDER BY seq LIMIT ?"),
  };
}

/** What the ledger answers without changing anything. */
export class Queries {
  readonly #db: Database;
  readonly #store: Store;
  readonly #sql;

  constructor(store: Store) {
    this.#db = store.db;
    this.#store = store;
    this.#sql = prepare(store.db);
  }

  load(ref: SlotRef): SlotState {
    const { sub, gen, slot } = ref;
    const row = this.#sql.slot.get(sub, gen, slot);
    if (row === undefined) throw notThere(`slot ${slot} of subscription ${sub}`);
    const [low, ranges, claim, suspect] = row;
    const sinceMs = this.#store.env.now() - limits.dedupeWindowMs;
    return {
      slot: { sub, gen, slot },
      low,
      ranges: decodeRanges(ranges, low),
      claim,
      suspect,
      since: new Map(this.#sql.since.all(sub, gen).map(([type, since]) => [type, decodeStart(since).get(slot) ?? 0])),
      busy: walked(this.#sql.firstKey, this.#sql.nextKey, ref),
      deferred: walked(this.#sql.firstGroup, this.#sql.nextGroup, ref),
      seen: this.#sql.seen.all(sub, gen, slot, sinceMs).map(([identity]) => identity),
      settled: this.#sql.settled.all(sub, gen, slot, low).map(([position]) => position),
    };
  }

  deliveries(query: DeliveryQuery): readonly DeliveryRow[] {
    switch (query.kind) {
      case "one": {
        const row = this.#sql.one.get(...refCells(query.delivery));
        return row === undefined ? [] : [this.#toRow(row)];
      }
      case "due":
        return this.#due(query).map((row) => this.#toRow(row));
      case "deferred":
        return this.#deferred(query).map((row) => this.#toRow(row));
      case "state":
        return this.#inState(query).map((row) => this.#toRow(row));
    }
  }

  failures(delivery: DeliveryRef): readonly FailureRecord[] {
    return this.#sql.failures.all(...refCells(delivery)).map(toFailure);
  }

  states(sub: number, keys: readonly string[]): readonly (string | undefined)[] {
    return keys.map((key) => this.#sql.state.get(sub, key)?.[0]);
  }

  outbox(limit: number): readonly OutboxRow[] {
    return this.#sql.outbox.all(limit).map(([seq, event]) => ({ seq, event: JSON.parse(event) as EncodedEvent }));
  }

  #deferred({ slots, group, limit }: DeliveryQuery & { kind: "deferred" }): DeliveryCells[] {
    const [first] = slots;
    if (first === undefined) return [];
    const numbers = JSON.stringify(slots.map(({ slot }) => slot));
    return this.#sql.deferred.all(first.sub, first.gen, group, numbers, limit);
  }

  /** Most looks find nothing: one statement per subscription says in which slots something is due. */
  #due({ slots, dueMs, limit }: DeliveryQuery & { kind: "due" }): DeliveryCells[] {
    const asked = Map.groupBy(slots, ({ sub, gen }) => `${sub} ${gen}`);
    const rows = [...asked.values()].flatMap((refs) => {
      const { sub, gen } = refs[0]!;
      const numbers = JSON.stringify(refs.map(({ slot }) => slot));
      const due = this.#sql.slotsDue.all(numbers, sub, gen, dueMs);
      return due.flatMap(([slot]) => this.#sql.due.all(sub, gen, slot, dueMs, limit));
    });
    return rows.toSorted((a, b) => a[8]! - b[8]! || comparePlaces(a, b)).slice(0, limit);
  }

  #inState({ state, sub, key, correlationId, after, limit }: DeliveryQuery & { kind: "state" }): DeliveryCells[] {
    const number = stateNumber[state];
    // The index over states leaves out the held rows, by far the most: those are found in the table itself.
    const table = state === "held" ? "factlog_delivery" : "factlog_delivery INDEXED BY factlog_delivery_state";
    const conditions = [`state = ${number}`, state === "held" ? "true" : "state > 0"];
    const values: Cell[] = [];
    const add = (condition: string, ...cells: Cell[]): void => {
      conditions.push(condition);
      values.push(...cells);
    };
    if (sub !== undefined) add("sub = ?", sub);
    if (key !== undefined) add("key = ?", key);
    if (correlationId !== undefined) add("correlation_id = ?", correlationId);
    if (after !== undefined) add("(sub, gen, slot, position) > (?, ?, ?, ?)", ...refCells(after));
    const sql = `SELECT ${columns} FROM ${table} WHERE ${conditions.join(" AND ")} ORDER BY sub, gen, slot, position LIMIT ?`;
    return this.#db.prepare<DeliveryCells>(sql).all(...values, limit);
  }

  #toRow(cells: DeliveryCells): DeliveryRow {
    const [sub, gen, slot, position, eventSlot, key, holds, state, dueMs, rowToken, session, scope, failures] = cells;
    const [, , , , , , , , , , , , , crashes, redriven, eventId, correlationId, atMs, event, waits] = cells;
    const failure = this.#sql.lastFailure.get(sub, gen, slot, position);
    return {
      sub,
      gen,
      slot,
      position,
      eventSlot,
      key,
      holds: holds === 1,
      state: rowStates[state]!,
      dueMs: dueMs ?? undefined,
      rowToken,
      session: session ?? undefined,
      scope,
      failures,
      crashes,
      redriven: redriven === 1,
      waits: waits === 1,
      eventId,
      correlationId,
      atMs,
      failure: failure === undefined ? undefined : toFailure(failure),
      event: event === null ? undefined : (JSON.parse(event) as StoredEvent),
    };
  }
}

/** From name to name: one may have a million rows. */
function walked(first: Statement<[string]>, next: Statement<[string]>, { sub, gen, slot }: SlotRef): string[] {
  const names: string[] = [];
  let found = first.get(sub, gen, slot);
  while (found !== undefined) {
    names.push(found[0]);
    found = next.get(sub, gen, slot, found[0]);
  }
  return names;
}

const refCells = (ref: DeliveryRef): [number, number, number, number] => [ref.sub, ref.gen, ref.slot, ref.position];

const comparePlaces = (a: DeliveryCells, b: DeliveryCells): number =>
  a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];

function toFailure([atMs, kind, fingerprint, error]: FailureCells): FailureRecord {
  return { atMs, class: kind, fingerprint, error };
}
