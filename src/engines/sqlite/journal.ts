import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import {
  type Signal,
  type StepChange,
  type StepRecord,
  type StepState,
  type Wait,
  type WaitKind,
  stepOf,
  type StepCells,
  type WaitRecord,
} from "../../engine/journal.ts";
import type { DeliveryRef } from "../../engine/ledger.ts";
import { notThere } from "./command.ts";
import type { Database } from "./database.ts";
import type { RowHead, Rows } from "./rows.ts";

/** Numbers of the states in `factlog_step`; the index over it names the last one. */
const stateNumber: Readonly<Record<StepState, number>> = { started: 0, done: 1, failed: 2, waiting: 3 };

const ofDelivery = "sub = ? AND slot = ? AND position = ? AND scope = ?";
const columns = `name, state, version, attempts, at_ms, CASE WHEN bytes <= ${limits.stepInlineBytes} THEN value END, bytes,
  usage, wait, found`;
type PlaceCells = [sub: number, slot: number, position: number, scope: number];

function prepare(db: Database) {
  const step = `${ofDelivery} AND name = ?`;
  return {
    all: db.prepare<StepCells>(`SELECT ${columns} FROM factlog_step WHERE ${ofDelivery} ORDER BY name`),
    one: db.prepare<StepCells>(`SELECT ${columns} FROM factlog_step WHERE ${step}`),
    value: db.prepare<[string | null]>(`SELECT value FROM factlog_step WHERE ${step}`),
    insert: db.prepare(
      `INSERT INTO factlog_step(sub, slot, position, scope, name, state, version, attempts, at_ms, bytes, found)
       VALUES (?, ?, ?, ?, ?, 0, '', 0, 0, 0, '[]') ON CONFLICT DO NOTHING`,
    ),
    started: db.prepare(
      `UPDATE factlog_step SET state = 0, version = ?, attempts = ?, at_ms = ?, wait = NULL, kind = NULL WHERE ${step}`,
    ),
    ended: db.prepare(
      `UPDATE factlog_step SET state = ?, value = ?, bytes = ?, usage = coalesce(?, usage), at_ms = ?, wait = NULL, kind = NULL
       WHERE ${step}`,
    ),
    waiting: db.prepare(`UPDATE factlog_step SET state = 3, version = ?, at_ms = ?, wait = ?, kind = ? WHERE ${step}`),
    drop: db.prepare(`DELETE FROM factlog_step WHERE ${step}`),
    awaits: db.prepare(
      `INSERT INTO factlog_awaited(type, key, sub, slot, position, scope, name, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET after = excluded.after`,
    ),
    awaitsNoMore: db.prepare(`DELETE FROM factlog_awaited WHERE type = ? AND key = ? AND ${step}`),
    awaited: db.prepare<[string]>("SELECT DISTINCT type FROM factlog_awaited"),
    awaiting: db.prepare<[...PlaceCells, string]>(
      "SELECT sub, slot, position, scope, name FROM factlog_awaited WHERE type = ? AND key = ? AND after < ?",
    ),
    found: db.prepare(`UPDATE factlog_step SET found = ? WHERE ${step}`),
    gen: db.prepare<[number]>("SELECT gen FROM factlog_subscription WHERE id = ?"),
    waits: db.prepare<[number, number, number, number, number, ...StepCells]>(
      `SELECT s.sub, d.gen, s.slot, s.position, s.scope, ${columns.replaceAll(/\b(name|state|version|at_ms)\b/gu, "s.$1")}
       FROM factlog_step s INDEXED BY factlog_step_wait
       JOIN factlog_subscription b ON b.id = s.sub
       JOIN factlog_delivery d ON d.sub = s.sub AND d.gen = b.gen AND d.slot = s.slot AND d.position = s.position AND d.scope = s.scope
       WHERE s.state = 3 AND s.kind = ? AND (s.sub, s.slot, s.position, s.scope, s.name) > (?, ?, ?, ?, ?)
       ORDER BY s.sub, s.slot, s.position, s.scope, s.name LIMIT ?`,
    ),
  };
}

/** The steps of deliveries, inside an open transaction. */
export class Steps {
  readonly #rows: Rows;
  readonly #sql;

  constructor(db: Database, rows: Rows) {
    this.#rows = rows;
    this.#sql = prepare(db);
  }

  of(delivery: DeliveryRef, scope: number): readonly StepRecord[] {
    return this.#sql.all.all(...placeOf(delivery, scope)).map(stepOf);
  }

  value(delivery: DeliveryRef, scope: number, name: string): string | undefined {
    return this.#sql.value.get(...placeOf(delivery, scope), name)?.[0] ?? undefined;
  }

  awaited(): readonly string[] {
    return this.#sql.awaited.all().map(([type]) => type);
  }

  /** Moves a step on. Gives the value that stood there, where it was done already. */
  move({ delivery, name, to, atMs }: StepChange, scope: number): string | undefined {
    const place = [...placeOf(delivery, scope), name] as const;
    const known = this.#sql.one.get(...place);
    const before = known === undefined ? undefined : stepOf(known);
    if (before?.state === "done") return this.value(delivery, scope, name);
    this.#awaitNoMore(place, before?.wait);
    if (to.state === "dropped") {
      this.#sql.drop.run(...place);
      return undefined;
    }
    this.#sql.insert.run(...place);
    switch (to.state) {
      case "started":
        this.#sql.started.run(to.version, to.attempts, atMs, ...place);
        break;
      case "done":
        this.#sql.ended.run(stateNumber.done, to.value, Buffer.byteLength(to.value), to.usage ?? null, atMs, ...place);
        break;
      case "failed":
        this.#sql.ended.run(stateNumber.failed, null, 0, to.usage ?? null, atMs, ...place);
        break;
      case "waiting":
        this.#sql.waiting.run(to.version, atMs, JSON.stringify(to.wait), to.wait.kind, ...place);
        for (const type of to.wait.types) this.#sql.awaits.run(type, to.wait.key ?? "", ...place, to.wait.after);
    }
    return undefined;
  }

  /** Forgets a step, whatever its state. */
  drop(delivery: DeliveryRef, scope: number, name: string): void {
    const place = [...placeOf(delivery, scope), name] as const;
    const known = this.#sql.one.get(...place);
    if (known === undefined) return;
    this.#awaitNoMore(place, stepOf(known).wait);
    this.#sql.drop.run(...place);
  }

  signal({ type, key, position }: Signal): number {
    let woken = 0;
    for (const [sub, slot, at, scope, name] of this.#sql.awaiting.all(type, key, position)) {
      const place = [sub, slot, at, scope, name] as const;
      const row = this.#rowOf([sub, slot, at, scope]);
      if (row === undefined) {
        this.#sql.awaitsNoMore.run(type, key, ...place);
        continue;
      }
      const step = stepOf(this.#sql.one.get(...place)!);
      const found = [...new Set([...step.found, position])].toSorted((a, b) => a - b).slice(0, limits.foundMax);
      this.#sql.found.run(JSON.stringify(found), ...place);
      this.#rows.wake(row);
      woken++;
    }
    return woken;
  }

  /** Throws where it does not wait any more, and has then changed nothing. */
  answer(delivery: DeliveryRef, scope: number, name: string, value: string, nowMs: number): void {
    const place = [...placeOf(delivery, scope), name] as const;
    const cells = this.#sql.one.get(...place);
    if (cells === undefined) throw notThere(`the approval ${name}`);
    const step = stepOf(cells);
    const row = this.#rowOf(placeOf(delivery, scope));
    if (step.state !== "waiting" || step.wait?.kind !== "approval" || row === undefined) {
      throw new FactlogError("CONFLICT", `${name} was answered already, or has expired: look again.`);
    }
    this.#sql.ended.run(stateNumber.done, value, Buffer.byteLength(value), null, nowMs, ...place);
    this.#rows.wake(row);
  }

  waits(kind: WaitKind, after: WaitRecord | undefined, limit: number): readonly WaitRecord[] {
    const from =
      after === undefined
        ? ([-1, 0, 0, 0, ""] as const)
        : ([...placeOf(after.delivery, after.scope), after.step.name] as const);
    return this.#sql.waits.all(kind, ...from, limit).map(([sub, gen, slot, position, scope, ...step]) => ({
      delivery: { sub, gen, slot, position },
      scope,
      step: stepOf(step),
    }));
  }

  #awaitNoMore(place: readonly [...PlaceCells, string], wait: Wait | undefined): void {
    for (const type of wait?.types ?? []) this.#sql.awaitsNoMore.run(type, wait?.key ?? "", ...place);
  }

  /** The open delivery, in this scope. */
  #rowOf([sub, slot, position, scope]: Readonly<PlaceCells>): RowHead | undefined {
    const gen = this.#sql.gen.get(sub)?.[0];
    const row = gen === undefined ? undefined : this.#rows.find({ sub, gen, slot, position });
    return row?.scope === scope ? row : undefined;
  }
}

const placeOf = ({ sub, slot, position }: DeliveryRef, scope: number): PlaceCells => [sub, slot, position, scope];
