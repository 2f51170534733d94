/** The checker seen red: for each promise a history that breaks it, made by hand. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { check, isVoid } from "../../sim/checker/check.ts";
import type { History, Op, Row } from "../../sim/checker/history.ts";
import { filesMatching, importsOf } from "../support/source.ts";
import { good, plan, run, storedFact, subState, withFinal, withOps, withSub } from "./histories.ts";

const same = (op: Op): Op => op;
const operate = { op: "operate", process: "c1", t: 20, sub: "books", position: 1, outcome: "ok" } as const;
const deadRow: Row = {
  sub: "books",
  slot: 0,
  position: 1,
  key: "k",
  holds: true,
  state: "dead",
  failures: 3,
  crashes: 0,
  class: "error",
};
const oneDead = { ...subState.rows, dead: 1 };
const sample = (t: number, dead: boolean): Op => ({
  op: "sample",
  t,
  subs: [],
  dead: dead ? [{ sub: "books", slot: 0, position: 1 }] : [],
});

const bad: readonly (readonly [invariant: string, anomaly: string, history: History])[] = [
  ["I1", "lost-write", withFinal({ events: good.final.events.slice(1) })],
  ["I1", "lost-write", withFinal({ events: [storedFact(1, 2), storedFact(2, 1), ...good.final.events.slice(2)] })],
  [
    "I1",
    "spurious-conflict",
    withOps(same, [
      {
        op: "publish",
        process: "c1",
        t: 30,
        events: [{ id: "f9", type: "Fact", data: "{}" }],
        outcome: "fail",
        code: "ID_CONFLICT",
      },
    ]),
  ],
  ["I2", "phantom", withFinal({ events: [...good.final.events, storedFact(9, 9)] })],
  ["I2", "aborted-read", withOps((op) => (op.op === "publish" ? { ...op, outcome: "fail", receipts: [] } : op))],
  ["I2", "duplicate", withFinal({ events: [...good.final.events, storedFact(1, 9)] })],
  ["I2", "half-batch", withFinal({ events: good.final.events.filter(({ id }) => id !== "f2") })],
  [
    "I2",
    "phantom",
    { ...good, ops: good.ops.map((op) => (op.op === "deliver" && op.run === 1 ? { ...op, run: 7 } : op)) },
  ],
  [
    "I3",
    "inconsistent-offsets",
    withOps((op) =>
      op.op === "poll"
        ? {
            ...op,
            events: [
              [0, 1, "c1"],
              [0, 2, "other"],
            ],
          }
        : op,
    ),
  ],
  [
    "I3",
    "precommitted-read",
    withOps((op) => (op.op === "poll" ? { ...op, events: [...op.events, [0, 77, "c77"]] } : op)),
  ],
  ["I4", "int-poll-skip", withOps((op) => (op.op === "poll" ? { ...op, events: [[0, 2, "c2"]] } : op))],
  ["I4", "int-nonmonotonic-poll", withOps((op) => (op.op === "poll" ? { ...op, events: op.events.toReversed() } : op))],
  [
    "I5",
    "nonmonotonic-commit",
    withOps(same, [{ op: "settle", process: "w1", t: 30, session: 1, slot: "1.1.0", token: 1, low: 1, outcome: "ok" }]),
  ],
  ["I6", "nonmonotonic-poll", withOps((op) => (op.op === "effect" && op.run === 1 ? { ...op, t: 7.5 } : op))],
  ["I6", "nonmonotonic-poll", withFinal({ states: [{ sub: "books", key: "k", positions: [2, 1] }] })],
  ["I7", "duplicate", withFinal({ effects: [...(good.final.effects ?? []), { sub: "books", id: "f1", run: 1 }] })],
  ["I7", "lost-write", withFinal({ effects: good.final.effects?.slice(1) })],
  ["I7", "lost-write", withFinal({ events: good.final.events.slice(0, 4) })],
  ["I7", "lost-write", withFinal({ states: [{ sub: "books", key: "k", positions: [1] }] })],
  ["I7", "duplicate", withFinal({ states: [{ sub: "books", key: "k", positions: [1, 1, 2] }] })],
  ["I7", "aborted-read", withOps((op) => (op.op === "deliver" && op.run === 1 ? { ...op, outcome: "fail" } : op))],
  [
    "I7",
    "unstable-key",
    withOps(same, [{ op: "effect", process: "w1", t: 9, run: 1, sub: "books", id: "f1", key: "new" }]),
  ],
  ["I8", "unseen", withOps((op) => (op.op === "deliver" && op.run === 2 ? { ...op, outcome: "unknown" } : op))],
  ["I8", "not-conserved", withSub({ matched: 3 })],
  ["I8", "not-conserved", withSub({ types: [{ type: "Fact", matched: 1, baseline: 0, since: [], wanted: true }] })],
  ["I8", "not-conserved", withSub({ outcomes: { ...subState.outcomes, done: 1, discarded: 1 } })],
  ["I8", "not-conserved", withOps(same, [{ op: "sample", t: 9, subs: [{ ...subState, matched: 5 }], dead: [] }])],
  ["I9", "dead-letter-lost", withOps(same, [sample(20, true), sample(21, false)])],
  ["I9", "unaudited", withOps(same, [{ ...operate, act: "redrive" }])],
  [
    "I9",
    "unaudited",
    withFinal({ events: [...good.final.events, { ...storedFact(9, 9), type: "factlog.operator.redriven" }] }),
  ],
  ["I10", "too-many-attempts", withOps(same, [run(3, 20, { id: "f1", position: 1, attempt: 4 })])],
  ["I10", "too-many-attempts", withFinal({ rows: [{ ...deadRow, crashes: 3 }] })],
  [
    "I10",
    "retry-forgotten",
    withOps(same, [run(3, 20, { id: "f1", position: 1, attempt: 2 }), run(4, 22, { id: "f1", position: 1 })]),
  ],
  [
    "I10",
    "crash-not-charged",
    {
      ...withOps(
        same,
        [1, 2, 3, 4].map((n) => run(10 + n, 20 + n, { id: "f1", position: 1, died: true, outcome: "unknown" })),
      ),
      killers: new Set(["f1"]),
    },
  ],
  [
    "I11",
    "stale-settle",
    withOps(same, [
      { op: "grant", process: "w2", t: 10, session: 2, held: [{ slot: "1.1.0", token: 3 }] },
      { op: "settle", process: "w1", t: 11, session: 1, slot: "1.1.0", token: 1, low: 2, outcome: "ok" },
    ]),
  ],
  [
    "I12",
    "token-reused",
    withOps(same, [
      { op: "grant", process: "w2", t: 10, session: 2, held: [{ slot: "1.1.0", token: 3 }] },
      { op: "grant", process: "w1", t: 11, session: 1, held: [{ slot: "1.1.0", token: 2 }] },
    ]),
  ],
  ["I12", "overlap", withOps((op) => (op.op === "deliver" && op.run === 1 ? { ...op, end: 9 } : op))],
  ["I13", "not-drained", withFinal({ drained: false })],
  ["I13", "session-left", withFinal({ sessions: 1 })],
  ["I13", "unwell", withFinal({ findings: ["tally: 1 row too many"] })],
  [
    "I13",
    "held-without-head",
    {
      ...withSub({ rows: { ...oneDead, held: 1 } }),
      final: { ...good.final, rows: [{ ...deadRow, position: 2, state: "held" }] },
    },
  ],
  ["I16", "poll-skip", withOps((op) => (op.op === "follow" ? { ...op, positions: [1, 3] } : op))],
  ["I16", "poll-skip", withOps((op) => (op.op === "follow" ? { ...op, positions: [1, 2, 2] } : op))],
];

test("a history in which all is well is passed", () => {
  assert.deepEqual(check(good), []);
  assert.equal(isVoid(good), false);
});

for (const [i, [invariant, anomaly, history]] of bad.entries()) {
  test(`the checker refuses ${invariant} ${anomaly} (history ${i + 1})`, () => {
    const found = check(history).map((violation) => `${violation.invariant} ${violation.anomaly}`);
    assert.ok(found.includes(`${invariant} ${anomaly}`), `found: ${found.join(", ") || "nothing"}`);
  });
}

test("order none, and what was skipped and redriven, may come in any order", () => {
  const swapped = withOps((op) => (op.op === "effect" && op.run === 1 ? { ...op, t: 7.5 } : op));
  const anyOrder = check({ ...swapped, plan: [{ ...plan, order: "none" }] });
  assert.deepEqual(
    anyOrder.filter(({ invariant }) => invariant === "I6"),
    [],
  );
});

test("a zombie's effect counts no more once its delivery was discarded, and only then", () => {
  const late = (op: Op): Op => (op.op === "effect" && op.run === 1 ? { ...op, t: 7.5 } : op);
  const orderBroken = (discardedAt: number): boolean =>
    check(withOps(late, [{ ...operate, act: "discard", t: discardedAt }])).some(({ invariant }) => invariant === "I6");
  assert.equal(orderBroken(3), true, "it began to run after that");
  assert.equal(orderBroken(5), false);
  assert.equal(orderBroken(9), true, "the effect was there before");
});

test("a run that did too little is void", () => {
  assert.equal(isVoid({ ...good, ops: [] }), true);
  assert.equal(
    isVoid(withOps((op) => (op.op === "deliver" || op.op === "publish" ? { ...op, outcome: "fail" } : op))),
    true,
  );
});

test("the checker knows nothing of what it checks", () => {
  const files = filesMatching("sim/checker/*.ts");
  assert.ok(files.length >= 4);
  for (const path of files) {
    for (const specifier of importsOf(readFileSync(path, "utf8"))) assert.match(specifier, /^\.\/[a-z-]+\.ts$/, path);
  }
});
