import { limits } from "../../limits.ts";
import {
  type Signal,
  type StepRecord,
  type WaitKind,
  stepOf,
  type StepCells,
  type WaitRecord,
} from "../../engine/journal.ts";
import type { DeliveryRef } from "../../engine/ledger.ts";
import { Lost } from "./connection.ts";
import { unknownOutcome } from "./postgres-error.ts";
import type { Store } from "./store.ts";

const columns = `s.name, s.state, s.version, s.attempts, s.at_ms,
  CASE WHEN s.bytes <= ${limits.stepInlineBytes} THEN s.value END, s.bytes, s.usage, s.wait::text, s.found::text`;

/** What is asked about steps; they are written by the functions `record` and `answer`. */
export class Steps {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async of(delivery: DeliveryRef, scope: number): Promise<readonly StepRecord[]> {
    const text = this.#store.sql(
      `SELECT ${columns} FROM S.step s WHERE s.sub = $1 AND s.slot = $2 AND s.position = $3 AND s.scope = $4 ORDER BY s.name`,
    );
    const rows = await this.#store.read((run) => run<StepCells>(text, placeOf(delivery, scope), "steps"));
    return rows.map(stepOf);
  }

  async value(delivery: DeliveryRef, scope: number, name: string): Promise<string | undefined> {
    const text = this.#store.sql(
      "SELECT value FROM S.step WHERE sub = $1 AND slot = $2 AND position = $3 AND scope = $4 AND name = $5",
    );
    const rows = await this.#store.read((run) => run<[string | null]>(text, [...placeOf(delivery, scope), name]));
    return rows[0]?.[0] ?? undefined;
  }

  async awaited(): Promise<readonly string[]> {
    const text = this.#store.sql("SELECT DISTINCT type FROM S.awaited");
    return (await this.#store.read((run) => run<[string]>(text))).map(([type]) => type);
  }

  async signal({ type, key, position }: Signal): Promise<number> {
    const store = this.#store;
    store.requireSound();
    try {
      const rows = await store.writes.run((run) =>
        run<[number]>(store.sql("SELECT S.signal($1, $2, $3)"), [type, key, position]),
      );
      return rows[0]![0];
    } catch (error) {
      throw error instanceof Lost ? unknownOutcome(error.cause, store.location) : store.error(error);
    }
  }

  async waits(kind: WaitKind, after: WaitRecord | undefined, limit: number): Promise<readonly WaitRecord[]> {
    const text = this.#store.sql(
      `SELECT s.sub, d.gen, s.slot, s.position, s.scope, ${columns} FROM S.step s JOIN S.subscription b ON b.id = s.sub
       JOIN S.delivery d ON d.sub = s.sub AND d.gen = b.gen AND d.slot = s.slot AND d.position = s.position AND d.scope = s.scope
       WHERE s.state = 3 AND s.kind = $1 AND (s.sub, s.slot, s.position, s.scope, s.name) > ($2, $3, $4, $5, $6)
       ORDER BY s.sub, s.slot, s.position, s.scope, s.name LIMIT $7`,
    );
    const from = after === undefined ? [-1, 0, 0, 0, ""] : [...placeOf(after.delivery, after.scope), after.step.name];
    const rows = await this.#store.read((run) =>
      run<[number, number, number, number, number, ...StepCells]>(text, [kind, ...from, limit]),
    );
    return rows.map(([sub, gen, slot, position, scope, ...step]) => ({
      delivery: { sub, gen, slot, position },
      scope,
      step: stepOf(step),
    }));
  }
}

const placeOf = ({ sub, slot, position }: DeliveryRef, scope: number): number[] => [sub, slot, position, scope];
