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
  SqlStatement,
  SubscriptionTally,
} from "../../engine/ledger.ts";
import type { Signal, StepRecord, WaitRecord } from "../../engine/journal.ts";
import type { Generation, GenerationAct } from "../../engine/projections.ts";
import type { Entering, Entry } from "../../engine/register.ts";
import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import type { Transact, Transacted } from "../../engine/transact.ts";
import { Commands } from "./command.ts";
import { Counters } from "./counters.ts";
import { Delays } from "./delays.ts";
import { EffectWriter } from "./effects.ts";
import { closed } from "./event-log.ts";
import { Steps } from "./journal.ts";
import { Leases } from "./lease.ts";
import { Projections, tableName } from "./projections.ts";
import { Queries } from "./queries.ts";
import { eventsOf, needsSync, Recorder, requireSound, type RecordCall } from "./record.ts";
import { Register } from "./register.ts";
import { Rows } from "./rows.ts";
import type { Store } from "./store.ts";
import { Tallies } from "./tally.ts";
import { Timetable } from "./timetable.ts";
import { Transactor } from "./transact.ts";

/**
 * The ledger over one file. FULL: what appends events, makes deliveries dead, obeys operators, joins or takes over.
 * NORMAL: progress, starts, retries, held rows, writes and state with their settle; they survive the process, not the
 * power, and those deliveries run again.
 */
export class SqliteLedger implements Ledger {
  readonly capabilities: LedgerCapabilities;
  readonly #store: Store;
  readonly #counters: Counters;
  readonly #recorder: Recorder;
  readonly #leases: Leases;
  readonly #commands: Commands;
  readonly #queries: Queries;
  readonly #tallies: Tallies;
  readonly #steps: Steps;
  readonly #delays: Delays;
  readonly #timetable: Timetable;
  readonly #transactor: Transactor;
  readonly #projections: Projections;
  readonly #register: Register;
  #closing: Promise<void> | undefined;

  constructor(store: Store, options: { readonly sharesLog: boolean; readonly slots: number }) {
    const { db } = store;
    const counters = new Counters(db);
    const rows = new Rows(db, counters);
    const delays = new Delays(store, options.sharesLog);
    const effects = new EffectWriter(store, delays, options.sharesLog);
    this.#store = store;
    this.#counters = counters;
    this.#steps = new Steps(db, rows);
    const parts = { rows, counters, effects, steps: this.#steps };
    this.#recorder = new Recorder(store, parts);
    this.#transactor = new Transactor(store, parts);
    this.#leases = new Leases(store, rows);
    this.#commands = new Commands(db, parts, options.slots);
    this.#projections = new Projections(db, this.#commands);
    this.#queries = new Queries(store);
    this.#delays = delays;
    this.#timetable = new Timetable(store, delays, effects);
    this.#register = new Register(store, effects);
    this.#tallies = new Tallies(db);
    this.capabilities = {
      sharesLog: options.sharesLog,
      writes: true,
      transactions: "sqlite",
      instantDeath: store.locks !== undefined,
    };
    store.use();
  }

  async lease(request: LeaseRequest): Promise<LeaseState> {
    this.#requireOpen();
    const full = request.session === undefined || request.dead.length > 0;
    const { state, removed } = await this.#write(full, () => this.#leases.run(request));
    const { locks } = this.#store;
    if (locks === undefined) return state;
    for (const session of removed) locks.drop(session);
    return { ...state, sessions: state.sessions.map((one) => ({ ...one, gone: locks.isGone(one.session) })) };
  }

  async load(slots: readonly SlotRef[]): Promise<readonly SlotState[]> {
    this.#requireOpen();
    return this.#store.snapshot(() => slots.map((slot) => this.#queries.load(slot)));
  }

  async record(session: number, changes: readonly Change[]): Promise<readonly Recorded[]> {
    this.#requireOpen();
    requireSound(changes);
    if (changes.length === 0) return [];
    const call: RecordCall = { session, changes, refusals: new Map() };
    return this.#write(changes.some(needsSync), () => this.#recorder.run(call), eventsOf(changes));
  }

  async bind(source: TransactionSource): Promise<void> {
    this.#transactor.bind(source);
  }

  async transact(session: number, request: Transact): Promise<Transacted> {
    this.#requireOpen();
    this.#transactor.bind(request.source);
    return this.#transactor.run(session, request);
  }

  async deliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]> {
    this.#requireOpen();
    return this.#store.snapshot(() => this.#queries.deliveries(query));
  }

  async failures(delivery: DeliveryRef): Promise<readonly FailureRecord[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#queries.failures(delivery));
  }

  async states(sub: number, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#queries.states(sub, keys));
  }

  async outbox(limit: number): Promise<readonly OutboxRow[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#queries.outbox(limit));
  }

  async delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]> {
    this.#requireOpen();
    const put = () => events.map((one, index) => ({ duplicate: this.#delays.put(one, index) }));
    return this.#write(true, put, events.length);
  }

  async cancel(identity: Identity): Promise<boolean> {
    this.#requireOpen();
    return this.#write(true, () => this.#delays.cancel(identity));
  }

  /** Most calls find nothing, and write nothing. */
  async fire(nowMs: number, limit: number): Promise<Fired> {
    this.#requireOpen();
    if (!(await this.#store.read(() => this.#delays.isDue(nowMs)))) return { fired: 0, conflicts: [] };
    return this.#write(true, () => this.#timetable.fire(nowMs, limit), limit);
  }

  async delayed(query: DelayedQuery): Promise<readonly DelayedEvent[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#delays.list(query));
  }

  async ticked(schedule: string): Promise<number | undefined> {
    this.#requireOpen();
    return this.#store.read(() => this.#timetable.ticked(schedule));
  }

  async tick(tick: Tick): Promise<boolean> {
    this.#requireOpen();
    return this.#write(true, () => this.#timetable.tick(tick), tick.events.length);
  }

  async entries(kind: string): Promise<readonly Entry[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#register.entries(kind));
  }

  async enter(entering: Entering): Promise<boolean> {
    this.#requireOpen();
    return this.#write(true, () => this.#register.enter(entering), entering.events.length);
  }

  async steps(delivery: DeliveryRef, scope: number): Promise<readonly StepRecord[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#steps.of(delivery, scope));
  }

  async stepValue(delivery: DeliveryRef, scope: number, name: string): Promise<string | undefined> {
    this.#requireOpen();
    return this.#store.read(() => this.#steps.value(delivery, scope, name));
  }

  async awaited(): Promise<readonly string[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#steps.awaited());
  }

  async signal(signal: Signal): Promise<number> {
    this.#requireOpen();
    return this.#write(true, () => this.#steps.signal(signal));
  }

  async waits({ kind, after, limit }: Parameters<Ledger["waits"]>[0]): Promise<readonly WaitRecord[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#steps.waits(kind, after, limit));
  }

  async command(command: Command): Promise<CommandResult> {
    this.#requireOpen();
    return this.#write(true, () => this.#commands.run(command), 1);
  }

  async projections(): Promise<readonly Generation[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#projections.all());
  }

  tableName(table: string, generation: number): string {
    return tableName(table, generation);
  }

  async generation(act: GenerationAct): Promise<number> {
    this.#requireOpen();
    return this.#write(true, () => this.#projections.act(act), 1);
  }

  async query(statement: SqlStatement): Promise<readonly Record<string, unknown>[]> {
    this.#requireOpen();
    return this.#store.read(() => this.#projections.query(statement));
  }

  async tally(): Promise<readonly SubscriptionTally[]> {
    this.#requireOpen();
    return this.#store.snapshot(() => this.#tallies.all());
  }

  close(): Promise<void> {
    this.#closing ??= this.#store.leave();
    return this.#closing;
  }

  #write<T>(full: boolean, act: () => T, weight = 0): Promise<T> {
    const run = (): T => {
      this.#counters.begin();
      const result = act();
      this.#counters.flush();
      return result;
    };
    return this.#store.write(run, { full, weight });
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closed(this.#store.location.path);
    this.#store.requireSound();
  }
}
