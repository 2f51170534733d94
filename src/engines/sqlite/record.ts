import { assert } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { StepChange } from "../../engine/journal.ts";
import type {
  AnnounceChange,
  Change,
  Effects,
  Outcomes,
  ProgressChange,
  Recorded,
  RelayChange,
  RowChange,
  RowState,
  SlotLease,
  SlotRef,
  StartChange,
} from "../../engine/ledger.ts";
import type { Counters } from "./counters.ts";
import type { Database } from "./database.ts";
import { Refusal, type EffectWriter } from "./effects.ts";
import type { Steps } from "./journal.ts";
import { encodeRanges } from "../../engine/ranges.ts";
import type { RowHead, Rows } from "./rows.ts";
import type { Store } from "./store.ts";
import { TransactionGone } from "./write-queue.ts";

const lost: Recorded = { status: "lost", freed: [], promoted: false };
const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0);

/** Looks for impossible changes before the first one is applied: together they are one transaction. */
export function requireSound(changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind !== "progress") continue;
    const ended = total(Object.values(change.outcomes)) + change.insert.length;
    assert(total(change.matched.values()) === ended, "a progress change matched other than it closed and inserted");
  }
}

/**
 * What must survive the power: appended events, and dead letters coming to be. Effects without events (writes, state)
 * are lost together with their settle, and the delivery runs again.
 */
export function needsSync(change: Change): boolean {
  switch (change.kind) {
    case "progress":
      return change.insert.some((row) => row.state === "dead") || change.effects.some((one) => factsOf(one) > 0);
    case "row":
      return change.to.state === "dead" || factsOf(change.effects) > 0;
    case "step":
    case "announce":
    case "relay":
      return true;
    case "start":
      return false;
  }
}

/** Events stated now or for later. */
export const factsOf = (effects: Effects | undefined): number =>
  (effects?.emits.length ?? 0) + (effects?.delayed?.length ?? 0);

export const eventsOf = (changes: readonly Change[]): number =>
  total(
    changes.map((change) => {
      if (change.kind === "progress") return total(change.effects.map(factsOf));
      return change.kind === "row" ? factsOf(change.effects) : 1;
    }),
  );

/** One call of `record`: remembers, over several runs of its transaction, what ended one of them. */
export interface RecordCall {
  readonly session: number;
  readonly changes: readonly Change[];
  /** Refusals of changes (by index) whose statement rolled the whole transaction back: they are not tried again. */
  readonly refusals: Map<number, Recorded>;
}

function prepare(db: Database) {
  const leased = `sub = ? AND gen = ? AND slot = ? AND token = ? AND session = ?
    AND EXISTS(SELECT 1 FROM factlog_session WHERE id = factlog_slot.session)`;
  return {
    isLeased: db.prepare(`SELECT 1 FROM factlog_slot WHERE ${leased}`),
    isAlive: db.prepare("SELECT 1 FROM factlog_session WHERE id = ?"),
    counts: db.prepare("SELECT 1 FROM factlog_counted WHERE sub = ? AND gen = ? AND type = ?"),
    progress: db.prepare(
      `UPDATE factlog_slot SET low = ?1, ranges = ?2, claim = max(claim, ?3),
         suspect = CASE WHEN ?1 >= suspect THEN 0 ELSE suspect END, matched = matched + ?4, done = done + ?5,
         skipped = skipped + ?6, discarded = discarded + ?7, expired = expired + ?8, duplicate = duplicate + ?9
       WHERE sub = ?10 AND gen = ?11 AND slot = ?12 AND token = ?13 AND session = ?14 AND ?1 >= low
         AND EXISTS(SELECT 1 FROM factlog_session WHERE id = ?14)`,
    ),
    see: db.prepare(
      `INSERT INTO factlog_seen(sub, gen, slot, identity, at_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms`,
    ),
    prune: db.prepare("DELETE FROM factlog_seen WHERE at_ms < ?"),
    forgetSettled: db.prepare(
      `DELETE FROM factlog_settled AS e WHERE sub = ? AND gen = ? AND slot = ? AND position <= ? AND NOT EXISTS(
         SELECT 1 FROM factlog_delivery d WHERE d.sub = e.sub AND d.gen = e.gen AND d.slot = e.slot AND d.position = e.position)`,
    ),
    relayed: db.prepare("DELETE FROM factlog_outbox WHERE seq = ?"),
  };
}

/** Applies changes inside the open transaction: each whole or not at all. */
export class Recorder {
  readonly #store: Store;
  readonly #rows: Rows;
  readonly #steps: Steps;
  readonly #counters: Counters;
  readonly #effects: EffectWriter;
  readonly #sql;
  #prunedMs = 0;

  constructor(
    store: Store,
    parts: {
      readonly rows: Rows;
      readonly steps: Steps;
      readonly counters: Counters;
      readonly effects: EffectWriter;
    },
  ) {
    const { rows, steps, counters, effects } = parts;
    this.#store = store;
    this.#rows = rows;
    this.#steps = steps;
    this.#counters = counters;
    this.#effects = effects;
    this.#sql = prepare(store.db);
  }

  run(call: RecordCall): readonly Recorded[] {
    return call.changes.map((change, index) => call.refusals.get(index) ?? this.#guarded(call, change, index));
  }

  /** What an effect refuses takes the whole change back. */
  #guarded(call: RecordCall, change: Change, index: number): Recorded {
    if (!hasEffects(change)) return this.#apply(call.session, change);
    const { db, appender, names } = this.#store;
    const events = appender.count;
    const steps = this.#counters.mark();
    db.exec("SAVEPOINT change");
    try {
      const recorded = this.#apply(call.session, change);
      db.exec("RELEASE change");
      return recorded;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const refused = {
        ...lost,
        status: "refused",
        refused: { position: error.position, error: error.cause },
      } as const;
      if (!db.inTransaction) {
        call.refusals.set(index, refused);
        throw new TransactionGone("a statement of ctx.write rolled the transaction back", { cause: error.cause });
      }
      db.exec("ROLLBACK TO change; RELEASE change");
      appender.rewind(events);
      names.forget();
      this.#counters.rewind(steps);
      return refused;
    }
  }

  #apply(session: number, change: Change): Recorded {
    switch (change.kind) {
      case "progress":
        return this.#progress(session, change);
      case "row":
        return this.#endRow(session, change);
      case "start":
        return this.#start(session, change);
      case "step":
        return this.#step(session, change);
      case "announce":
        return this.#announce(session, change);
      case "relay":
        return this.#relay(session, change);
    }
  }

  #progress(session: number, change: ProgressChange): Recorded {
    const { lease, low, ranges, claim, matched, insert, effects, seen } = change;
    const { done, skipped, discarded, expired, duplicate }: Outcomes = change.outcomes;
    const { changes } = this.#sql.progress.run(
      low,
      encodeRanges(ranges, low),
      claim,
      total(matched.values()),
      done,
      skipped,
      discarded,
      expired,
      duplicate,
      ...ofSlot(lease),
      lease.token,
      session,
    );
    if (changes === 0) return lost;
    for (const [type, count] of matched) this.#matched(lease, type, count);
    for (const row of insert) this.#rows.insert(lease, session, row);
    if (effects.length > 0) this.#effects.apply(lease.sub, effects);
    if (seen.length > 0) this.#see(lease, seen);
    this.#sql.forgetSettled.run(...ofSlot(lease), low);
    return this.#recorded(
      lease,
      insert.map((row) => row.key),
      false,
    );
  }

  #matched(lease: SlotLease, type: string, count: number): void {
    assert(
      this.#sql.counts.get(lease.sub, lease.gen, type) !== undefined,
      `the subscription never named the type ${type}`,
    );
    this.#counters.matched(lease, type, count);
  }

  #endRow(session: number, { delivery, rowToken, to, effects }: RowChange): Recorded {
    const row = this.#running(session, delivery, rowToken);
    if (row === undefined) return lost;
    if (to.state === "closed") {
      if (effects !== undefined) this.#effects.apply(delivery.sub, [effects]);
      return this.#recorded(delivery, [row.key], this.#rows.close(row, to.as));
    }
    this.#rows.setFailures(delivery, to.failures);
    if (to.failure !== undefined) this.#rows.remember(delivery, to.failure);
    if (to.state === "dead") return this.#recorded(delivery, [row.key], this.#rows.bury(row, to));
    if (to.state === "deferred") {
      this.#rows.defer(row, to.group);
      return this.#recorded(delivery, [row.key], false);
    }
    const woken = to.waits === true && this.#rows.wait(row, to.dueMs);
    if (to.waits !== true) this.#rows.release(row, to.state, to.dueMs);
    const promoted = to.holds !== undefined && this.#rows.hold(row, to.holds);
    return this.#recorded(delivery, [row.key], promoted || woken);
  }

  #start(session: number, { lease, position, rowToken, holds }: StartChange): Recorded {
    if (!this.#isLeased(session, lease)) return lost;
    const { sub, gen, slot } = lease;
    const row = this.#rows.find({ sub, gen, slot, position });
    if (row?.token !== rowToken || !startable.has(row.state)) return lost;
    if (!this.#rows.run(row, row.holds || holds === true, session)) return lost;
    return this.#recorded(lease, [row.key], false);
  }

  #step(session: number, change: StepChange): Recorded {
    const row = this.#running(session, change.delivery, change.rowToken);
    if (row === undefined) return lost;
    const stood = this.#steps.move(change, row.scope);
    return { status: "ok", freed: [], promoted: false, ...(stood === undefined ? {} : { stood }) };
  }

  #announce(session: number, { fence, event }: AnnounceChange): Recorded {
    const isGood =
      "lease" in fence
        ? this.#isLeased(session, fence.lease)
        : this.#running(session, fence.delivery, fence.rowToken) !== undefined;
    if (!isGood) return lost;
    return { status: "ok", freed: [], promoted: false, announced: this.#effects.announce(event) };
  }

  #relay(session: number, { lease, done }: RelayChange): Recorded {
    if (!this.#isLeased(session, lease)) return lost;
    for (const seq of done) this.#sql.relayed.run(seq);
    return { status: "ok", freed: [], promoted: false };
  }

  #isLeased(session: number, lease: SlotLease): boolean {
    return this.#sql.isLeased.get(...ofSlot(lease), lease.token, session) !== undefined;
  }

  #running(session: number, delivery: RowChange["delivery"], rowToken: number): RowHead | undefined {
    const row = this.#rows.find(delivery);
    const mine = row?.session === session && row.token === rowToken && row.state === "running";
    return mine && this.#sql.isAlive.get(session) !== undefined ? row : undefined;
  }

  #see(lease: SlotLease, seen: ProgressChange["seen"]): void {
    for (const { identity, atMs } of seen) this.#sql.see.run(...ofSlot(lease), identity, atMs);
    const nowMs = this.#store.env.now();
    if (nowMs - this.#prunedMs < pruneEveryMs) return;
    this.#prunedMs = nowMs;
    this.#sql.prune.run(nowMs - limits.dedupeWindowMs);
  }

  #recorded(slot: SlotRef, keys: readonly string[], promoted: boolean): Recorded {
    return { status: "ok", freed: this.#rows.freed(slot, keys), promoted };
  }
}

const startable: ReadonlySet<RowState> = new Set(["ready", "retrying", "deferred"]);

/** What was handed out longer ago than the window is dropped now and then. */
const pruneEveryMs = 60_000;

function hasEffects(change: Change): boolean {
  if (change.kind === "progress") return change.effects.length > 0;
  return change.kind === "row" && change.effects !== undefined;
}

const ofSlot = (ref: SlotRef): [number, number, number] => [ref.sub, ref.gen, ref.slot];
