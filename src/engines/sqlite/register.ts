import type { Entering, Entry } from "../../engine/register.ts";
import type { EffectWriter } from "./effects.ts";
import type { Store } from "./store.ts";

/** What is kept by name, inside the open transaction. */
export class Register {
  readonly #effects: EffectWriter;
  readonly #sql;

  constructor({ db }: Store, effects: EffectWriter) {
    this.#effects = effects;
    this.#sql = {
      all: db.prepare<[string, string]>("SELECT name, body FROM factlog_entry WHERE kind = ? ORDER BY name"),
      one: db.prepare<[string]>("SELECT body FROM factlog_entry WHERE kind = ? AND name = ?"),
      put: db.prepare(
        "INSERT INTO factlog_entry(kind, name, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
      ),
      remove: db.prepare("DELETE FROM factlog_entry WHERE kind = ? AND name = ?"),
    };
  }

  entries(kind: string): Entry[] {
    return this.#sql.all.all(kind).map(([name, body]) => ({ name, body }));
  }

  enter({ kind, name, seen, body, events }: Entering): boolean {
    if (this.#sql.one.get(kind, name)?.[0] !== seen) return false;
    for (const [index, event] of events.entries()) this.#effects.emit(event, index);
    if (body === undefined) this.#sql.remove.run(kind, name);
    else this.#sql.put.run(kind, name, body);
    return true;
  }
}
