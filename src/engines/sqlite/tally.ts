import type { Outcomes, Ranges, RowState, Served, SubscriptionTally } from "../../engine/ledger.ts";
import { tallyNumber } from "./counters.ts";
import type { Database } from "./database.ts";
import { decodeDefinition, decodeStart } from "../../engine/definition.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import { rowStates } from "./rows.ts";

type SlotCells = [
  sub: number,
  slot: number,
  session: number | null,
  low: number,
  ranges: string,
  matched: number,
  done: number,
  skipped: number,
  discarded: number,
  expired: number,
  duplicate: number,
];
type SlotTally = SubscriptionTally["slots"][number];
type TypeTally = SubscriptionTally["types"][number];

function prepare(db: Database) {
  return {
    subscriptions: db.prepare<[number, number, string, number, string]>(
      `SELECT s.id, s.gen, s.name, s.newest, r.definition FROM factlog_subscription s
       JOIN factlog_revision r ON r.sub = s.id AND r.revision = s.newest ORDER BY s.id`,
    ),
    counted: db.prepare<[number, string, string, number, number]>(
      `SELECT c.sub, c.type, c.since, c.baseline, c.matched FROM factlog_counted c
       JOIN factlog_subscription s ON s.id = c.sub AND s.gen = c.gen`,
    ),
    slots: db.prepare<SlotCells>(
      `SELECT l.sub, l.slot, l.session, l.low, l.ranges, l.matched, l.done, l.skipped, l.discarded, l.expired, l.duplicate
       FROM factlog_slot l JOIN factlog_subscription s ON s.id = l.sub AND s.gen = l.gen ORDER BY l.sub, l.slot`,
    ),
    rows: db.prepare<[number, number, number]>(
      `SELECT t.sub, t.state, t.n FROM factlog_tally t JOIN factlog_subscription s ON s.id = t.sub AND s.gen = t.gen`,
    ),
    oldest: db.prepare<[number | null]>(
      `SELECT at_ms FROM factlog_delivery INDEXED BY factlog_delivery_oldest
       WHERE sub = ? AND gen = ? AND state <> 4 ORDER BY at_ms LIMIT 1`,
    ),
    waits: db.prepare<[number, number]>(
      `SELECT d.sub, count(*) FROM factlog_delivery d INDEXED BY factlog_delivery_waits
       JOIN factlog_subscription s ON s.id = d.sub AND s.gen = d.gen WHERE d.waits = 1 GROUP BY d.sub`,
    ),
    serves: db.prepare<[string]>("SELECT serves FROM factlog_session"),
  };
}

/** All counters of all subscriptions; run it in one snapshot. */
export class Tallies {
  readonly #sql;

  constructor(db: Database) {
    this.#sql = prepare(db);
  }

  all(): readonly SubscriptionTally[] {
    const slots = Map.groupBy(this.#sql.slots.all(), ([sub]) => sub);
    const types = Map.groupBy(this.#sql.counted.all(), ([sub]) => sub);
    const rows = Map.groupBy(this.#sql.rows.all(), ([sub]) => sub);
    const waits = new Map(this.#sql.waits.all());
    const served = this.#sql.serves.all().flatMap(([serves]) => JSON.parse(serves) as Served[]);
    return this.#sql.subscriptions.all().map(([sub, gen, name, newest, definition]) => {
      const counts = new Map(rows.get(sub)?.map(([, state, n]) => [state, n]));
      return {
        sub,
        gen,
        name,
        revision: newest,
        state: (counts.get(tallyNumber.stopping) ?? 0) > 0 ? "stopped" : "active",
        definition: decodeDefinition(definition),
        types: (types.get(sub) ?? []).map(toTypeTally),
        slots: (slots.get(sub) ?? []).map(toSlotTally),
        rows: Object.fromEntries(rowStates.map((state) => [state, counts.get(tallyNumber[state]) ?? 0])) as Record<
          RowState,
          number
        >,
        waiting: waits.get(sub) ?? 0,
        blockedKeys: counts.get(tallyNumber.blocking) ?? 0,
        oldestRowMs: this.#sql.oldest.get(sub, gen)?.[0] ?? undefined,
        inFlight: served.reduce((sum, one) => (one.sub === sub ? sum + one.inFlight : sum), 0),
      };
    });
  }
}

function toTypeTally([, type, since, baseline, matched]: [number, string, string, number, number]): TypeTally {
  return { type, since: decodeStart(since), baseline, matched };
}

function toSlotTally(cells: SlotCells): SlotTally {
  const [, slot, session, low, text, matched, done, skipped, discarded, expired, duplicate] = cells;
  const outcomes: Outcomes = { done, skipped, discarded, expired, duplicate };
  const ranges: Ranges = decodeRanges(text, low);
  return { slot, session: session ?? undefined, low, ranges, matched, outcomes };
}
