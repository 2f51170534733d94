import type { DeliveryRow, RowState, SubscriptionTally } from "../src/engine/ledger.ts";
import type { StoredEvent } from "../src/event/stored-event.ts";
import type { Final, Row, Sample, SubState } from "./checker/history.ts";
import type { Scene } from "./scene.ts";

/** Looks at the store from outside: no delays, no faults. */
const relayName = "factlog.relay";
const states: readonly RowState[] = ["held", "ready", "running", "retrying", "dead", "deferred"];
const many = 1_000_000;

export async function readAll({ raw, plan }: Scene): Promise<readonly StoredEvent[]> {
  const after = new Map(Array.from({ length: plan.slots }, (_, slot) => [slot, 0]));
  const page = await raw.log.read({ after, limit: many, scanMax: many });
  return page.events;
}

export async function tallies({ raw }: Scene): Promise<readonly SubscriptionTally[]> {
  return (await raw.ledger.tally()).filter((each) => each.name !== relayName);
}

function stateOf(tally: SubscriptionTally): SubState {
  const sum = (pick: (slot: SubscriptionTally["slots"][number]) => number): number =>
    tally.slots.reduce((total, slot) => total + pick(slot), 0);
  return {
    name: tally.name,
    state: tally.state,
    matched: sum((slot) => slot.matched),
    outcomes: {
      done: sum((slot) => slot.outcomes.done),
      skipped: sum((slot) => slot.outcomes.skipped),
      discarded: sum((slot) => slot.outcomes.discarded),
      expired: sum((slot) => slot.outcomes.expired),
      duplicate: sum((slot) => slot.outcomes.duplicate),
    },
    rows: { ...tally.rows },
    types: tally.types.map(({ type, matched, baseline, since }) => ({
      type,
      matched,
      baseline,
      since: [...since],
      wanted: tally.definition.types.includes(type),
    })),
    progress: tally.slots.map(({ slot, low }) => [slot, low] as const),
  };
}

async function rowsOf(scene: Scene, state: RowState): Promise<readonly DeliveryRow[]> {
  return scene.raw.ledger.deliveries({ kind: "state", state, limit: many });
}

/** All counters, and what is dead, at this moment. */
export async function sample(scene: Scene): Promise<Sample> {
  const found = await tallies(scene);
  const names = new Map(found.map((each) => [each.sub, each.name]));
  const dead = await rowsOf(scene, "dead");
  return {
    op: "sample",
    t: scene.t,
    subs: found.map(stateOf),
    dead: dead.map((row) => ({ sub: names.get(row.sub) ?? "", slot: row.eventSlot, position: row.position })),
  };
}

/** What is still owed, in words; undefined where all is worked off. */
export async function owed(scene: Scene): Promise<string | undefined> {
  const events = await readAll(scene);
  const found = await tallies(scene);
  const dead = sessionsLeft(scene, found).filter((session) => scene.witness.isGone(session));
  if (dead.length > 0) return `sessions of dead processes: ${dead.join()}`;
  for (const tally of found) {
    const { rows, name } = tally;
    if (rows.ready + rows.running + rows.retrying + rows.deferred > 0) return `${name}: rows ${JSON.stringify(rows)}`;
    if (rows.held > 0 && rows.dead === 0) return `${name}: held without a dead letter: ${JSON.stringify(rows)}`;
    if (tally.state !== "active") return `${name} is ${tally.state}`;
    const progress = new Map(tally.slots.map((slot) => [slot.slot, slot]));
    for (const event of events) {
      const type = tally.types.find((each) => each.type === event.type);
      if (type === undefined || !tally.definition.types.includes(event.type)) continue;
      const slot = tally.definition.slots === "one" ? 0 : event.slot;
      if (event.position <= (type.since.get(slot) ?? 0)) continue;
      const at = progress.get(slot);
      const passed =
        at !== undefined &&
        (event.position <= at.low || at.ranges.some(([from, to]) => from <= event.position && event.position <= to));
      if (!passed) return `${name}: ${event.type} at ${event.slot}.${event.position} is pending (low ${at?.low})`;
    }
  }
  if ((await scene.raw.ledger.outbox(1)).length > 0) return "the outbox holds events";
  return undefined;
}

export async function finalOf(scene: Scene, drained: boolean, drainDetail: string): Promise<Final> {
  const found = await tallies(scene);
  const names = new Map(found.map((each) => [each.sub, each.name]));
  const rows: Row[] = [];
  for (const state of states) {
    for (const row of await rowsOf(scene, state)) {
      rows.push({
        sub: names.get(row.sub) ?? "",
        slot: row.eventSlot,
        position: row.position,
        key: row.key,
        holds: row.holds,
        state,
        failures: row.failures,
        crashes: row.crashes,
        class: row.failure?.class,
      });
    }
  }
  return {
    events: (await readAll(scene)).map((event) => ({
      slot: event.slot,
      position: event.position,
      source: event.source,
      id: event.id,
      type: event.type,
      key: event.key,
      data: event.data,
      content: `${event.crc}`,
    })),
    subs: found.map(stateOf),
    rows,
    effects: scene.store.sql?.all("SELECT sub, id, run FROM sim_effect ORDER BY rowid").map(([sub, id, run]) => ({
      sub: String(sub),
      id: String(id),
      run: Number(run),
    })),
    states: await statesOf(scene, found),
    sessions: sessionsLeft(scene, found).filter((session) => !scene.witness.hasCrashed(session)).length,
    findings: await findingsOf(scene),
    drained,
    drainDetail,
  };
}

/** What the doctor complains of; that a store in memory is not durable is no complaint here. */
async function findingsOf({ raw }: Scene): Promise<readonly string[]> {
  const unwell = (await raw.inspect()).filter(({ check, ok }) => !ok && check !== "settings");
  return unwell.map(({ check, message }) => `${check}: ${message}`);
}

/** Sessions that have a row, or at least those that hold slots. */
function sessionsLeft({ store }: Scene, found: readonly SubscriptionTally[]): readonly number[] {
  if (store.sql !== undefined) return store.sql.all("SELECT id FROM factlog_session").map(([id]) => Number(id));
  const holders = found.flatMap((each) => each.slots.map((slot) => slot.session));
  return [...new Set(holders.filter((session) => session !== undefined))];
}

async function statesOf(scene: Scene, found: readonly SubscriptionTally[]): Promise<Final["states"]> {
  const result: Final["states"][number][] = [];
  for (const traits of scene.plan.subs.filter((each) => each.state)) {
    const tally = found.find((each) => each.name === traits.name);
    if (tally === undefined) continue;
    const keys = traits.order === "log" ? [""] : Array.from({ length: scene.plan.keys }, (_, k) => `k${k}`);
    const values = await scene.raw.ledger.states(tally.sub, keys);
    for (const [i, key] of keys.entries()) {
      const positions = values[i] === undefined ? [] : (JSON.parse(values[i]) as number[]);
      result.push({ sub: traits.name, key, positions });
    }
  }
  return result;
}
