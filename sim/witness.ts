import type { Change, LeaseState, Recorded } from "../src/engine/ledger.ts";
import type { ReadPage, ReadRequest } from "../src/engine/event-log.ts";
import type { Witness } from "./ports.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

/** Writes down what the store granted and took, at the moment of each commit. */
export function witnessOf(scene: Scene): Witness {
  const owners = new Map<number, Process>();
  const lastGrants = new Map<number, string>();
  return {
    granted(process: Process, { session, held }: LeaseState): void {
      owners.set(session, process);
      const slots = held.map(({ sub, gen, slot, token }) => ({ slot: `${sub}.${gen}.${slot}`, token }));
      const text = JSON.stringify(slots);
      if (lastGrants.get(session) === text) return;
      lastGrants.set(session, text);
      scene.ops.push({ op: "grant", process: process.name, t: scene.t, session, held: slots });
    },
    recorded(process: Process, session: number, changes: readonly Change[], results: readonly Recorded[]): void {
      for (const [i, change] of changes.entries()) {
        if (change.kind !== "progress") continue;
        const { sub, gen, slot, token } = change.lease;
        const outcome = results[i]?.status === "ok" ? "ok" : "fail";
        const where = { session, slot: `${sub}.${gen}.${slot}`, token, low: change.low };
        scene.ops.push({ op: "settle", process: process.name, t: scene.t, ...where, outcome });
      }
    },
    polled(process: Process, { after, types }: ReadRequest, page: ReadPage): void {
      scene.ops.push({
        op: "poll",
        process: process.name,
        t: scene.t,
        spans: [...after].map(([slot, from]) => [slot, from, page.scannedTo.get(slot) ?? from] as const),
        types: types === undefined ? undefined : [...types],
        events: page.events.map((event) => [event.slot, event.position, `${event.crc}`] as const),
      });
    },
    isGone: (session) => owners.get(session)?.gone === true,
    hasCrashed: (session) => owners.get(session)?.crashed === true,
  };
}
