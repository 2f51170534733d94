import type { Finding } from "../../engine/engine.ts";
import type { SubscriptionTally } from "../../engine/ledger.ts";
import type { PositionNumber, Slot } from "../../event/stored-event.ts";
import { tallyNumber } from "./counters.ts";
import type { Database } from "./database.ts";
import { rowStates } from "./rows.ts";
import { Tallies } from "./tally.ts";

/** Events looked at in one go where pending ones are counted. */
const chunkEvents = 10_000;
/** Faults told by name; the others are counted. */
const toldMax = 5;

/**
 * SEMANTICS, section 10, counted anew: per slot matched = closed + rows; per type appended - baseline = matched +
 * pending; the counters of rows say what is there; the lowest row of a key is not held. In one snapshot.
 */
export function inspectLedger(db: Database, appended: ReadonlyMap<string, number>): Finding[] {
  return [
    ...new Tallies(db)
      .all()
      .flatMap((tally) => [slotsAddUp(db, tally), typesAddUp(db, tally, appended), countersAreTrue(db, tally)]),
    headsAreFree(db),
  ];
}

const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0);

function told(faults: readonly string[]): string {
  const more = faults.length > toldMax ? `; and ${faults.length - toldMax} more` : "";
  return `${faults.slice(0, toldMax).join("; ")}${more}`;
}

/** Per slot: matched = closed + rows. */
function slotsAddUp(db: Database, tally: SubscriptionTally): Finding {
  const rows = new Map(
    db
      .prepare<[number, number]>("SELECT slot, count(*) FROM factlog_delivery WHERE sub = ? AND gen = ? GROUP BY slot")
      .all(tally.sub, tally.gen),
  );
  const faults = tally.slots.flatMap(({ slot, matched, outcomes }) => {
    const closed = total(Object.values(outcomes));
    const open = rows.get(slot) ?? 0;
    return matched === closed + open ? [] : [`slot ${slot}: matched ${matched}, closed ${closed}, rows ${open}`];
  });
  const matched = total(tally.slots.map((slot) => slot.matched));
  const closed = total(tally.slots.flatMap((slot) => Object.values(slot.outcomes)));
  const sum = `${tally.name}: matched ${matched} = closed ${closed} + rows ${total(rows.values())} over ${tally.slots.length} slots`;
  return {
    check: "deliveries",
    ok: faults.length === 0,
    message: faults.length === 0 ? sum : `${tally.name}: ${told(faults)}`,
  };
}

/** Per type: appended - baseline = matched + pending, with pending counted. Types that no longer count are left out. */
function typesAddUp(db: Database, tally: SubscriptionTally, appended: ReadonlyMap<string, number>): Finding {
  const pending = countPending(db, tally);
  const current = tally.types.filter(({ type }) => tally.definition.types.includes(type));
  const faults = current.flatMap(({ type, baseline, matched }) => {
    const owed = (appended.get(type) ?? 0) - baseline;
    const waiting = pending.get(type) ?? 0;
    return owed === matched + waiting ? [] : [`${type}: owed ${owed}, matched ${matched}, pending ${waiting}`];
  });
  const owed = total(current.map(({ type, baseline }) => (appended.get(type) ?? 0) - baseline));
  const matched = total(current.map((one) => one.matched));
  const sum = `${tally.name}: owed ${owed} = matched ${matched} + pending ${total(pending.values())}`;
  return {
    check: "conservation",
    ok: faults.length === 0,
    message: faults.length === 0 ? sum : `${tally.name}: ${told(faults)}`,
  };
}

interface Place {
  readonly low: PositionNumber;
  readonly ranges: SubscriptionTally["slots"][number]["ranges"];
}

/** Events after `since` and above `low` that are in no range and have no row, by type. */
function countPending(db: Database, tally: SubscriptionTally): Map<string, number> {
  const one = tally.definition.slots === "one";
  const places = new Map<Slot, Place>(tally.slots.map((slot) => [slot.slot, slot]));
  const since = new Map(tally.types.map((type) => [type.type, type.since]));
  const counts = new Map<string, number>(tally.definition.types.map((type) => [type, 0]));
  const withRows = rowPositions(db, tally);
  let at = Math.min(...tally.slots.map(({ low }) => low));
  const events = db.prepare<[number, number, string]>(
    `SELECT e.position, e.slot, t.name FROM factlog_event e JOIN factlog_schema s ON s.id = e.schema
     JOIN factlog_type t ON t.id = s.type WHERE e.position > ? ORDER BY e.position LIMIT ${chunkEvents}`,
  );
  for (let chunk = events.all(at); chunk.length > 0; chunk = events.all(at)) {
    for (const [position, eventSlot, type] of chunk) {
      const slot = one ? 0 : eventSlot;
      const place = places.get(slot);
      at = position;
      if (!counts.has(type) || place === undefined || withRows.has(position)) continue;
      if (position <= (since.get(type)?.get(slot) ?? 0) || isPassed(place, position)) continue;
      counts.set(type, counts.get(type)! + 1);
    }
  }
  return counts;
}

const isPassed = ({ low, ranges }: Place, position: PositionNumber): boolean =>
  position <= low || ranges.some(([from, to]) => from <= position && position <= to);

function rowPositions(db: Database, { sub, gen }: SubscriptionTally): Set<PositionNumber> {
  const rows = db.prepare<[number]>("SELECT position FROM factlog_delivery WHERE sub = ? AND gen = ?");
  return new Set(rows.all(sub, gen).map(([position]) => position));
}

/** The counters of rows by state, and of dead rows that block a key or stop the subscription. */
function countersAreTrue(db: Database, { sub, gen, name }: SubscriptionTally): Finding {
  const there = db
    .prepare<number[]>(
      `SELECT ${rowStates.map((_, number) => `count(*) FILTER (WHERE state = ${number})`).join(", ")},
         count(*) FILTER (WHERE state = 4 AND holds = 1), count(*) FILTER (WHERE state = 4 AND stop = 1)
       FROM factlog_delivery WHERE sub = ? AND gen = ?`,
    )
    .get(sub, gen)!;
  const kept = new Map(
    db.prepare<[number, number]>("SELECT state, n FROM factlog_tally WHERE sub = ? AND gen = ?").all(sub, gen),
  );
  const names = [...rowStates, "blocking", "stopping"] as const;
  const faults = names.flatMap((what, i) => {
    const count = kept.get(tallyNumber[what]) ?? 0;
    return count === there[i] ? [] : [`${what}: ${count} counted, ${there[i]} there`];
  });
  const sum = names.map((what, i) => `${what} ${there[i]}`);
  return {
    check: "counters",
    ok: faults.length === 0,
    message: `${name}: ${faults.length === 0 ? sum.join(", ") : told(faults)}`,
  };
}

/** A held row without a lower one of its key waits for ever. */
function headsAreFree(db: Database): Finding {
  const stuck = db
    .prepare<[number, number, string]>(
      `SELECT d.sub, d.position, d.key FROM factlog_delivery d WHERE d.state = 0 AND NOT EXISTS(
         SELECT 1 FROM factlog_delivery l INDEXED BY factlog_delivery_key WHERE l.sub = d.sub AND l.gen = d.gen
           AND l.slot = d.slot AND l.key = d.key AND l.holds = 1 AND l.position < d.position)`,
    )
    .all();
  const faults = stuck.map(
    ([sub, position, key]) => `subscription ${sub}, position ${position}, key ${JSON.stringify(key)}`,
  );
  const message = faults.length === 0 ? "no key is held without a head" : `held without a head: ${told(faults)}`;
  return { check: "keys", ok: faults.length === 0, message };
}
