import { FactlogError } from "../../errors.ts";
import type { LeaseRequest, LeaseState, Served, SessionView, SlotLease } from "../../engine/ledger.ts";
import type { Database } from "./database.ts";
import { decodeDefinition } from "../../engine/definition.ts";
import type { Rows } from "./rows.ts";
import type { Store } from "./store.ts";
import { tallyNumber } from "./counters.ts";

function prepare(db: Database) {
  const free = "session = NULL, token = token + 1, claim = low";
  return {
    join: db.prepare<[number]>("INSERT INTO factlog_session(beat, lease_ms, serves) VALUES (1, ?, ?) RETURNING id"),
    beat: db.prepare("UPDATE factlog_session SET beat = beat + 1, lease_ms = ?, serves = ? WHERE id = ?"),
    removeSeen: db.prepare("DELETE FROM factlog_session WHERE id = ? AND beat = ?"),
    remove: db.prepare("DELETE FROM factlog_session WHERE id = ?"),
    orphan: db.prepare(
      `UPDATE factlog_slot SET session = NULL, token = token + 1, suspect = max(suspect, claim) WHERE session = ?`,
    ),
    giveBack: db.prepare(
      `UPDATE factlog_slot SET ${free} WHERE sub = ? AND gen = ? AND slot = ? AND token = ? AND session = ?`,
    ),
    freeAll: db.prepare(`UPDATE factlog_slot SET ${free} WHERE session = ?`),
    isNewest: db.prepare("SELECT 1 FROM factlog_subscription WHERE id = ? AND gen = ? AND newest = ?"),
    held: db.prepare<[number]>("SELECT count(*) FROM factlog_slot WHERE session = ? AND sub = ? AND gen = ?"),
    take: db.prepare(
      `UPDATE factlog_slot SET session = ?1, token = token + 1 WHERE sub = ?2 AND gen = ?3 AND slot IN
         (SELECT slot FROM factlog_slot WHERE sub = ?2 AND gen = ?3 AND session IS NULL ORDER BY slot LIMIT ?4)`,
    ),
    definition: db.prepare<[string]>(
      `SELECT definition FROM factlog_revision r JOIN factlog_subscription s ON s.id = r.sub AND s.newest = r.revision
       WHERE r.sub = ?`,
    ),
    sessions: db.prepare<[number, number, number, string]>(
      "SELECT id, beat, lease_ms, serves FROM factlog_session ORDER BY id",
    ),
    mine: db.prepare<[number, number, number, number]>(
      "SELECT sub, gen, slot, token FROM factlog_slot WHERE session = ? ORDER BY sub, gen, slot",
    ),
    subscriptions: db.prepare<[number, number, number, number | null]>(
      `SELECT s.id, s.gen, s.newest, t.n FROM factlog_subscription s
       LEFT JOIN factlog_tally t ON t.sub = s.id AND t.gen = s.gen AND t.state = ${tallyNumber.stopping} ORDER BY s.id`,
    ),
  };
}

/** What a lease left behind for after its commit. */
export interface Leased {
  readonly state: LeaseState;
  /** Sessions whose rows it removed. */
  readonly removed: readonly number[];
}

/** Join, beat, declare dead, give back, take, leave: in the order of the port, inside the open transaction. */
export class Leases {
  readonly #store: Store;
  readonly #rows: Rows;
  readonly #sql;

  constructor(store: Store, rows: Rows) {
    this.#store = store;
    this.#rows = rows;
    this.#sql = prepare(store.db);
  }

  run(request: LeaseRequest): Leased {
    const session = request.session === undefined ? this.#join(request) : this.#beat(request.session, request);
    const removed = request.dead.filter((one) => this.#declareDead(one, request.crashDueMs)).map((one) => one.session);
    for (const { sub, gen, slot, token } of request.giveBack) this.#sql.giveBack.run(sub, gen, slot, token, session);
    for (const ref of request.release) {
      const row = this.#rows.find(ref);
      const mine = row?.session === session && row.token === ref.rowToken && row.state === "running";
      if (mine) this.#rows.handOver(row);
    }
    for (const want of request.want) this.#take(session, want);
    if (request.leave === true) this.#leave(session);
    return { state: this.#stateFor(session), removed: request.leave === true ? [...removed, session] : removed };
  }

  /** The lock is there before anyone can see the session. */
  #join({ leaseMs, serves }: LeaseRequest): number {
    const { locks } = this.#store;
    const session = this.#sql.join.get(leaseMs, JSON.stringify(serves))![0];
    if (locks !== undefined) {
      locks.sweep(new Set(this.#sql.sessions.all().map(([id]) => id)));
      locks.hold(session);
    }
    return session;
  }

  #beat(session: number, { leaseMs, serves }: LeaseRequest): number {
    if (this.#sql.beat.run(leaseMs, JSON.stringify(serves), session).changes === 1) return session;
    this.#store.locks?.drop(session);
    throw new FactlogError("LEASE_LOST", "this session was declared dead by others: join anew.");
  }

  #declareDead({ session, beat }: { readonly session: number; readonly beat: number }, crashDueMs: number): boolean {
    if (this.#sql.removeSeen.run(session, beat).changes === 0) return false;
    for (const row of this.#rows.runningOf(session)) {
      if (this.#rows.isSettled(row.ref)) this.#rows.close(row, "done");
      else this.#chargeCrash(row, crashDueMs);
    }
    this.#sql.orphan.run(session);
    return true;
  }

  #chargeCrash(row: ReturnType<Rows["runningOf"]>[number], crashDueMs: number): void {
    const { crashesMax, onExhausted } = decodeDefinition(this.#sql.definition.get(row.ref.sub)![0]);
    const crashes = row.crashes + 1;
    this.#rows.setCrashes(row.ref, crashes);
    this.#rows.release(row, "ready", crashDueMs);
    if (crashes < crashesMax) return;
    this.#rows.remember(row.ref, {
      atMs: this.#store.env.now(),
      class: "crash",
      fingerprint: "crash",
      error: `the process died ${crashes} times while this delivery was running`,
    });
    const holds = row.holds && onExhausted !== "skip-event";
    this.#rows.bury({ ...row, state: "ready" }, { holds, stop: onExhausted === "stop" });
  }

  #take(session: number, { sub, gen, revision, slots }: LeaseRequest["want"][number]): void {
    if (this.#sql.isNewest.get(sub, gen, revision) === undefined) return;
    const missing = slots - this.#sql.held.get(session, sub, gen)![0];
    if (missing > 0) this.#sql.take.run(session, sub, gen, missing);
  }

  #leave(session: number): void {
    this.#sql.freeAll.run(session);
    for (const row of this.#rows.runningOf(session)) this.#rows.handOver(row);
    this.#sql.remove.run(session);
  }

  #stateFor(session: number): LeaseState {
    return {
      session,
      sessions: this.#sql.sessions.all().map(([id, beat, leaseMs, serves]): SessionView => ({
        session: id,
        beat,
        leaseMs,
        serves: JSON.parse(serves) as Served[],
        gone: false,
      })),
      held: this.#sql.mine.all(session).map(([sub, gen, slot, token]): SlotLease => ({ sub, gen, slot, token })),
      subscriptions: this.#sql.subscriptions.all().map(([sub, gen, revision, stopping]) => ({
        sub,
        gen,
        revision,
        state: (stopping ?? 0) > 0 ? "stopped" : "active",
      })),
    };
  }
}
