import type { Env } from "../env.ts";
import type { DeltaPort } from "./deltas.ts";
import type { EventLog } from "./event-log.ts";
import type { Ledger } from "./ledger.ts";

/** Both ports over one store, or a pairing of a log with another store's ledger. */
export interface Engine {
  readonly log: EventLog;
  readonly ledger: Ledger;
  /** Absent: deltas are heard in their own process alone. */
  readonly deltas?: DeltaPort;
  /** One line for people: where it is and how durable. */
  readonly description: string;
  /** Checks of the store itself, for `doctor`: one entry per check, with its figures; `ok: false` where something is wrong. */
  inspect(): Promise<readonly Finding[]>;
  /** Where old versions of rows wait for open transactions to end before they can be cleaned. Absent: they never do. */
  horizon?(): Promise<HorizonState>;
}
/** What keeps old versions of rows from being cleaned away, so that small hot tables grow and slow down. */
export interface HorizonState {
  /** Transactions since the oldest that is still looked at or open. */
  readonly behind: number;
  /** For how long the oldest open transaction has been open, milliseconds by the store's clock. */
  readonly openMs: number;
  /** Who that is, for people; undefined where nobody is. */
  readonly by: string | undefined;
  /** Within what is usual. */
  readonly ok: boolean;
}
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
}
/** Opens an engine. A value, so that importing opens nothing. */
export interface EngineHandle {
  /** Two handles of one store in one process share a connection, a write queue and a session: this names the store. */
  readonly identity: string;
  open(env: Env): Promise<Engine>;
  /** Whether there is a log already, where that can be asked without making one. */
  exists?(env: Env): Promise<boolean>;
  /** Opens the store's ledger alone, beside a foreign log: emitted events wait in its outbox. Absent: not supported. */
  openLedger?(env: Env, log: EventLog): Promise<Ledger>;
}
