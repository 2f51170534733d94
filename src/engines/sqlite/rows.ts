import { limits } from "../../limits.ts";
import { assert } from "../../errors.ts";
import { firstRowToken } from "../../engine/ledger.ts";
import type { Closing, DeliveryRef, FailureRecord, RowInsert, RowState, SlotRef } from "../../engine/ledger.ts";
import type { Cell, Database, Statement } from "./database.ts";
import type { Counters } from "./counters.ts";

/** Numbers of the states in `factlog_delivery`; the indexes over it name them. */
export const rowStates: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];
export const stateNumber: Readonly<Record<RowState, number>> = {
  held: 0,
  ready: 1,
  running: 2,
  retrying: 3,
  dead: 4,
  deferred: 5,
};

/** What the acts on a row need of it. */
export interface RowHead {
  readonly ref: DeliveryRef;
  readonly key: string;
  readonly holds: boolean;
  readonly state: RowState;
  readonly stop: boolean;
  readonly token: number;
  readonly session: number | undefined;
  readonly crashes: number;
  readonly scope: number;
  readonly waits: boolean;
  readonly woken: boolean;
}

/** Rows of one key that do not wait: its head, and those that ran already when an earlier one came back. */
const firstsMax = 8;
const ofSlot = "sub = ? AND gen = ? AND slot = ?";
const ofRow = `${ofSlot} AND position = ?`;
/** The primary key would walk the rows of the whole slot. */
const byKey = "factlog_delivery INDEXED BY factlog_delivery_key";

function prepare(db: Database) {
  return {
    find: db.prepare<[string, number, number, number, number, number | null, number, number, number, number]>(
      `SELECT key, holds, state, stop, token, session, crashes, scope, waits, woken FROM factlog_delivery WHERE ${ofRow}`,
    ),
    insert: db.prepare(
      `INSERT INTO factlog_delivery(sub, gen, slot, position, event_slot, key, holds, state, stop, due_ms, token, session,
         scope, failures, crashes, redriven, event_id, correlation_id, at_ms, event, grp)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${firstRowToken}, ?, 0, ?, 0, 0, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ),
    isBehind: db.prepare(`SELECT 1 FROM ${byKey} WHERE ${ofSlot} AND key = ? AND holds = 1 AND position < ? LIMIT 1`),
    head: db.prepare<[number, number]>(
      `SELECT position, state FROM ${byKey} WHERE ${ofSlot} AND key = ? AND holds = 1 ORDER BY position LIMIT 1`,
    ),
    ready: db.prepare(
      `UPDATE factlog_delivery SET state = ?, due_ms = ?, session = NULL, waits = 0, token = token + 1 WHERE ${ofRow}`,
    ),
    defer: db.prepare(
      `UPDATE factlog_delivery SET state = 5, due_ms = NULL, grp = ?, session = NULL, waits = 0, token = token + 1 WHERE ${ofRow}`,
    ),
    wait: db.prepare(
      `UPDATE factlog_delivery SET state = 3, due_ms = ?, session = NULL, waits = 1, token = token + 1 WHERE ${ofRow}`,
    ),
    hold: db.prepare(`UPDATE factlog_delivery SET holds = ? WHERE ${ofRow}`),
    woken: db.prepare(`UPDATE factlog_delivery SET woken = 1 WHERE ${ofRow}`),
    freshen: db.prepare(`UPDATE factlog_delivery SET scope = scope + 1 WHERE ${ofRow}`),
    run: db.prepare(
      `UPDATE factlog_delivery SET state = 2, due_ms = NULL, session = ?, holds = ?, waits = 0, woken = 0, token = token + 1 WHERE ${ofRow}`,
    ),
    firsts: db.prepare<[number, number]>(
      `SELECT position, state FROM ${byKey} WHERE ${ofSlot} AND key = ? AND holds = 1 ORDER BY position LIMIT ${firstsMax}`,
    ),
    bury: db.prepare(
      `UPDATE factlog_delivery SET state = 4, due_ms = NULL, session = NULL, holds = ?, stop = ? WHERE ${ofRow}`,
    ),
    failures: db.prepare(`UPDATE factlog_delivery SET failures = ? WHERE ${ofRow}`),
    crashes: db.prepare(`UPDATE factlog_delivery SET crashes = ? WHERE ${ofRow}`),
    redrive: db.prepare(
      `UPDATE factlog_delivery SET state = 1, due_ms = ?, token = token + 1, failures = 0, crashes = 0, redriven = 1, stop = 0
       WHERE ${ofRow}`,
    ),
    remove: db.prepare(`DELETE FROM factlog_delivery WHERE ${ofRow}`),
    close: closings(db),
    isSettled: db.prepare(`SELECT 1 FROM factlog_settled WHERE ${ofRow}`),
    forgetSettled: db.prepare(
      `DELETE FROM factlog_settled AS e WHERE ${ofRow}
         AND position <= (SELECT low FROM factlog_slot s WHERE s.sub = e.sub AND s.gen = e.gen AND s.slot = e.slot)`,
    ),
    remember: db.prepare<[number]>(
      `INSERT INTO factlog_failure(sub, gen, slot, position, n, at_ms, class, fingerprint, error)
       SELECT ?1, ?2, ?3, ?4, coalesce(max(n), 0) + 1, ?5, ?6, ?7, ?8 FROM factlog_failure
       WHERE sub = ?1 AND gen = ?2 AND slot = ?3 AND position = ?4 RETURNING n`,
    ),
    forgetOne: db.prepare(`DELETE FROM factlog_failure WHERE ${ofRow} AND n = ?`),
    forgetAll: db.prepare(`DELETE FROM factlog_failure WHERE ${ofRow}`),
    running: db.prepare<[number, number, number, number]>(
      `SELECT sub, gen, slot, position FROM factlog_delivery WHERE session = ? AND state = 2
       ORDER BY sub, gen, slot, position`,
    ),
  };
}

function closings(db: Database): Readonly<Record<Closing, Statement>> {
  const count = (as: Closing): Statement => db.prepare(`UPDATE factlog_slot SET ${as} = ${as} + 1 WHERE ${ofSlot}`);
  return {
    done: count("done"),
    skipped: count("skipped"),
    discarded: count("discarded"),
    expired: count("expired"),
    duplicate: count("duplicate"),
  };
}

/** The acts on delivery rows, inside an open transaction. Each keeps the counters and the order of its key. */
export class Rows {
  readonly #sql;
  readonly #counters: Counters;

  constructor(db: Database, counters: Counters) {
    this.#sql = prepare(db);
    this.#counters = counters;
  }

  find(ref: DeliveryRef): RowHead | undefined {
    const row = this.#sql.find.get(...cells(ref));
    if (row === undefined) return undefined;
    const [key, holds, state, stop, token, session, crashes, scope, waits, woken] = row;
    return {
      ref,
      key,
      holds: holds === 1,
      state: rowStates[state]!,
      stop: stop === 1,
      token,
      session: session ?? undefined,
      crashes,
      scope,
      waits: waits === 1,
      woken: woken === 1,
    };
  }

  /** Rows that a session is running. */
  runningOf(session: number): RowHead[] {
    return this.#sql.running.all(session).map(([sub, gen, slot, position]) => this.find({ sub, gen, slot, position })!);
  }

  /** A row that stands behind another one of its key is held, unless it runs already. */
  insert(slot: SlotRef, session: number, row: RowInsert): void {
    const ref = { sub: slot.sub, gen: slot.gen, slot: slot.slot, position: row.position };
    const behind = row.holds && row.state !== "running" && this.#isBehind(ref, row.key);
    const state = behind ? "held" : row.state;
    const stop = state === "dead" && row.stop === true;
    const { changes } = this.#sql.insert.run(
      ...cells(ref),
      row.eventSlot,
      row.key,
      row.holds ? 1 : 0,
      stateNumber[state],
      stop ? 1 : 0,
      state === "ready" || state === "retrying" ? row.dueMs : null,
      state === "running" ? session : null,
      row.failures,
      row.eventId,
      row.correlationId,
      row.atMs,
      row.event === undefined ? null : JSON.stringify(row.event),
      state === "deferred" ? (row.group ?? "") : null,
    );
    assert(changes === 1, `position ${row.position} has a row already`);
    if (row.failure !== undefined) this.remember(ref, row.failure);
    this.#counters.row(ref, { state, holds: row.holds, stop }, 1);
  }

  /** Removes a row and counts how it ended. True where the next of its key became ready. */
  close(row: RowHead, as: Closing): boolean {
    this.#sql.remove.run(...cells(row.ref));
    this.#sql.forgetAll.run(...cells(row.ref));
    this.#sql.close[as].run(row.ref.sub, row.ref.gen, row.ref.slot);
    this.#sql.forgetSettled.run(...cells(row.ref));
    this.#counters.row(row.ref, row, -1);
    return this.promote(row.ref, row.key);
  }

  /** Whether its own transaction has settled it: it is only to be closed. */
  isSettled(ref: DeliveryRef): boolean {
    return this.#sql.isSettled.get(...cells(ref)) !== undefined;
  }

  /** It goes on elsewhere, unless its own transaction has settled it. */
  handOver(row: RowHead): void {
    if (this.isSettled(row.ref)) this.close(row, "done");
    else this.release(row, "ready", 0);
  }

  /** Due again, run by nobody. */
  release(row: RowHead, state: "ready" | "retrying", dueMs: number): void {
    this.#sql.ready.run(stateNumber[state], dueMs, ...cells(row.ref));
    this.#move(row, { ...row, state });
  }

  /** Not due at any time: found by its group. */
  defer(row: RowHead, group: string): void {
    this.#sql.defer.run(group, ...cells(row.ref));
    this.#move(row, { ...row, state: "deferred" });
  }

  /** Waits until it is due, or woken. Answers whether it is due at once: for a signal that came while it ran. */
  wait(row: RowHead, dueMs: number): boolean {
    if (row.woken) this.release(row, "ready", 0);
    else {
      this.#sql.wait.run(dueMs, ...cells(row.ref));
      this.#move(row, { ...row, state: "retrying" });
    }
    return row.woken;
  }

  /** A signal for it: due now, or as soon as it waits. */
  wake(row: RowHead): void {
    if (row.waits) this.release(row, "ready", 0);
    else if (row.state === "running") this.#sql.woken.run(...cells(row.ref));
  }

  /** Holds its key or lets go of it. True where the next of the key became ready. */
  hold(row: RowHead, holds: boolean): boolean {
    this.#sql.hold.run(holds ? 1 : 0, ...cells(row.ref));
    return this.promote(row.ref, row.key);
  }

  /** Runs a row, which may begin to hold its key with that. False where another that holds the key runs. */
  run(row: RowHead, holds: boolean, session: number): boolean {
    if (holds && this.#runsOther(row)) return false;
    this.#sql.run.run(session, holds ? 1 : 0, ...cells(row.ref));
    this.#move(row, { ...row, holds, state: "running" });
    return true;
  }
  /** What does not wait stands in front of what is held. */
  #runsOther({ ref, key }: RowHead): boolean {
    const firsts = this.#sql.firsts.all(ref.sub, ref.gen, ref.slot, key);
    return firsts.some(([position, state]) => state === stateNumber.running && position !== ref.position);
  }

  /** The key goes on where the dead row does not hold it. True where its next became ready. */
  bury(row: RowHead, end: { readonly holds: boolean; readonly stop: boolean }): boolean {
    this.#sql.bury.run(end.holds ? 1 : 0, end.stop ? 1 : 0, ...cells(row.ref));
    this.#move(row, { ...row, ...end, state: "dead" });
    return this.promote(row.ref, row.key);
  }

  redrive(row: RowHead, nowMs: number, fresh: boolean): void {
    if (fresh) this.#sql.freshen.run(...cells(row.ref));
    this.#sql.redrive.run(nowMs, ...cells(row.ref));
    this.#move(row, { ...row, state: "ready", stop: false });
  }

  setFailures(ref: DeliveryRef, failures: number): void {
    this.#sql.failures.run(failures, ...cells(ref));
  }

  setCrashes(ref: DeliveryRef, crashes: number): void {
    this.#sql.crashes.run(crashes, ...cells(ref));
  }

  /** The first failure and the newest ones stay. */
  remember(ref: DeliveryRef, failure: FailureRecord): void {
    const { atMs, class: kind, fingerprint, error } = failure;
    const n = this.#sql.remember.get(...cells(ref), atMs, kind, fingerprint, error)![0];
    if (n > limits.failuresKeptMax) this.#sql.forgetOne.run(...cells(ref), n - limits.failuresKeptMax + 1);
  }

  /** The lowest row of a key is never held: makes it ready if it is. True where it was. */
  promote(slot: SlotRef, key: string): boolean {
    const head = this.#sql.head.get(slot.sub, slot.gen, slot.slot, key);
    if (head === undefined || head[1] !== stateNumber.held) return false;
    const ref = { sub: slot.sub, gen: slot.gen, slot: slot.slot, position: head[0] };
    this.#sql.ready.run(stateNumber.ready, 0, ...cells(ref));
    this.#counters.row(ref, { state: "held", holds: true, stop: false }, -1);
    this.#counters.row(ref, { state: "ready", holds: true, stop: false }, 1);
    return true;
  }

  /** Of these keys those that no row holds. */
  freed(slot: SlotRef, keys: Iterable<string>): string[] {
    return [...new Set(keys)].filter((key) => this.#sql.head.get(slot.sub, slot.gen, slot.slot, key) === undefined);
  }

  #isBehind(ref: DeliveryRef, key: string): boolean {
    return this.#sql.isBehind.get(ref.sub, ref.gen, ref.slot, key, ref.position) !== undefined;
  }

  #move(before: RowHead, after: RowHead): void {
    this.#counters.row(before.ref, before, -1);
    this.#counters.row(before.ref, after, 1);
  }
}

const cells = (ref: DeliveryRef): [Cell, Cell, Cell, Cell] => [ref.sub, ref.gen, ref.slot, ref.position];
