import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import { idConflict } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { ChangeWriter } from "./changes.ts";
import type { Run } from "./connection.ts";
import { Facts } from "./facts.ts";
import type { Store } from "./store.ts";

/** What becomes a fact at its time. */
export class Timetable {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;
  readonly #facts: Facts;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
    this.#facts = new Facts(store, options);
  }

  delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]> {
    const text = this.#store.sql("SELECT fresh, same FROM S.delay($1, $2, $3, $4)");
    const facts = events.map(({ event }) => event);
    return this.#facts.write(facts, async (run) => {
      const answers: { duplicate: boolean }[] = [];
      for (const [index, one] of events.entries()) {
        const { event, correlation, dueMs } = this.#writer.delayed(one);
        const values = [JSON.stringify(event), correlation, dueMs, this.#sharesLog];
        const [row] = await run<[boolean, boolean]>(text, values);
        if (!row![1]) throw idConflict(one.event, index);
        answers.push({ duplicate: !row![0] });
      }
      return answers;
    });
  }

  cancel({ source, id }: Identity): Promise<boolean> {
    const text = this.#store.sql("DELETE FROM S.delayed WHERE source = $1 AND id = $2 RETURNING 1");
    return this.#facts.write([], async (run) => (await run(text, [source, id])).length === 1);
  }

  /** Most calls find nothing, and write nothing. */
  async fire(nowMs: number, limit: number): Promise<Fired> {
    const look = this.#store.sql("SELECT seq, event FROM S.delayed WHERE due_ms <= $1 ORDER BY due_ms, seq LIMIT $2");
    const due = await this.#store.read((run) => run<[number, string]>(look, [nowMs, limit]));
    if (due.length === 0) return { fired: 0, conflicts: [] };
    const events = new Map(due.map(([seq, event]) => [seq, JSON.parse(event) as EncodedEvent]));
    return this.#facts.write([...events.values()], (run) => this.#fire(run, events));
  }

  /** Whoever holds the lock fires; another that comes meanwhile finds the next ones later. */
  async #fire(run: Run, events: ReadonlyMap<number, EncodedEvent>): Promise<Fired> {
    const store = this.#store;
    const lockText = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
    const [lock] = await run<[boolean]>(lockText, [`factlog fires ${store.location.schema}`]);
    if (!lock![0]) return { fired: 0, conflicts: [] };
    const taken = await run<[number]>(store.sql("DELETE FROM S.delayed WHERE seq = ANY($1::bigint[]) RETURNING seq"), [
      [...events.keys()],
    ]);
    const mine = new Set(taken.map(([seq]) => seq));
    const facts = [...events].filter(([seq]) => mine.has(seq)).map(([, event]) => event);
    const same = await this.#facts.state(run, facts);
    const conflicts = facts.filter((_, i) => !same[i]).map(({ source, id }) => ({ source, id }));
    return { fired: facts.length, conflicts };
  }

  async delayed({ correlationId, after, limit }: DelayedQuery): Promise<readonly DelayedEvent[]> {
    const text = this.#store.sql(
      `SELECT due_ms, event FROM S.delayed WHERE ($1::text IS NULL OR correlation_id = $1)
         AND ($2::float8 IS NULL OR due_ms >= $2 AND (due_ms, source, id) > ($2, $3, $4))
       ORDER BY due_ms, source, id LIMIT $5`,
    );
    const values = [correlationId ?? null, after?.dueMs ?? null, after?.source ?? null, after?.id ?? null, limit];
    const rows = await this.#store.read((run) => run<[number, string]>(text, values));
    return rows.map(([dueMs, event]) => ({ event: JSON.parse(event) as EncodedEvent, dueMs }));
  }

  async ticked(schedule: string): Promise<number | undefined> {
    const text = this.#store.sql("SELECT tick_ms FROM S.schedule WHERE name = $1");
    return (await this.#store.read((run) => run<[number]>(text, [schedule])))[0]?.[0];
  }

  tick({ schedule, seenMs, tickMs, events }: Tick): Promise<boolean> {
    const text =
      seenMs === undefined
        ? "INSERT INTO S.schedule(name, tick_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1"
        : "UPDATE S.schedule SET tick_ms = $2 WHERE name = $1 AND tick_ms = $3 RETURNING 1";
    const values = seenMs === undefined ? [schedule, tickMs] : [schedule, tickMs, seenMs];
    return this.#facts.move(events, text, values);
  }
}
