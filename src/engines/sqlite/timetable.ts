import type { Fired, Tick } from "../../engine/timetable.ts";
import { hasCode } from "../../errors.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import type { Delays } from "./delays.ts";
import type { EffectWriter } from "./effects.ts";
import type { Store } from "./store.ts";

/** What becomes a fact at its time, inside the open transaction. */
export class Timetable {
  readonly #delays: Delays;
  readonly #effects: EffectWriter;
  readonly #sql;

  constructor({ db }: Store, delays: Delays, effects: EffectWriter) {
    this.#delays = delays;
    this.#effects = effects;
    this.#sql = {
      ticked: db.prepare<[number]>("SELECT tick_ms FROM factlog_schedule WHERE name = ?"),
      tick: db.prepare(
        "INSERT INTO factlog_schedule(name, tick_ms) VALUES (?, ?) ON CONFLICT DO UPDATE SET tick_ms = excluded.tick_ms",
      ),
    };
  }

  fire(nowMs: number, limit: number): Fired {
    const due = this.#delays.take(nowMs, limit);
    const conflicts = due.flatMap((event) => (this.#emitted(event) ? [] : [{ source: event.source, id: event.id }]));
    return { fired: due.length, conflicts };
  }

  ticked(schedule: string): number | undefined {
    return this.#sql.ticked.get(schedule)?.[0];
  }

  tick({ schedule, seenMs, tickMs, events }: Tick): boolean {
    if (this.ticked(schedule) !== seenMs) return false;
    for (const [index, event] of events.entries()) this.#effects.emit(event, index);
    this.#sql.tick.run(schedule, tickMs);
    return true;
  }

  /** False where other content stands under this identity. */
  #emitted(event: EncodedEvent): boolean {
    try {
      this.#effects.emit(event);
      return true;
    } catch (error) {
      if (!hasCode(error, "ID_CONFLICT")) throw error;
      return false;
    }
  }
}
