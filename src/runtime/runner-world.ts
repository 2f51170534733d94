import type { Logger } from "../app/context.ts";
import type { EventLog } from "../engine/event-log.ts";
import type { Ledger } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import type { Deltas } from "./deltas.ts";
import type { Settler } from "./settle.ts";
import type { SuspectTurns } from "./suspects.ts";

/** What a runner needs of the process around it. */
export interface RunnerWorld {
  readonly env: Env;
  readonly log: EventLog;
  readonly ledger: Ledger;
  session(): number;
  readonly settler: Settler;
  readonly suspects: SuspectTurns;
  readonly logger: Logger;
  readonly deltas: Deltas;
  /** Default source of what handlers state: the app's name. */
  readonly source: string;
  /** An event was emitted for this time (wall clock). */
  delayed(dueMs: number): void;
  /** Somebody waits for facts. */
  awaiting(): void;
  /** Runners hear what is paused, or down. */
  lookAtPauses(): Promise<unknown>;
  /** Whether a session is over: a lease round that began since it was first asked about has not found it. */
  readonly isGone: (session: number) => boolean;
  /** Slots are at rest: a lease round may give them back. */
  handBack(): void;
  fail(error: unknown): void;
}
/** The subscription as the ledger knows it. */
export interface Enrolment {
  readonly sub: number;
  readonly gen: number;
  readonly revision: number;
}
