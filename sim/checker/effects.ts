import type { Deliver, History, StoredFact, SubPlan, SubState, Violation } from "./history.ts";

/** I6 and I7: what handlers did to the world and to the store, and in which order. */
export function checkEffects(history: History): readonly Violation[] {
  const runs = new Map(history.ops.flatMap((op) => (op.op === "deliver" ? [[op.run, op] as const] : [])));
  return history.plan.flatMap((sub) => {
    const settled = settledBy(history, sub);
    return [
      ...order(history, sub, runs),
      ...keys(history, sub),
      ...unseen(sub, settled, runs),
      ...rows(history, sub, settled, runs),
      ...emits(history, sub, settled, runs),
      ...announced(history, sub, runs),
      ...states(history, sub, settled),
      ...counted(history, sub, settled),
    ];
  });
}

type Runs = ReadonlyMap<number, Deliver>;
/** Which events the handler must have done, and which it may have done, judged by the final store. */
interface Settled {
  readonly done: ReadonlyMap<string, StoredFact>;
  /** Not done, for certain: it has a row, or its filter leaves it out. */
  readonly notDone: ReadonlySet<string>;
  readonly sure: boolean;
}

function settledBy(history: History, sub: SubPlan): Settled {
  const state = history.final.subs.find((each) => each.name === sub.name);
  const done = new Map<string, StoredFact>();
  const notDone = new Set<string>();
  const rowsOf = new Set(
    history.final.rows.filter((row) => row.sub === sub.name).map((row) => `${row.slot}.${row.position}`),
  );
  const doubtful = new Set<number>();
  for (const op of history.ops) {
    if (op.op === "operate" && op.sub === sub.name && op.act === "discard" && op.outcome !== "fail") {
      doubtful.add(op.position);
    }
  }
  const met = new Set<string>();
  for (const event of history.final.events) {
    if (state === undefined || !isOwed(state, sub, event)) continue;
    // Where a fact may stand twice, its first place decides; the others are repeats.
    if (met.has(event.id)) continue;
    met.add(event.id);
    if (rowsOf.has(`${event.slot}.${event.position}`) || isFiltered(sub, event)) notDone.add(event.id);
    else if (!doubtful.has(event.position)) done.set(event.id, event);
  }
  return { done, notDone, sure: history.final.drained };
}
function isOwed(state: SubState, sub: SubPlan, event: StoredFact): boolean {
  const type = state.types.find((each) => each.type === event.type);
  if (type === undefined || !type.wanted) return false;
  const slot = sub.order === "log" ? 0 : event.slot;
  return event.position > (type.since.find(([each]) => each === slot)?.[1] ?? 0);
}
function isFiltered(sub: SubPlan, event: StoredFact): boolean {
  if (sub.filterEvery === 0) return false;
  const { n } = JSON.parse(event.data) as { n?: number };
  return n !== undefined && n % sub.filterEvery === 0;
}

/**
 * I6: the first effects of one key come in the order of the log. A zombie's are left out whose delivery was discarded
 * while it ran: its key has gone on, and nobody can call back what it still does to the world.
 */
function order(history: History, sub: SubPlan, runs: Runs): Violation[] {
  if (sub.order === "none") return [];
  const touched = new Set<number>();
  for (const op of history.ops) if (op.op === "operate" && op.sub === sub.name) touched.add(op.position);
  for (const row of history.final.rows) if (row.sub === sub.name && row.state === "dead") touched.add(row.position);
  const discards = history.ops.flatMap((op) =>
    op.op === "operate" && op.sub === sub.name && op.act === "discard" ? [op] : [],
  );
  const counted = countedRuns(history, sub);
  const found: Violation[] = [];
  const first = new Set<string>();
  const last = new Map<string, Deliver>();
  for (const op of history.ops) {
    if (op.op !== "effect" || op.sub !== sub.name || first.has(op.id)) continue;
    if (counted?.has(op.run) === false) continue;
    first.add(op.id);
    const run = runs.get(op.run);
    if (run === undefined || (sub.order === "key" && run.key === undefined)) continue;
    if (sub.onExhausted === "skip-event" && touched.has(run.position)) continue;
    if (discards.some(({ position, t }) => position === run.position && run.t <= t && t <= op.t)) continue;
    const key = sub.order === "log" ? "" : (run.key ?? "");
    const before = last.get(key);
    if (before !== undefined && before.position > run.position) {
      const detail = `${sub.name} key ${key}: ${run.position} (run ${run.run}) after ${before.position} (run ${before.run})`;
      found.push({ invariant: "I6", anomaly: "nonmonotonic-poll", detail });
    } else last.set(key, run);
  }
  return found;
}

/**
 * While a definition that adds a type takes over, a worker of the older one may run once more what it had read, past an
 * event of the type that it does not know. Its settle is refused; what it did to the world cannot be called back.
 */
function countedRuns({ redefined, final }: History, sub: SubPlan): ReadonlySet<number> | undefined {
  if (!redefined || !sub.writes || final.effects === undefined) return undefined;
  return new Set(final.effects.flatMap((effect) => (effect.sub === sub.name ? [effect.run] : [])));
}

/** I7: one idempotency key per subscription and event, and no two share one. */
function keys(history: History, sub: SubPlan): Violation[] {
  const found: Violation[] = [];
  const keyOf = new Map<string, string>();
  const owner = new Map<string, string>();
  for (const op of history.ops) {
    if (op.op !== "effect" || op.sub !== sub.name) continue;
    const known = keyOf.get(op.id) ?? op.key;
    const other = owner.get(op.key) ?? op.id;
    if (known !== op.key || other !== op.id) {
      found.push({
        invariant: "I7",
        anomaly: "unstable-key",
        detail: `${sub.name} ${op.id}: ${op.key} beside ${known}`,
      });
    }
    keyOf.set(op.id, op.key);
    owner.set(op.key, op.id);
  }
  return found;
}

/** What is closed as done was done: some run of it returned. */
function unseen(sub: SubPlan, { done, sure }: Settled, runs: Runs): Violation[] {
  if (!sure) return [];
  const seen = new Set<string>();
  for (const run of runs.values()) if (run.sub === sub.name && run.outcome === "ok") seen.add(run.id);
  return [...done.values()]
    .filter((event) => !seen.has(event.id))
    .map(({ id, position }) => ({
      invariant: "I8",
      anomaly: "unseen",
      detail: `${sub.name} is done with ${id} at ${position}, and no run of it returned`,
    }));
}
/** I7: one row per event in a table that is written through the settle, and of a run that returned. */
function rows(history: History, sub: SubPlan, settled: Settled, runs: Runs): Violation[] {
  if (!sub.writes || history.final.effects === undefined) return [];
  const made = history.final.effects.filter((row) => row.sub === sub.name);
  return once(`${sub.name}: rows`, sub, settled, runs, made);
}
/** I7: one emitted fact per event that is done. */
function emits(history: History, sub: SubPlan, settled: Settled, runs: Runs): Violation[] {
  if (!sub.emits) return [];
  const ids = new Map<string, { readonly id: string; readonly run: number }>();
  for (const event of history.final.events) {
    if (event.type !== "Derived") continue;
    const { of, sub: by, run } = JSON.parse(event.data) as { of: string; sub: string; run: number };
    if (by === sub.name) ids.set(event.id, { id: of, run });
  }
  const facts = new Map([...settled.done].filter(([, event]) => event.type === "Fact"));
  return once(`${sub.name}: emitted facts`, sub, { ...settled, done: facts }, runs, [...ids.values()]);
}
function once(
  what: string,
  sub: SubPlan,
  { done, notDone, sure }: Settled,
  runs: Runs,
  made: readonly { readonly id: string; readonly run: number }[],
): Violation[] {
  const found: Violation[] = [];
  const tell = (anomaly: string, detail: string): void => void found.push({ invariant: "I7", anomaly, detail });
  const seen = new Set<string>();
  for (const { id, run } of made) {
    if (seen.has(id)) tell("duplicate", `${what}: two of ${id}`);
    seen.add(id);
    const by = runs.get(run);
    if (by === undefined || by.id !== id || by.sub !== sub.name) tell("phantom", `${what}: ${id} of run ${run}`);
    else if (by.outcome !== "ok") tell("aborted-read", `${what}: ${id} of run ${run}, which did not return`);
    if (notDone.has(id) && sure) tell("aborted-read", `${what}: ${id}, which is not done`);
  }
  if (sure) for (const id of done.keys()) if (!seen.has(id)) tell("lost-write", `${what}: none of ${id}`);
  return found;
}

/** Announced facts: at most one per delivery, told by a run of it. */
function announced(history: History, sub: SubPlan, runs: Runs): Violation[] {
  const found: Violation[] = [];
  const ids = new Map<string, string>();
  for (const event of history.final.events) {
    if (event.type !== "Note") continue;
    const { of, sub: by, run } = JSON.parse(event.data) as { of: string; sub: string; run: number };
    if (by !== sub.name) continue;
    const known = ids.get(of) ?? event.id;
    ids.set(of, event.id);
    if (known !== event.id)
      found.push({ invariant: "I7", anomaly: "duplicate", detail: `${sub.name}: notes of ${of}` });
    if (runs.get(run)?.id !== of)
      found.push({ invariant: "I2", anomaly: "phantom", detail: `${sub.name}: note of ${of}` });
  }
  return found;
}

/** I6, I7: the state of a key was made by each of its events once, in the order of the log. */
function states(history: History, sub: SubPlan, { done, sure }: Settled): Violation[] {
  if (!sub.state || sub.order === "none") return [];
  const found: Violation[] = [];
  const tell = (anomaly: string, detail: string): void => void found.push({ invariant: "I7", anomaly, detail });
  const inState = new Set<string>();
  for (const { key, positions } of history.final.states.filter((state) => state.sub === sub.name)) {
    const where = `${sub.name} state of ${key === "" ? "the log" : key}`;
    if (new Set(positions).size < positions.length) tell("duplicate", `${where}: ${positions.join()}`);
    const falls = positions.findIndex((position, i) => i > 0 && position < (positions[i - 1] ?? 0));
    if (falls > 0 && sub.onExhausted !== "skip-event") {
      found.push({ invariant: "I6", anomaly: "nonmonotonic-poll", detail: `${where}: ${positions.join()}` });
    }
    for (const position of positions) inState.add(`${key}.${position}`);
  }
  if (!sure || !history.dedupes) return found;
  for (const event of done.values()) {
    const key = sub.order === "log" ? "" : (event.key ?? "");
    if (!inState.has(`${key}.${event.position}`))
      tell("lost-write", `${sub.name} state of ${key}: not ${event.position}`);
  }
  return found;
}

/** I8: as many are counted as done as are done. */
function counted(history: History, sub: SubPlan, { done, sure }: Settled): Violation[] {
  if (!sure || history.redefined || !history.dedupes) return [];
  const unsure = history.ops.some((op) => op.op === "operate" && op.act === "discard" && op.outcome === "unknown");
  const state = history.final.subs.find((each) => each.name === sub.name);
  if (unsure || state === undefined || state.outcomes.done === done.size) return [];
  const detail = `${sub.name}: ${state.outcomes.done} counted as done, ${done.size} are`;
  return [{ invariant: "I8", anomaly: "not-conserved", detail }];
}
