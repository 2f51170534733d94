import type { TransactionSource } from "../../app/store.ts";
import type { LedgerCapabilities } from "../../engine/capabilities.ts";
import { limits } from "../../limits.ts";
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
  SqlStatement,
  SubscriptionTally,
} from "../../engine/ledger.ts";
import type { Signal, StepRecord, WaitRecord } from "../../engine/journal.ts";
import type { Generation, GenerationAct } from "../../engine/projections.ts";
import type { Entering, Entry } from "../../engine/register.ts";
import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import type { Transact, Transacted } from "../../engine/transact.ts";
import { requireSound } from "./changes.ts";
import { Commands } from "./command.ts";
import { closed } from "./event-log.ts";
import { Steps } from "./journal.ts";
import { lease } from "./lease.ts";
import { Projections } from "./projections.ts";
import { Queries } from "./queries.ts";
import { Recorder } from "./record.ts";
import { Register } from "./register.ts";
import type { Store } from "./store.ts";
import { tallies } from "./tally.ts";
import { Timetable } from "./timetable.ts";
import { Transactor } from "./transact.ts";

/** What was handed out longer ago than the window is dropped now and then. */
const pruneEveryMs = 60_000;

/** The ledger over one schema. Every write is a synchronous commit. */
export class PostgresLedger implements Ledger {
  readonly capabilities: LedgerCapabilities;
  readonly #store: Store;
  readonly #recorder: Recorder;
  readonly #commands: Commands;
  readonly #queries: Queries;
  readonly #timetable: Timetable;
  readonly #register: Register;
  readonly #steps: Steps;
  readonly #transactor: Transactor;
  readonly #projections: Projections;
  #prunedMs = 0;
  #closing: Promise<void> | undefined;

  constructor(store: Store, options: { readonly sharesLog: boolean; readonly slots: number }) {
    this.#store = store;
    this.#recorder = new Recorder(store, options);
    this.#commands = new Commands(store, options);
    this.#queries = new Queries(store);
    this.#steps = new Steps(store);
    this.#timetable = new Timetable(store, options);
    this.#register = new Register(store, options);
    this.#transactor = new Transactor(store, options);
    this.capabilities = { sharesLog: options.sharesLog, writes: true, transactions: "postgres", instantDeath: true };
    this.#projections = new Projections(store, options.slots);
    store.use();
  }

  async lease(request: LeaseRequest): Promise<LeaseState> {
    this.#requireOpen();
    return lease(this.#store, request);
  }

  async load(slots: readonly SlotRef[]): Promise<readonly SlotState[]> {
    this.#requireOpen();
    return slots.length === 0 ? [] : this.#queries.load(slots);
  }

  async record(session: number, changes: readonly Change[]): Promise<readonly Recorded[]> {
    this.#requireOpen();
    requireSound(changes);
    if (changes.length === 0) return [];
    const recorded = await this.#recorder.run(session, changes);
    if (changes.some((change) => change.kind === "progress" && change.seen.length > 0)) await this.#prune();
    return recorded;
  }

  async bind(source: TransactionSource): Promise<void> {
    this.#requireOpen();
    return this.#transactor.bind(source);
  }

  async transact(session: number, request: Transact): Promise<Transacted> {
    this.#requireOpen();
    return this.#transactor.run(session, request);
  }

  async deliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]> {
    this.#requireOpen();
    return this.#queries.deliveries(query);
  }

  async failures(delivery: DeliveryRef): Promise<readonly FailureRecord[]> {
    this.#requireOpen();
    return this.#queries.failures(delivery);
  }

  async states(sub: number, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    this.#requireOpen();
    return this.#queries.states(sub, keys);
  }

  async outbox(limit: number): Promise<readonly OutboxRow[]> {
    this.#requireOpen();
    return this.#queries.outbox(limit);
  }

  async delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]> {
    this.#requireOpen();
    return this.#timetable.delay(events);
  }

  async cancel(identity: Identity): Promise<boolean> {
    this.#requireOpen();
    return this.#timetable.cancel(identity);
  }

  async fire(nowMs: number, limit: number): Promise<Fired> {
    this.#requireOpen();
    return this.#timetable.fire(nowMs, limit);
  }

  async delayed(query: DelayedQuery): Promise<readonly DelayedEvent[]> {
    this.#requireOpen();
    return this.#timetable.delayed(query);
  }

  async ticked(schedule: string): Promise<number | undefined> {
    this.#requireOpen();
    return this.#timetable.ticked(schedule);
  }

  async tick(tick: Tick): Promise<boolean> {
    this.#requireOpen();
    return this.#timetable.tick(tick);
  }

  async entries(kind: string): Promise<readonly Entry[]> {
    this.#requireOpen();
    return this.#register.entries(kind);
  }

  async enter(entering: Entering): Promise<boolean> {
    this.#requireOpen();
    return this.#register.enter(entering);
  }

  async steps(delivery: DeliveryRef, scope: number): Promise<readonly StepRecord[]> {
    this.#requireOpen();
    return this.#steps.of(delivery, scope);
  }

  async stepValue(delivery: DeliveryRef, scope: number, name: string): Promise<string | undefined> {
    this.#requireOpen();
    return this.#steps.value(delivery, scope, name);
  }

  async awaited(): Promise<readonly string[]> {
    this.#requireOpen();
    return this.#steps.awaited();
  }

  async signal(signal: Signal): Promise<number> {
    this.#requireOpen();
    return this.#steps.signal(signal);
  }

  async waits({ kind, after, limit }: Parameters<Ledger["waits"]>[0]): Promise<readonly WaitRecord[]> {
    this.#requireOpen();
    return this.#steps.waits(kind, after, limit);
  }

  async command(command: Command): Promise<CommandResult> {
    this.#requireOpen();
    return this.#commands.run(command);
  }

  async projections(): Promise<readonly Generation[]> {
    this.#requireOpen();
    return this.#projections.all();
  }

  tableName(table: string, generation: number, within: "create" | "use"): string {
    return this.#projections.tableName(table, generation, within);
  }

  async generation(act: GenerationAct): Promise<number> {
    this.#requireOpen();
    return this.#projections.act(act);
  }

  async query(statement: SqlStatement): Promise<readonly Record<string, unknown>[]> {
    this.#requireOpen();
    return this.#projections.query(statement);
  }

  async tally(): Promise<readonly SubscriptionTally[]> {
    this.#requireOpen();
    return this.#store.snapshot((run) => tallies(this.#store, run));
  }

  /** What was called before runs on its connections until they are closed, which waits for it. */
  close(): Promise<void> {
    this.#closing ??= this.#transactor.close().then(() => this.#store.leave());
    return this.#closing;
  }

  async #prune(): Promise<void> {
    const nowMs = this.#store.env.now();
    if (nowMs - this.#prunedMs < pruneEveryMs) return;
    this.#prunedMs = nowMs;
    const text = this.#store.sql("DELETE FROM S.seen WHERE at_ms < $1");
    await this.#store.repeat(this.#store.writes, (run) => run(text, [nowMs - limits.dedupeWindowMs]));
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closed(this.#store.location.shown);
    this.#store.requireSound();
  }
}
