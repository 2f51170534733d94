import type { Outcomes, RowState, Served, SubscriptionTally } from "../../engine/ledger.ts";
import { rowStates } from "./changes.ts";
import type { Run } from "./connection.ts";
import { decodeDefinition, decodeStart } from "../../engine/definition.ts";
import { decodeRanges } from "../../engine/ranges.ts";
import type { Store } from "./store.ts";

export type SlotCells = readonly [
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
  ...rows: readonly [
    held: number,
    ready: number,
    running: number,
    retrying: number,
    dead: number,
    deferred: number,
    blocking: number,
    stopping: number,
  ],
];
type SlotTally = SubscriptionTally["slots"][number];
type SubscriptionCells = readonly [
  sub: number,
  gen: number,
  name: string,
  newest: number,
  definition: string,
  oldestMs: number | null,
  waiting: number,
];

/** All counters of all subscriptions; run it in one snapshot. */
export async function tallies(store: Store, run: Run): Promise<readonly SubscriptionTally[]> {
  const subscriptions = await run<SubscriptionCells>(
    store.sql(
      `SELECT s.id, s.gen, s.name, s.newest, r.definition, (SELECT d.at_ms FROM S.delivery d
         WHERE d.sub = s.id AND d.gen = s.gen AND d.state <> 4 ORDER BY d.at_ms LIMIT 1),
         (SELECT count(*) FROM S.delivery d WHERE d.sub = s.id AND d.gen = s.gen AND d.waits)
       FROM S.subscription s JOIN S.revision r ON r.sub = s.id AND r.revision = s.newest ORDER BY s.id`,
    ),
  );
  const counted = await run<[number, string, string, number, number]>(
    store.sql(
      `SELECT c.sub, c.type, c.since, c.baseline, (SELECT coalesce(sum(m.n), 0)::bigint FROM S.matched m
         WHERE m.sub = c.sub AND m.gen = c.gen AND m.type = c.type)
       FROM S.counted c JOIN S.subscription s ON s.id = c.sub AND s.gen = c.gen`,
    ),
  );
  const slotRows = await run<SlotCells>(
    store.sql(
      `SELECT l.sub, l.slot, l.session, l.low, l.ranges, l.matched, l.done, l.skipped, l.discarded, l.expired, l.duplicate,
         l.held, l.ready, l.running, l.retrying, l.dead, l.deferred, l.blocking, l.stopping
       FROM S.slot l JOIN S.subscription s ON s.id = l.sub AND s.gen = l.gen ORDER BY l.sub, l.slot`,
    ),
  );
  const serves = await run<[string]>(store.sql("SELECT serves FROM S.session"));
  const served = serves.flatMap(([text]) => JSON.parse(text) as Served[]);
  const slots = Map.groupBy(slotRows, ([sub]) => sub);
  const types = Map.groupBy(counted, ([sub]) => sub);
  return subscriptions.map(([sub, gen, name, newest, definition, oldestMs, waiting]) => {
    const mine = slots.get(sub) ?? [];
    const sum = (column: number): number => mine.reduce((all, cells) => all + (cells[column] as number), 0);
    return {
      sub,
      gen,
      name,
      revision: newest,
      state: sum(stopping) > 0 ? "stopped" : "active",
      definition: decodeDefinition(definition),
      types: (types.get(sub) ?? []).map(([, type, since, baseline, matched]) => ({
        type,
        since: decodeStart(since),
        baseline,
        matched,
      })),
      slots: mine.map(toSlotTally),
      rows: Object.fromEntries(rowStates.map((state, i) => [state, sum(firstState + i)])) as Record<RowState, number>,
      waiting,
      blockedKeys: sum(blocking),
      oldestRowMs: oldestMs ?? undefined,
      inFlight: served.reduce((all, one) => (one.sub === sub ? all + one.inFlight : all), 0),
    };
  });
}

/** Columns of `SlotCells`. */
export const firstState = 11;
const blocking = 17;
const stopping = 18;

function toSlotTally(cells: SlotCells): SlotTally {
  const [, slot, session, low, text, matched, done, skipped, discarded, expired, duplicate] = cells;
  const outcomes: Outcomes = { done, skipped, discarded, expired, duplicate };
  return { slot, session: session ?? undefined, low, ranges: decodeRanges(text, low), matched, outcomes };
}
