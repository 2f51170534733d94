import type { Engine, EngineHandle } from "../engine/engine.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";

/** An open engine, shared by all that open the same store in this process. */
export interface SharedStore {
  readonly engine: Engine;
  readonly env: Env;
  /** Whatever is one per store and process (the worker), made on demand. */
  readonly parts: Map<string, unknown>;
  /** The last one to let go closes the engine. Idempotent per call of `openStore`. */
  release(): Promise<void>;
}
interface Entry {
  readonly opened: Promise<Engine>;
  readonly parts: Map<string, unknown>;
  users: number;
}

const open = new WeakMap<Env, Map<string, Entry>>();

/** Opens the store that `handle` names, or joins those who have it open. */
export async function openStore(env: Env, handle: EngineHandle): Promise<SharedStore> {
  const stores = open.get(env) ?? new Map<string, Entry>();
  open.set(env, stores);
  const entry = stores.get(handle.identity) ?? {
    opened: handle.open(env),
    parts: new Map<string, unknown>(),
    users: 0,
  };
  stores.set(handle.identity, entry);
  entry.users++;
  let released = false;
  const release = async (): Promise<void> => {
    if (released) return;
    released = true;
    if (--entry.users > 0) return;
    if (stores.get(handle.identity) === entry) stores.delete(handle.identity);
    await (await entry.opened).log.close();
    await (await entry.opened).ledger.close();
  };
  try {
    return { engine: await entry.opened, env, parts: entry.parts, release };
  } catch (error) {
    stores.delete(handle.identity);
    throw error;
  }
}

/** A log of one engine with the ledger of another. */
export function pair(log: EngineHandle, ledger: EngineHandle): EngineHandle {
  return {
    identity: `${log.identity} + ${ledger.identity}`,
    async open(env) {
      if (ledger.openLedger === undefined) {
        throw new FactlogError(
          "NOT_SUPPORTED",
          `${ledger.identity} cannot be a ledger beside another log: give an SQLite or PostgreSQL ledger.`,
        );
      }
      const logEngine = await log.open(env);
      const opened = await ledger.openLedger(env, logEngine.log);
      return {
        log: logEngine.log,
        ledger: opened,
        ...(logEngine.deltas === undefined ? {} : { deltas: logEngine.deltas }),
        description: `${logEngine.description} + ledger ${ledger.identity}`,
        inspect: () => logEngine.inspect(),
      };
    },
  };
}
