import { realEnv, type Env } from "../env.ts";
import type { LedgerCapabilities, LogCapabilities } from "../engine/capabilities.ts";
import type { Engine, EngineHandle } from "../engine/engine.ts";

export type Capabilities = LogCapabilities & LedgerCapabilities;

/** One sentence of the ports, as a test. It fails by throwing. */
export interface Check {
  readonly name: string;
  readonly about: "log" | "ledger";
  /** Which engines it is for; all where absent. What holds without the capability is another check's subject. */
  readonly needs?: (capabilities: Capabilities) => boolean;
  /** Only for stores that several processes share and that outlive them. */
  readonly needsProcesses?: true;
  run(subject: Subject): Promise<void>;
}

/** What a check is run on: one store, fresh when the check begins, and as many processes on it as the check opens. */
export interface Subject {
  /** A further process on the store; of a store that is `alone` the one there is. */
  open(): Promise<Engine>;
  /** The store is one process's own and gone when it is closed. */
  readonly alone: boolean;
  /** The wall clock of all these processes. */
  readonly clock: { nowMs: number };
  /** How long to wait for what must come before it counts as not coming. */
  readonly patienceMs: number;
  /** Makes retention drop all events appended so far. Only where retention is theirs. */
  readonly dropEvents?: () => Promise<void>;
  /** Closes all processes and removes the store. */
  close(): Promise<void>;
}

export interface SubjectOptions {
  /** Default 5 s. */
  readonly patienceMs?: number;
  readonly alone?: boolean;
  readonly dropEvents?: () => Promise<void>;
  /** Runs when all processes are closed. */
  readonly dispose?: () => Promise<void>;
}

/** A subject of an engine's handle: of a store that is empty, nobody else's, and has at least 3 slots. */
export function subjectOf(handle: EngineHandle, options: SubjectOptions = {}): Subject {
  const clock = { nowMs: Date.UTC(2030, 0, 1) };
  const env: Env = { ...realEnv, now: () => clock.nowMs };
  const engines: Engine[] = [];
  return {
    clock,
    alone: options.alone ?? false,
    patienceMs: options.patienceMs ?? 5_000,
    async open() {
      if (options.alone === true && engines[0] !== undefined) return engines[0];
      const engine = await handle.open(env);
      engines.push(engine);
      return engine;
    },
    ...(options.dropEvents === undefined ? {} : { dropEvents: options.dropEvents }),
    async close() {
      for (const { ledger, log } of engines) {
        await ledger.close();
        await log.close();
      }
      await options.dispose?.();
    },
  };
}

export type CheckResult =
  | { readonly check: Check; readonly outcome: "passed" | "not needed" }
  | { readonly check: Check; readonly outcome: "failed"; readonly error: unknown };

/** Runs one check on a fresh subject. Throws what the check throws; "not needed" where it is for other engines. */
export async function runCheck(check: Check, fresh: () => Promise<Subject>): Promise<"passed" | "not needed"> {
  const subject = await fresh();
  try {
    if (check.needsProcesses === true && subject.alone) return "not needed";
    const { log, ledger } = await subject.open();
    if (check.needs?.({ ...log.capabilities, ...ledger.capabilities }) === false) return "not needed";
    await check.run(subject);
    return "passed";
  } finally {
    await subject.close();
  }
}

/**
 * Runs checks one after the other, each on a fresh subject, and reports each result.
 *
 * ```ts
 * await runChecks(checks, async () => subjectOf(myEngine(freshPlace())), ({ check, outcome }) => console.log(check.name, outcome));
 * ```
 */
export async function runChecks(
  checks: readonly Check[],
  fresh: () => Promise<Subject>,
  report: (result: CheckResult) => void,
): Promise<void> {
  for (const check of checks) {
    try {
      report({ check, outcome: await runCheck(check, fresh) });
    } catch (error) {
      report({ check, outcome: "failed", error });
    }
  }
}
