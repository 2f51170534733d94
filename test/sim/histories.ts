import type { Deliver, Final, History, Op, StoredFact, SubPlan, SubState } from "../../sim/checker/history.ts";

/** A history in which nothing is wrong: two facts of one key, each delivered once, with all that a handler may do. */
export const plan: SubPlan = {
  name: "books",
  types: ["Fact"],
  order: "key",
  onExhausted: "hold-key",
  attemptsMax: 3,
  crashesMax: 2,
  writes: true,
  emits: true,
  announces: true,
  state: true,
  filterEvery: 0,
};

const data = (n: number): string => JSON.stringify({ key: "k", n, kind: "plain" });
const fact = (n: number, position: number): StoredFact => ({
  slot: 0,
  position,
  source: "sim",
  id: `f${n}`,
  type: "Fact",
  key: "k",
  data: data(n),
  content: `c${position}`,
});
const stated = (type: "Derived" | "Note", of: number, position: number): StoredFact => ({
  ...fact(of, position),
  id: `${type}-${of}`,
  type,
  data: JSON.stringify({ key: "k", of: `f${of}`, sub: "books", run: of }),
});
export const run = (n: number, t: number, more: Partial<Deliver> = {}): Deliver => ({
  op: "deliver",
  process: "w1",
  t,
  run: n,
  sub: "books",
  id: `f${n}`,
  type: "Fact",
  key: "k",
  position: n,
  attempt: 1,
  outcome: "ok",
  end: t + 1,
  ...more,
});
export const subState: SubState = {
  name: "books",
  state: "active",
  matched: 2,
  outcomes: { done: 2, skipped: 0, discarded: 0, expired: 0, duplicate: 0 },
  rows: { held: 0, ready: 0, running: 0, retrying: 0, dead: 0, deferred: 0 },
  types: [{ type: "Fact", matched: 2, baseline: 0, since: [], wanted: true }],
  progress: [[0, 2]],
};
const final: Final = {
  events: [fact(1, 1), fact(2, 2), stated("Note", 1, 3), stated("Derived", 1, 4), stated("Derived", 2, 5)],
  subs: [subState],
  rows: [],
  effects: [
    { sub: "books", id: "f1", run: 1 },
    { sub: "books", id: "f2", run: 2 },
  ],
  states: [{ sub: "books", key: "k", positions: [1, 2] }],
  sessions: 0,
  findings: [],
  drained: true,
  drainDetail: "",
};
const effect = (n: number, t: number): Op => ({
  op: "effect",
  process: "w1",
  t,
  run: n,
  sub: "books",
  id: `f${n}`,
  key: `key-${n}`,
});
const ops: readonly Op[] = [
  {
    op: "publish",
    process: "c1",
    t: 1,
    events: [1, 2].map((n) => ({ id: `f${n}`, type: "Fact", data: data(n) })),
    outcome: "ok",
    receipts: [
      { position: 1, duplicate: false },
      { position: 2, duplicate: false },
    ],
  },
  { op: "grant", process: "w1", t: 2, session: 1, held: [{ slot: "1.1.0", token: 1 }] },
  {
    op: "poll",
    process: "w1",
    t: 3,
    spans: [[0, 0, 2]],
    types: ["Fact"],
    events: [
      [0, 1, "c1"],
      [0, 2, "c2"],
    ],
  },
  run(1, 4),
  effect(1, 4),
  run(2, 6),
  effect(2, 6),
  { op: "settle", process: "w1", t: 8, session: 1, slot: "1.1.0", token: 1, low: 2, outcome: "ok" },
  { op: "follow", process: "c1", t: 9, after: 0, positions: [1, 2, 3] },
];
export const good: History = {
  dedupes: true,
  totalOrder: true,
  redefined: false,
  zombies: false,
  refunds: false,
  plan: [plan],
  ops,
  final,
  hopeless: new Set(),
  killers: new Set(),
};

/** The good history with some of its operations changed (undefined: left out), and others added at its end. */
export function withOps(change: (op: Op) => Op | undefined, more: readonly Op[] = []): History {
  const changed = ops.map(change).filter((op) => op !== undefined);
  return { ...good, ops: [...changed, ...more].toSorted((a, b) => a.t - b.t) };
}
export const withFinal = (change: Partial<Final>): History => ({ ...good, final: { ...final, ...change } });
export const withSub = (change: Partial<SubState>): History => withFinal({ subs: [{ ...subState, ...change }] });
export const storedFact = fact;
