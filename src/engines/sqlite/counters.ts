import type { RowState, SlotRef } from "../../engine/ledger.ts";
import type { Database } from "./database.ts";

/** What a row counts as. */
export interface Counted {
  readonly state: RowState;
  readonly holds: boolean;
  readonly stop: boolean;
}

/** Rows of `factlog_tally`: the states, and two kinds of dead rows that are asked for by themselves. */
export const tallyNumber = {
  held: 0,
  ready: 1,
  running: 2,
  retrying: 3,
  dead: 4,
  blocking: 5,
  stopping: 6,
  deferred: 7,
} as const;
type TallyName = keyof typeof tallyNumber;

/** One step of a counter: of rows by state (`name` of the tally), or of events matched by type. */
interface Step {
  readonly sub: number;
  readonly gen: number;
  readonly tally: TallyName | undefined;
  readonly type: string | undefined;
  readonly by: number;
}

/**
 * Counters kept beside the rows, so that nobody has to count them. Steps are gathered while a member of a transaction
 * runs and written once at its end.
 */
export class Counters {
  readonly #tally;
  readonly #matched;
  readonly #steps: Step[] = [];

  constructor(db: Database) {
    this.#tally = db.prepare(
      `INSERT INTO factlog_tally(sub, gen, state, n) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET n = n + excluded.n`,
    );
    this.#matched = db.prepare(
      "UPDATE factlog_counted SET matched = matched + ? WHERE sub = ? AND gen = ? AND type = ?",
    );
  }

  /** A row came (+1) or went (-1). */
  row(ref: SlotRef, row: Counted, by: 1 | -1): void {
    this.#step(ref, row.state, by);
    if (row.state !== "dead") return;
    if (row.holds) this.#step(ref, "blocking", by);
    if (row.stop) this.#step(ref, "stopping", by);
  }

  matched(ref: SlotRef, type: string, by: number): void {
    this.#steps.push({ sub: ref.sub, gen: ref.gen, tally: undefined, type, by });
  }

  begin(): void {
    this.#steps.length = 0;
  }

  /** A place to go back to, where what was done since is rolled back. */
  mark(): number {
    return this.#steps.length;
  }

  rewind(mark: number): void {
    this.#steps.length = mark;
  }

  /** Writes what was gathered. */
  flush(): void {
    const sums = new Map<string, { step: Step; by: number }>();
    for (const step of this.#steps) {
      const name = `${step.sub} ${step.gen} ${step.tally ?? `=${step.type}`}`;
      const sum = sums.get(name);
      if (sum === undefined) sums.set(name, { step, by: step.by });
      else sum.by += step.by;
    }
    this.#steps.length = 0;
    for (const { step, by } of sums.values()) if (by !== 0) this.#write(step, by);
  }

  #step(ref: SlotRef, tally: TallyName, by: number): void {
    this.#steps.push({ sub: ref.sub, gen: ref.gen, tally, type: undefined, by });
  }

  #write({ sub, gen, tally, type }: Step, by: number): void {
    if (tally === undefined) this.#matched.run(by, sub, gen, type!);
    else this.#tally.run(sub, gen, tallyNumber[tally], by);
  }
}
