import assert from "node:assert/strict";
import type { DeliveryRow, Ledger, RowState, SubscriptionTally } from "../../../src/engine/ledger.ts";

const states: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];
const sum = (counts: Iterable<number>): number => [...counts].reduce((total, count) => total + count, 0);
const placeOf = ({ slot, position }: { slot: number; position: number }): string => `${slot}.${position}`;

/** What a ledger shows of one subscription at one moment. */
export interface Picture {
  readonly tally: SubscriptionTally;
  readonly rows: readonly DeliveryRow[];
}

export async function look(ledger: Ledger, sub: number): Promise<Picture> {
  const pages = await Promise.all(
    states.map((state) => ledger.deliveries({ kind: "state", state, sub, limit: 10_000 })),
  );
  const tally = (await ledger.tally()).find((one) => one.sub === sub);
  assert.ok(tally, "the subscription is in the tally");
  return { tally, rows: pages.flat() };
}

/**
 * What must hold at every commit, whatever was done. It knows of the walk only how each position was closed, and shares
 * no code with any engine.
 */
export class Oracle {
  /** Places of closed deliveries. */
  readonly closed = new Set<string>();
  readonly #slotTokens = new Map<number, number>();
  readonly #rowTokens = new Map<string, number>();
  readonly #lows = new Map<number, number>();

  close(place: { slot: number; position: number }): void {
    assert.ok(!this.closed.has(placeOf(place)), `${placeOf(place)} is closed twice`);
    this.closed.add(placeOf(place));
  }

  /** A slot has changed hands: its token is one that nobody had. */
  handOver(slot: number, token: number): void {
    assert.ok(token > (this.#slotTokens.get(slot) ?? 0), `slot ${slot} came under a token that was given before`);
    this.#slotTokens.set(slot, token);
  }

  isNewest(slot: number, token: number): boolean {
    return this.#slotTokens.get(slot) === token;
  }

  check({ tally, rows }: Picture): void {
    this.#conserved(tally, rows);
    this.#ordered(rows);
    this.#growing(tally, rows);
  }

  /** matched = closed + rows; every position up to low is closed or has its one row; tallies equal the rows. */
  #conserved(tally: SubscriptionTally, rows: readonly DeliveryRow[]): void {
    for (const state of states)
      assert.equal(tally.rows[state], rows.filter((row) => row.state === state).length, `rows ${state}`);
    const withRow = new Set(rows.map(placeOf));
    assert.equal(withRow.size, rows.length, "a delivery has two rows");
    for (const { slot, low, matched, outcomes } of tally.slots) {
      const own = rows.filter((row) => row.slot === slot);
      assert.equal(matched, sum(Object.values(outcomes)) + own.length, `slot ${slot}: matched = closed + rows`);
      for (let position = 1; position <= low; position++) {
        const place = placeOf({ slot, position });
        assert.notEqual(this.closed.has(place), withRow.has(place), `${place} is closed or has a row, and not both`);
      }
    }
    assert.equal(
      sum(tally.slots.map(({ low }) => low)),
      this.closed.size + rows.length,
      "nothing is counted beyond low",
    );
    assert.equal(
      sum(tally.types.map(({ matched }) => matched)),
      sum(tally.slots.map(({ matched }) => matched)),
      "matched by type",
    );
  }

  /** Of the rows that hold a key the lowest is not held and all others are: nothing is held without a head. */
  #ordered(rows: readonly DeliveryRow[]): void {
    const lanes = Map.groupBy(
      rows.filter(({ holds }) => holds),
      ({ slot, key }) => `${slot} ${key}`,
    );
    for (const [lane, some] of lanes) {
      const [head, ...others] = some.toSorted((a, b) => a.position - b.position);
      assert.notEqual(head!.state, "held", `${lane} is held without a head`);
      for (const row of others) assert.equal(row.state, "held", `${placeOf(row)} goes on before the head of ${lane}`);
    }
    for (const row of rows) {
      assert.equal(row.session !== undefined, row.state === "running", `${placeOf(row)}: who runs has a session`);
      assert.equal(
        row.dueMs !== undefined,
        row.state === "ready" || row.state === "retrying",
        `${placeOf(row)}: who waits is due`,
      );
    }
  }

  #growing(tally: SubscriptionTally, rows: readonly DeliveryRow[]): void {
    for (const row of rows) {
      assert.ok(row.rowToken >= (this.#rowTokens.get(placeOf(row)) ?? 1), `the token of ${placeOf(row)} fell`);
      this.#rowTokens.set(placeOf(row), row.rowToken);
    }
    for (const { slot, low } of tally.slots) {
      assert.ok(low >= (this.#lows.get(slot) ?? 0), `low of slot ${slot} fell`);
      this.#lows.set(slot, low);
    }
  }
}
