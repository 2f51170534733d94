import { foreignLog, subjectOf, type Subject } from "../../../src/conformance/index.ts";
import type { Engine, EngineHandle } from "../../../src/engine/engine.ts";
import type { EventLog, ReadPage, ReadRequest } from "../../../src/engine/event-log.ts";
import type {
  Change,
  Command,
  CommandResult,
  LeaseRequest,
  LeaseState,
  Ledger,
  ProgressChange,
  Recorded,
  RowChange,
  SlotRef,
} from "../../../src/engine/ledger.ts";
import { MemoryLog } from "../../../src/engines/memory/event-log.ts";
import { MemoryLedger } from "../../../src/engines/memory/ledger.ts";
import { createStore, slotRowOf, type Row, type SlotRow, type Store } from "../../../src/engines/memory/store.ts";
import type { Env, Timer } from "../../../src/env.ts";

/** The sound parts of a memory engine, for one process on a store. */
export interface Parts {
  readonly log: EventLog;
  readonly ledger: Ledger;
  readonly store: Store;
  readonly env: Env;
}
/** What one process does differently from a sound one. */
export interface Sabotage {
  readonly log?: Partial<EventLog>;
  readonly ledger?: Partial<Ledger>;
  readonly engine?: Partial<Pick<Engine, "description" | "inspect" | "deltas">>;
}
/** A memory engine with one fault, and the checks that must see it. */
export interface Broken {
  readonly name: string;
  readonly fails: readonly string[];
  /** The fault is in a ledger beside a foreign log. */
  readonly foreign?: true;
  readonly break: (parts: Parts) => Sabotage;
}

export async function brokenSubject({ break: sabotage, foreign }: Broken, slots: number): Promise<Subject> {
  const store = createStore(slots);
  const foreignStore = foreignLog({ slots });
  const handle: EngineHandle = {
    identity: "broken",
    async open(given) {
      const env: Env = { ...given, after: forgettable };
      const log = foreign ? await foreignStore.open(env) : new MemoryLog(store, env);
      const ledger = new MemoryLedger({ store, env, sharesLog: foreign !== true });
      const faults = sabotage({ log, ledger, store, env });
      return {
        log: instead(log, faults.log ?? {}),
        ledger: instead(ledger, faults.ledger ?? {}),
        description: "broken",
        inspect: async () => [],
        ...faults.engine,
      };
    },
  };
  return subjectOf(handle, { patienceMs: 20, dropEvents: () => foreignStore.dropEvents() });
}

/** A timer that does not keep the tests alive: a fault may make it an endless one. */
function forgettable(delayMs: number, task: () => void): Timer {
  const timer = setTimeout(task, Math.min(delayMs, 2 ** 31 - 1)).unref();
  return { cancel: () => clearTimeout(timer) };
}

/** `sound`, but with these members in place of its own. */
function instead<T extends object>(sound: T, faults: Partial<T>): T {
  return new Proxy(sound, {
    get(target, name) {
      if (name in faults) return faults[name as keyof T];
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

// ── where faults are put ──
/** Faults in what `read` answers. */
export const reading = (
  log: EventLog,
  after: (page: ReadPage, request: ReadRequest) => Partial<ReadPage>,
): Sabotage => ({
  log: {
    async read(request) {
      const page = await log.read(request);
      return { ...page, ...after(page, request) };
    },
  },
});

interface RecordFaults<C extends Change> {
  /** Another change, or another session, in place of the given. */
  before?(change: C, session: number): { readonly change?: Change; readonly session?: number } | undefined | void;
  /** Another answer in place of the given. */
  after?(answer: Recorded, change: C, session: number): Recorded | undefined | void;
}

function recordingKind(ledger: Ledger, matches: (change: Change) => boolean, faults: RecordFaults<Change>): Sabotage {
  return {
    ledger: {
      async record(session, changes) {
        const answers: Recorded[] = [];
        for (const given of changes) {
          const other = matches(given) ? (faults.before?.(given, session) ?? undefined) : undefined;
          const change = other?.change ?? given;
          const [answer] = await ledger.record(other?.session ?? session, [change]);
          answers.push((matches(given) ? faults.after?.(answer!, change, session) : undefined) ?? answer!);
        }
        return answers;
      },
    },
  };
}

/** Faults around every change. */
export const recording = (ledger: Ledger, faults: RecordFaults<Change>): Sabotage =>
  recordingKind(ledger, () => true, faults);
/** Faults around progress changes. */
export const progressing = (ledger: Ledger, faults: RecordFaults<ProgressChange>): Sabotage =>
  recordingKind(ledger, ({ kind }) => kind === "progress", faults as RecordFaults<Change>);
/** Faults around the ends of attempts. */
export const ending = (ledger: Ledger, faults: RecordFaults<RowChange>): Sabotage =>
  recordingKind(ledger, ({ kind }) => kind === "row", faults as RecordFaults<Change>);

/** Faults around `lease`. */
export const leasing = (
  ledger: Ledger,
  faults: {
    before?(request: LeaseRequest): Partial<LeaseRequest> | undefined | void;
    after?(state: LeaseState, request: LeaseRequest): Partial<LeaseState> | undefined | void;
  },
): Sabotage => ({
  ledger: {
    async lease(given) {
      const request = { ...given, ...faults.before?.(given) };
      const state = await ledger.lease(request);
      return { ...state, ...faults.after?.(state, request) };
    },
  },
});

/** Faults around commands of one kind. */
export const commanding = <Kind extends Command["kind"]>(
  ledger: Ledger,
  kind: Kind,
  faults: {
    before?(command: Extract<Command, { kind: Kind }>): Partial<Extract<Command, { kind: Kind }>> | undefined | void;
    after?(result: CommandResult, command: Extract<Command, { kind: Kind }>): Partial<CommandResult> | undefined | void;
  },
): Sabotage => ({
  ledger: {
    async command(given) {
      if (given.kind !== kind) return ledger.command(given);
      const mine = given as Extract<Command, { kind: Kind }>;
      const command = { ...mine, ...faults.before?.(mine) };
      const result = await ledger.command(command);
      return { ...result, ...faults.after?.(result, command) };
    },
  },
});

// ── looking into the store ──
export const rowsOf = (store: Store): Row[] => slotsOf(store).flatMap(({ rows }) => [...rows.values()]);

export const slotsOf = (store: Store): SlotRow[] =>
  [...store.subscriptions.values()].flatMap((subscription) => [...subscription.slots.values()]);

export const rowOf = (store: Store, ref: SlotRef & { readonly position: number }): Row | undefined =>
  slotRowOf(store, ref)?.rows.get(ref.position);

export const byName = (store: Store, name: string): number | undefined =>
  [...store.subscriptions.values()].find((subscription) => subscription.name === name)?.sub;
