import { FactlogError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { EngineHandle } from "../../engine/engine.ts";
import { MemoryDeltas } from "./deltas.ts";
import { MemoryLog } from "./event-log.ts";
import { MemoryLedger } from "./ledger.ts";
import { createStore } from "./store.ts";

/**
 * An engine in this process's memory: the shortest readable keeping of both ports, and the model that the others are
 * compared with. One handle is one store: it survives `close`, and every `open` is a further process on it.
 */
export function memory(options: { readonly slots?: number; readonly name?: string } = {}): EngineHandle {
  const slots = options.slots ?? limits.slots;
  if (!Number.isInteger(slots) || slots < 1) {
    throw new FactlogError("INVALID_OPTION", `slots is ${slots}: give a whole number of at least 1.`);
  }
  const store = createStore(slots);
  return {
    identity: `memory:${options.name ?? ++unnamed}`,
    async open(env) {
      return {
        log: new MemoryLog(store, env),
        ledger: new MemoryLedger({ store, env, sharesLog: true }),
        deltas: new MemoryDeltas(store.ears),
        description: "memory  not durable: gone with this process",
        inspect: async () => [],
      };
    },
    async openLedger(env, log) {
      const { slots: logSlots } = log.capabilities;
      if (logSlots !== store.slots) {
        const message = `the log has ${logSlots} slots, the ledger ${store.slots}: open the ledger with memory({ slots: ${logSlots} }).`;
        throw new FactlogError("SLOTS_MISMATCH", message);
      }
      return new MemoryLedger({ store, env, sharesLog: false });
    },
  };
}

/** Numbers the handles that have no name. */
let unnamed = 0;
