import type { Final, Row, SubState } from "../../sim/checker/history.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { RowState, SubscriptionTally } from "../../src/engine/ledger.ts";
import { realEnv } from "../../src/env.ts";
import type { Place } from "./place.ts";
import { isOurs, keys } from "./plan.ts";

const states: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];
const many = 1_000_000;

/** What the store holds when all processes have gone. `before`: events that were there when it all began. */
export async function finalOf(place: Place, before: number, drained: boolean, drainDetail: string): Promise<Final> {
  const engine = await place.handle.open({ ...realEnv });
  try {
    const tallies = (await engine.ledger.tally()).filter(({ name }) => isOurs(name));
    return {
      events: (await eventsOf(engine)).slice(before),
      subs: tallies.map(stateOf),
      rows: await rowsOf(engine, tallies),
      effects: await place.effects(),
      states: await statesOf(engine, tallies),
      sessions: await place.sessions(),
      findings: (await engine.inspect()).flatMap(({ check, ok, message }) => (ok ? [] : [`${check}: ${message}`])),
      drained,
      drainDetail,
    };
  } finally {
    await engine.log.close();
    await engine.ledger.close();
  }
}

async function eventsOf({ log }: Engine): Promise<Final["events"]> {
  const after = new Map(Array.from({ length: log.capabilities.slots }, (_, slot) => [slot, 0]));
  const { events } = await log.read({ after, limit: many, scanMax: many });
  return events.map(({ slot, position, source, id, type, key, data, crc }) => {
    return { slot, position, source, id, type, key, data, content: `${crc}` };
  });
}

function stateOf(tally: SubscriptionTally): SubState {
  const outcomes = { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 };
  for (const slot of tally.slots)
    for (const name of Object.keys(outcomes) as (keyof typeof outcomes)[]) outcomes[name] += slot.outcomes[name];
  return {
    name: tally.name,
    state: tally.state,
    matched: tally.slots.reduce((sum, slot) => sum + slot.matched, 0),
    outcomes,
    rows: { ...tally.rows },
    types: tally.types.map(({ type, matched, baseline, since }) => {
      return { type, matched, baseline, since: [...since], wanted: tally.definition.types.includes(type) };
    }),
    progress: tally.slots.map(({ slot, low }) => [slot, low] as const),
  };
}

async function rowsOf({ ledger }: Engine, tallies: readonly SubscriptionTally[]): Promise<readonly Row[]> {
  const names = new Map(tallies.map(({ sub, name }) => [sub, name]));
  const found: Row[] = [];
  for (const state of states) {
    for (const row of await ledger.deliveries({ kind: "state", state, limit: many })) {
      const { eventSlot: slot, position, key, holds, failures, crashes } = row;
      const sub = names.get(row.sub);
      if (sub === undefined) continue;
      found.push({ sub, slot, position, key, holds, state, failures, crashes, class: row.failure?.class });
    }
  }
  return found;
}

async function statesOf({ ledger }: Engine, tallies: readonly SubscriptionTally[]): Promise<Final["states"]> {
  const books = tallies.find(({ name }) => name === "books");
  if (books === undefined) return [];
  const names = Array.from({ length: keys }, (_, k) => `k${k}`);
  const values = await ledger.states(books.sub, names);
  return names.map((key, i) => {
    return { sub: "books", key, positions: values[i] === undefined ? [] : (JSON.parse(values[i]) as number[]) };
  });
}
