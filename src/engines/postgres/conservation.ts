import type { Finding } from "../../engine/engine.ts";
import type { SubscriptionTally } from "../../engine/ledger.ts";
import type { PositionNumber, Slot } from "../../event/stored-event.ts";
import { rowStates } from "./changes.ts";
import type { Run } from "./connection.ts";
import type { Store } from "./store.ts";
import { tallies } from "./tally.ts";

/** Events looked at in one go where pending ones are counted. */
const chunkEvents = 10_000;
/** Faults told by name; the others are counted. */
const toldMax = 5;

/**
 * SEMANTICS, section 10, counted anew: per slot matched = closed + rows; per type appended - baseline = matched +
 * pending; the counters of rows say what is there; the lowest row of a key is not held. In one snapshot.
 */
export async function inspectLedger(store: Store, run: Run, appended: ReadonlyMap<string, number>): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const tally of await tallies(store, run)) {
    findings.push(await slotsAddUp(store, run, tally));
    findings.push(await typesAddUp(store, run, tally, appended));
    findings.push(await countersAreTrue(store, run, tally));
  }
  return [...findings, await headsAreFree(store, run)];
}

const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0);

function told(faults: readonly string[]): string {
  const more = faults.length > toldMax ? `; and ${faults.length - toldMax} more` : "";
  return `${faults.slice(0, toldMax).join("; ")}${more}`;
}

/** Per slot: matched = closed + rows. */
async function slotsAddUp(store: Store, run: Run, tally: SubscriptionTally): Promise<Finding> {
  const rows = new Map(
    await run<[number, number]>(
      store.sql("SELECT slot, count(*) FROM S.delivery WHERE sub = $1 AND gen = $2 GROUP BY slot"),
      [tally.sub, tally.gen],
    ),
  );
  const faults = tally.slots.flatMap(({ slot, matched, outcomes }) => {
    const closed = total(Object.values(outcomes));
    const open = rows.get(slot) ?? 0;
    return matched === closed + open ? [] : [`slot ${slot}: matched ${matched}, closed ${closed}, rows ${open}`];
  });
  const matched = total(tally.slots.map((slot) => slot.matched));
  const closed = total(tally.slots.flatMap((slot) => Object.values(slot.outcomes)));
  const sum = `matched ${matched} = closed ${closed} + rows ${total(rows.values())} over ${tally.slots.length} slots`;
  const message = `${tally.name}: ${faults.length === 0 ? sum : told(faults)}`;
  return { check: "deliveries", ok: faults.length === 0, message };
}

/** Per type: appended - baseline = matched + pending, with pending counted. Types that no longer count are left out. */
async function typesAddUp(
  store: Store,
  run: Run,
  tally: SubscriptionTally,
  appended: ReadonlyMap<string, number>,
): Promise<Finding> {
  const pending = await countPending(store, run, tally);
  const current = tally.types.filter(({ type }) => tally.definition.types.includes(type));
  const owedOf = ({ type, baseline }: { type: string; baseline: number }): number =>
    (appended.get(type) ?? 0) - baseline;
  const faults = current.flatMap((one) => {
    const waiting = pending.get(one.type) ?? 0;
    const owed = owedOf(one);
    return owed === one.matched + waiting
      ? []
      : [`${one.type}: owed ${owed}, matched ${one.matched}, pending ${waiting}`];
  });
  const matched = total(current.map((one) => one.matched));
  const sum = `owed ${total(current.map(owedOf))} = matched ${matched} + pending ${total(pending.values())}`;
  const message = `${tally.name}: ${faults.length === 0 ? sum : told(faults)}`;
  return { check: "conservation", ok: faults.length === 0, message };
}

interface Place {
  readonly low: PositionNumber;
  readonly ranges: SubscriptionTally["slots"][number]["ranges"];
}

/** Events after `since` and above `low` that are in no range and have no row, by type. */
async function countPending(store: Store, run: Run, tally: SubscriptionTally): Promise<Map<string, number>> {
  const places = new Map<Slot, Place>(tally.slots.map((slot) => [slot.slot, slot]));
  const since = new Map(tally.types.map((type) => [type.type, type.since]));
  const counts = new Map<string, number>(tally.definition.types.map((type) => [type, 0]));
  const withRows = await rowPositions(store, run, tally);
  const text = store.sql(
    `SELECT e.position, e.slot, t.name FROM S.event e JOIN S.schema s ON s.id = e.schema
     JOIN S.type t ON t.id = s.type WHERE e.position > $1 ORDER BY e.position LIMIT ${chunkEvents}`,
  );
  const next = (after: number): Promise<[number, number, string][]> => run<[number, number, string]>(text, [after]);
  let at = Math.min(...tally.slots.map(({ low }) => low));
  for (let chunk = await next(at); chunk.length > 0; chunk = await next(at)) {
    for (const [position, eventSlot, type] of chunk) {
      const slot = tally.definition.slots === "one" ? 0 : eventSlot;
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

async function rowPositions(store: Store, run: Run, { sub, gen }: SubscriptionTally): Promise<Set<PositionNumber>> {
  const text = store.sql("SELECT position FROM S.delivery WHERE sub = $1 AND gen = $2");
  return new Set((await run<[number]>(text, [sub, gen])).map(([position]) => position));
}

/** The counters of rows by state, and of dead rows that block a key or stop the subscription. */
async function countersAreTrue(
  store: Store,
  run: Run,
  { sub, gen, name, rows, blockedKeys }: SubscriptionTally,
): Promise<Finding> {
  const [there] = await run<readonly number[]>(
    store.sql(
      `SELECT ${rowStates.map((_, number) => `count(*) FILTER (WHERE state = ${number})`).join(", ")},
         count(*) FILTER (WHERE state = 4 AND holds) FROM S.delivery WHERE sub = $1 AND gen = $2`,
    ),
    [sub, gen],
  );
  const kept: readonly (readonly [string, number])[] = [
    ...rowStates.map((state) => [state, rows[state]] as const),
    ["blocking", blockedKeys],
  ];
  const faults = kept.flatMap(([what, count], i) =>
    count === there![i] ? [] : [`${what}: ${count} counted, ${there![i]} there`],
  );
  const sum = kept.map(([what, count]) => `${what} ${count}`).join(", ");
  return {
    check: "counters",
    ok: faults.length === 0,
    message: `${name}: ${faults.length === 0 ? sum : told(faults)}`,
  };
}

/** A held row without a lower one of its key waits for ever. */
async function headsAreFree(store: Store, run: Run): Promise<Finding> {
  const stuck = await run<[number, number, string]>(
    store.sql(
      `SELECT d.sub, d.position, d.key FROM S.delivery d WHERE d.state = 0 AND NOT EXISTS(
         SELECT 1 FROM S.delivery l WHERE l.sub = d.sub AND l.gen = d.gen AND l.slot = d.slot AND l.key = d.key AND l.holds
           AND l.position < d.position)`,
    ),
  );
  const faults = stuck.map(
    ([sub, position, key]) => `subscription ${sub}, position ${position}, key ${JSON.stringify(key)}`,
  );
  const message = faults.length === 0 ? "no key is held without a head" : `held without a head: ${told(faults)}`;
  return { check: "keys", ok: faults.length === 0, message };
}
