import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { TransactionSource } from "../../app/store.ts";
import type { LedgerCapabilities } from "../../engine/capabilities.ts";
import type {
  Change,
  Command,
  CommandResult,
  DeliveryQuery,
  DeliveryRef,
  DeliveryRow,
  FailureRecord,
  LeaseRequest,
  LeaseState,
  Ledger,
  OutboxRow,
  Recorded,
  SlotRef,
  SlotState,
  SubscriptionTally,
} from "../../engine/ledger.ts";
import type { Signal, StepRecord, WaitRecord } from "../../engine/journal.ts";
import type { Generation } from "../../engine/projections.ts";
import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import type { Transact, Transacted } from "../../engine/transact.ts";
import { command } from "./command.ts";
import type { Entering, Entry } from "../../engine/register.ts";
import { awaited, signal, stepsOf, stepValue, waits } from "./journal.ts";
import { lease } from "./lease.ts";
import type { Context } from "./facts.ts";
import { apply, requireSound } from "./record.ts";
import { enter, entries } from "./register.ts";
import { closed, deliveryRows, notThere, slotRowOf, type Row } from "./store.ts";
import { tally } from "./tally.ts";
import { cancel, delay, delayed, fire, requireDelayable, tick } from "./timetable.ts";
import { bind, transact } from "./transact.ts";

/** Every verb runs to its end without a pause: that is its transaction. */
export class MemoryLedger implements Ledger {
  readonly capabilities: LedgerCapabilities;
  readonly #context: Context;
  #open = true;

  constructor(context: Context) {
    this.#context = context;
    this.capabilities = { sharesLog: context.sharesLog, writes: false, transactions: "memory", instantDeath: false };
  }

  async lease(request: LeaseRequest): Promise<LeaseState> {
    return lease(this.#opened(), request);
  }

  async load(slots: readonly SlotRef[]): Promise<readonly SlotState[]> {
    const { store, env } = this.#opened();
    return slots.map(({ sub, gen, slot }) => {
      const row = slotRowOf(store, { sub, gen, slot });
      if (row === undefined) throw notThere(`slot ${slot} of subscription ${sub}`);
      const since = env.now() - limits.dedupeWindowMs;
      const rows = [...row.rows.values()];
      const { types } = store.subscriptions.get(sub)!;
      return {
        slot: { sub, gen, slot },
        low: row.low,
        ranges: row.ranges,
        claim: row.claim,
        suspect: row.suspect,
        since: new Map([...types].map(([type, entry]) => [type, entry.since.get(slot) ?? 0])),
        busy: [...new Set(rows.filter(({ holds }) => holds).map(({ key }) => key))],
        deferred: groupsOf(rows),
        seen: [...row.seen].filter(([, atMs]) => atMs >= since).map(([identity]) => identity),
        settled: [...row.settled].filter((at) => at > row.low && !row.rows.has(at)).toSorted((a, b) => a - b),
      };
    });
  }

  async record(session: number, changes: readonly Change[]): Promise<readonly Recorded[]> {
    const context = this.#opened();
    requireSound(changes);
    return changes.map((change) => apply(context, session, change));
  }

  async bind(source: TransactionSource): Promise<void> {
    this.#opened();
    bind(source);
  }

  async transact(session: number, request: Transact): Promise<Transacted> {
    return transact(this.#opened(), session, request);
  }

  async deliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]> {
    const { store } = this.#opened();
    if (query.kind === "one") {
      const row = slotRowOf(store, query.delivery)?.rows.get(query.delivery.position);
      return row === undefined ? [] : [view(row)];
    }
    return rowsFor(deliveryRows(store), query).slice(0, query.limit).map(view);
  }

  async failures(delivery: DeliveryRef): Promise<readonly FailureRecord[]> {
    return [...(slotRowOf(this.#opened().store, delivery)?.rows.get(delivery.position)?.history ?? [])];
  }

  async states(sub: number, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const states = this.#opened().store.subscriptions.get(sub)?.states;
    return keys.map((key) => states?.get(key));
  }

  async outbox(limit: number): Promise<readonly OutboxRow[]> {
    return this.#opened().store.outbox.slice(0, limit);
  }

  async delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]> {
    const context = this.#opened();
    requireDelayable(context, events);
    return delay(context, events);
  }

  async cancel(identity: Identity): Promise<boolean> {
    return cancel(this.#opened(), identity);
  }

  async fire(nowMs: number, limit: number): Promise<Fired> {
    return fire(this.#opened(), nowMs, limit);
  }

  async delayed(query: DelayedQuery): Promise<readonly DelayedEvent[]> {
    return delayed(this.#opened(), query);
  }

  async ticked(schedule: string): Promise<number | undefined> {
    return this.#opened().store.ticks.get(schedule);
  }

  async tick(request: Tick): Promise<boolean> {
    return tick(this.#opened(), request);
  }

  async entries(kind: string): Promise<readonly Entry[]> {
    return entries(this.#opened().store, kind);
  }

  async enter(entering: Entering): Promise<boolean> {
    return enter(this.#opened(), entering);
  }

  async steps(delivery: DeliveryRef, scope: number): Promise<readonly StepRecord[]> {
    return stepsOf(this.#opened().store, delivery, scope);
  }

  async stepValue(delivery: DeliveryRef, scope: number, name: string): Promise<string | undefined> {
    return stepValue(this.#opened().store, delivery, scope, name);
  }

  async awaited(): Promise<readonly string[]> {
    return awaited(this.#opened().store);
  }

  async signal(request: Signal): Promise<number> {
    return signal(this.#opened().store, request);
  }

  async waits(query: Parameters<Ledger["waits"]>[0]): Promise<readonly WaitRecord[]> {
    return waits(this.#opened().store, query);
  }

  async command(request: Command): Promise<CommandResult> {
    return command(this.#opened(), request);
  }

  async projections(): Promise<readonly Generation[]> {
    this.#opened();
    return [];
  }
  tableName(): string {
    throw noTables();
  }
  async generation(): Promise<number> {
    throw noTables();
  }
  async query(): Promise<readonly Record<string, unknown>[]> {
    throw noTables();
  }

  async tally(): Promise<readonly SubscriptionTally[]> {
    return tally(this.#opened().store);
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  #opened(): Context {
    if (!this.#open) throw closed();
    return this.#context;
  }
}

function view(row: Row): DeliveryRow {
  const { history, stop: _, woken: _woken, group: _group, ...rest } = row;
  return { ...rest, failure: history.at(-1) };
}

function rowsFor(rows: readonly Row[], query: Exclude<DeliveryQuery, { kind: "one" }>): Row[] {
  switch (query.kind) {
    case "due":
      return dueRows(rows, query);
    case "deferred":
      return rows
        .filter((row) => row.state === "deferred" && row.group === query.group && isOf(row, query.slots))
        .toSorted((a, b) => a.position - b.position || compare(a, b));
    case "state":
      return rowsInState(rows, query);
  }
}

const isOf = (row: Row, slots: readonly SlotRef[]): boolean =>
  slots.some((ref) => ref.sub === row.sub && ref.gen === row.gen && ref.slot === row.slot);

/** In the order of code points: that of UTF-16 is another. */
function groupsOf(rows: readonly Row[]): string[] {
  const groups = new Set(rows.flatMap(({ state, group }) => (state === "deferred" ? [group!] : [])));
  return [...groups].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function dueRows(rows: readonly Row[], query: DeliveryQuery & { kind: "due" }): Row[] {
  return rows
    .filter((row) => row.dueMs !== undefined && row.dueMs <= query.dueMs)
    .filter((row) => isOf(row, query.slots))
    .toSorted((a, b) => a.dueMs! - b.dueMs! || compare(a, b));
}

function rowsInState(rows: readonly Row[], query: DeliveryQuery & { kind: "state" }): Row[] {
  const { state, sub, key, correlationId, after } = query;
  return rows.filter(
    (row) =>
      row.state === state &&
      (sub === undefined || row.sub === sub) &&
      (key === undefined || row.key === key) &&
      (correlationId === undefined || row.correlationId === correlationId) &&
      (after === undefined || compare(row, after) > 0),
  );
}

/** By (sub, slot, position). */
const compare = (a: DeliveryRef, b: DeliveryRef): number =>
  a.sub - b.sub || a.gen - b.gen || a.slot - b.slot || a.position - b.position;

const noTables = (): FactlogError =>
  new FactlogError(
    "NOT_SUPPORTED",
    'a log in memory has no SQL, and so no tables: use "sqlite::memory:", a file, or postgres://...',
  );
