import type { DelayedEvent, DelayedQuery, Fired, Identity, Tick } from "../../engine/timetable.ts";
import { idConflict } from "../../event/codec.ts";
import type { EncodedEvent } from "../../event/stored-event.ts";
import { ChangeWriter } from "./changes.ts";
import { Lost, type Run } from "./connection.ts";
import { unknownOutcome } from "./postgres-error.ts";
import { inTransaction, type Store } from "./store.ts";

/** What becomes a fact at its time. */
export class Timetable {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
  }

  delay(events: readonly DelayedEvent[]): Promise<readonly { readonly duplicate: boolean }[]> {
    const text = this.#store.sql("SELECT fresh, same FROM S.delay($1, $2, $3, $4)");
    const facts = events.map(({ event }) => event);
    return this.#write(facts, async (run) => {
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
    return this.#write([], async (run) => (await run(text, [source, id])).length === 1);
  }

  /** Most calls find nothing, and write nothing. */
  async fire(nowMs: number, limit: number): Promise<Fired> {
    const look = this.#store.sql("SELECT seq, event FROM S.delayed WHERE due_ms <= $1 ORDER BY due_ms, seq LIMIT $2");
    const due = await this.#store.read((run) => run<[number, string]>(look, [nowMs, limit]));
    if (due.length === 0) return { fired: 0, conflicts: [] };
    const events = new Map(due.map(([seq, event]) => [seq, JSON.parse(event) as EncodedEvent]));
    return this.#write([...events.values()], (run) => this.#fire(run, events));
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
    const same = await this.#state(run, facts);
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
    return this.#write(events, async (run) => {
      if ((await run(this.#store.sql(text), values)).length === 0) return false;
      const same = await this.#state(run, events);
      const other = same.indexOf(false);
      if (other >= 0) throw idConflict(events[other]!, other);
      return true;
    });
  }

  /** For each event whether it, and no other, stands now under its identity. */
  async #state(run: Run, events: readonly EncodedEvent[]): Promise<readonly boolean[]> {
    if (events.length === 0) return [];
    const { env, channel } = this.#store;
    const json = JSON.stringify(events.map((event) => this.#writer.event(event)));
    const text = this.#store.sql("SELECT S.state_facts($1, $2, $3, $4)::text");
    const [row] = await run<[string]>(text, [json, env.now(), this.#sharesLog, channel]);
    return JSON.parse(row![0]) as boolean[];
  }

  async #write<T>(events: readonly EncodedEvent[], work: (run: Run) => Promise<T>): Promise<T> {
    const store = this.#store;
    store.requireSound();
    try {
      return await store.writes.run(async (run) => {
        if (this.#sharesLog) await store.names.ensure(run, events);
        return inTransaction(run, "BEGIN", () => work(run));
      });
    } catch (error) {
      throw error instanceof Lost ? unknownOutcome(error.cause, store.location) : store.error(error);
    }
  }
}
