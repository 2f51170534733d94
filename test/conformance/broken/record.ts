import type { Recorded } from "../../../src/engine/ledger.ts";
import { holders, makeReady, slotRowOf } from "../../../src/engines/memory/store.ts";
import { ending, leasing, progressing, recording, rowOf, rowsOf, slotsOf, type Broken } from "./sabotage.ts";

const lost: Recorded = { status: "lost", freed: [], promoted: false };
const ok: Recorded = { status: "ok", freed: [], promoted: false };

const brokenProgress: readonly Broken[] = [
  {
    name: "record skips the token fence",
    fails: ["progress: a stale token changes nothing"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before: (change) => ({
          change: { ...change, lease: { ...change.lease, token: slotRowOf(store, change.lease)!.token } },
        }),
      }),
  },
  {
    name: "record skips the session fence",
    fails: ["progress: another session changes nothing, though the token be right"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before: ({ lease }, session) => ({ session: slotRowOf(store, lease)?.session ?? session }),
      }),
  },
  {
    name: "the dead record on",
    fails: ["progress: a session that was declared dead changes nothing, taken over or not"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before({ lease }, session) {
          const slot = slotRowOf(store, lease);
          if (slot === undefined || store.sessions.has(session)) return undefined;
          store.sessions.set(session, { session, beat: 1, leaseMs: 1, serves: [] });
          slot.session = session;
          return undefined;
        },
      }),
  },
  {
    name: "a slot that is not there is the first one",
    fails: ["progress: a slot that is not there is lost"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before(change) {
          const [{ sub, gen, slot, token }] = slotsOf(store) as [ReturnType<typeof slotsOf>[number]];
          return slotRowOf(store, change.lease) === undefined
            ? { change: { ...change, lease: { sub, gen, slot, token } } }
            : undefined;
        },
      }),
  },
  {
    name: "low may fall",
    fails: ["progress: low never falls"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before({ lease, low }) {
          const slot = slotRowOf(store, lease);
          if (slot !== undefined) slot.low = Math.min(slot.low, low);
          return undefined;
        },
      }),
  },
  {
    name: "the claim may fall",
    fails: ["progress: the claim never falls while the slot is held"],
    break: ({ ledger, store }) =>
      progressing(ledger, { after: (_, { lease, claim }) => void Object.assign(slotRowOf(store, lease)!, { claim }) }),
  },
  {
    name: "matched is counted under one type",
    fails: ["progress: counts what was matched by type and slot, and what became of it"],
    break: ({ ledger }) =>
      progressing(ledger, {
        before: (change) => ({
          change: {
            ...change,
            matched: new Map([["Placed", [...change.matched.values()].reduce((a, b) => a + b, 0)]]),
          },
        }),
      }),
  },
  {
    name: "counts are believed",
    fails: ["progress: counts that do not add up stop everything, and nothing of the call stands"],
    break: ({ ledger }) =>
      progressing(ledger, {
        before(change) {
          const ended = Object.values(change.outcomes).reduce((a, b) => a + b, 0) + change.insert.length;
          return { change: { ...change, matched: new Map([["Placed", ended]]) } };
        },
      }),
  },
  {
    name: "changes before the one that does not add up stand",
    fails: ["progress: counts that do not add up stop everything, and nothing of the call stands"],
    break: ({ ledger }) => recording(ledger, {}),
  },
  {
    name: "one lost change loses all",
    fails: ["record: changes stand or fall each alone"],
    break: ({ ledger, store }) => ({
      ledger: {
        async record(session, changes) {
          const stale = changes.some(
            (change) => "lease" in change && slotRowOf(store, change.lease)?.token !== change.lease.token,
          );
          return stale ? changes.map(() => lost) : ledger.record(session, changes);
        },
      },
    }),
  },
  {
    name: "rows come before progress",
    fails: ["record: changes apply in their order"],
    break: ({ ledger }) => ({
      ledger: {
        record: (session, changes) =>
          ledger.record(
            session,
            changes.toSorted((a, b) => b.kind.localeCompare(a.kind)),
          ),
      },
    }),
  },
  {
    name: "all subscriptions share their progress",
    fails: ["record: subscriptions do not touch each other"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after: (_, { lease, low }) => slotsOf(store).forEach((slot) => slot.slot === lease.slot && (slot.low = low)),
      }),
  },
  {
    name: "record answers and keeps nothing",
    fails: ["close: what a ledger recorded is there for other processes and after all have closed"],
    break: () => ({ ledger: { record: async (_, changes) => changes.map(() => ok) } }),
  },
  {
    name: "a closed ledger works on",
    fails: ["close: a closed ledger refuses every call"],
    break: () => ({ ledger: { close: async () => undefined } }),
  },
];

const brokenRows: readonly Broken[] = [
  {
    name: "a row forgets its correlation",
    fails: ["rows: a row is what was inserted"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after: () => rowsOf(store).forEach((row) => Object.assign(row, { correlationId: "" })),
      }),
  },
  {
    name: "a second row takes the place of the first",
    fails: ["rows: one delivery has one row"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        before: ({ lease, insert }) => insert.forEach(({ position }) => slotRowOf(store, lease)?.rows.delete(position)),
      }),
  },
  {
    name: "held is decided by the caller",
    fails: ["rows: the ledger decides what is held", "rows: rows of one change hold each other back"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after: (_, { lease, insert }) =>
          insert.forEach(({ position, state }) => (slotRowOf(store, lease)!.rows.get(position)!.state = state)),
      }),
  },
  {
    name: "any row of the key holds back",
    fails: ["rows: a later row holds back none before it"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after(_, { lease, insert }) {
          const slot = slotRowOf(store, lease)!;
          for (const { position, key } of insert) {
            if (holders(slot, key).some((row) => row.position !== position)) slot.rows.get(position)!.state = "held";
          }
          return undefined;
        },
      }),
  },
  {
    name: "running rows are held too",
    fails: ["rows: a row that runs is never held"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after(_, { lease, insert }) {
          const slot = slotRowOf(store, lease)!;
          for (const { position, key } of insert)
            if (holders(slot, key)[0]!.position < position) slot.rows.get(position)!.state = "held";
          return undefined;
        },
      }),
  },
  {
    name: "every row holds its key",
    fails: ["rows: a row that holds nothing is not held and holds back none"],
    break: ({ ledger }) =>
      progressing(ledger, {
        before: (change) => ({ change: { ...change, insert: change.insert.map((row) => ({ ...row, holds: true })) } }),
      }),
  },
  {
    name: "closing frees the whole key",
    fails: ["rows: closing makes exactly the next of the key ready"],
    break({ ledger, store }) {
      let key: string | undefined;
      return ending(ledger, {
        before: ({ delivery }) => void (key = rowOf(store, delivery)?.key),
        after: () => rowsOf(store).forEach((row) => row.state === "held" && row.key === key && makeReady(row, 0)),
      });
    },
  },
  {
    name: "closing frees nobody",
    fails: ["rows: closing makes exactly the next of the key ready"],
    break: ({ ledger, store }) =>
      ending(ledger, {
        after(answer) {
          for (const row of rowsOf(store)) if (row.state === "ready") row.state = "held";
          return { ...answer, promoted: false };
        },
      }),
  },
  {
    name: "everything ends as done",
    fails: ["rows: closing counts how it ended"],
    break: ({ ledger }) =>
      ending(ledger, {
        before: (change) =>
          change.to.state === "closed" ? { change: { ...change, to: { ...change.to, as: "done" } } } : undefined,
      }),
  },
  {
    name: "no key is ever freed",
    fails: ["rows: a key is freed with its last row"],
    break: ({ ledger }) => recording(ledger, { after: (answer) => ({ ...answer, freed: [] }) }),
  },
  {
    name: "every end frees the key",
    fails: ["rows: a key is freed with its last row"],
    break: ({ ledger }) => ending(ledger, { after: (answer) => ({ ...answer, freed: ["k"] }) }),
  },
  {
    name: "a retry lets the next of the key pass",
    fails: ["rows: a retry keeps the key and is due at its time"],
    break: ({ ledger, store }) =>
      ending(ledger, { after: () => rowsOf(store).forEach((row) => row.state === "held" && makeReady(row, 0)) }),
  },
  {
    name: "a deferral counts as a failure",
    fails: ["rows: a deferral charges nothing"],
    break: ({ ledger, store }) =>
      ending(ledger, { after: (_, { delivery }) => void rowOf(store, delivery)!.failures++ }),
  },
  {
    name: "dead rows never hold",
    fails: ["rows: a dead row that holds its key blocks it"],
    break: ({ ledger }) =>
      ending(ledger, {
        before: (change) =>
          change.to.state === "dead" ? { change: { ...change, to: { ...change.to, holds: false } } } : undefined,
      }),
  },
  {
    name: "dead rows always hold",
    fails: ["rows: a dead row that does not hold its key lets the next go on"],
    break: ({ ledger }) =>
      ending(ledger, {
        before: (change) =>
          change.to.state === "dead" ? { change: { ...change, to: { ...change.to, holds: true } } } : undefined,
      }),
  },
  {
    name: "nothing stops a subscription",
    fails: [
      "rows: a dead row that stops its subscription does, inserted or settled",
      "rows: a row inserted as dead may stop its subscription",
    ],
    break: ({ ledger, store }) =>
      recording(ledger, { after: () => rowsOf(store).forEach((row) => (row.stop = false)) }),
  },
  {
    name: "an attempt ends under any token",
    fails: ["rows: only the runner under the row's token ends an attempt, once"],
    break: ({ ledger, store }) =>
      ending(ledger, {
        before: (change) => ({ change: { ...change, rowToken: rowOf(store, change.delivery)?.rowToken ?? 0 } }),
      }),
  },
  {
    name: "a start keeps the token",
    fails: ["rows: a token ends no attempt but its own"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        after: (_, change) =>
          void (change.kind === "start" && slotRowOf(store, change.lease)!.rows.get(change.position)!.rowToken--),
      }),
  },
  {
    name: "a row starts twice",
    fails: ["rows: of two starts of one row one wins"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          const row = change.kind === "start" ? slotRowOf(store, change.lease)!.rows.get(change.position) : undefined;
          if (change.kind === "start" && row !== undefined)
            Object.assign(row, { state: "ready", rowToken: change.rowToken });
          return undefined;
        },
      }),
  },
  {
    name: "a start asks not who runs",
    fails: ["rows: of the rows that hold one key one runs at a time"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind !== "start") return undefined;
          for (const row of rowsOf(store)) if (row.state === "running") row.state = "retrying";
          return undefined;
        },
      }),
  },
  {
    name: "a start needs no lease",
    fails: ["rows: a start needs the slot's lease, the row's token and a row that waits"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind !== "start") return undefined;
          const { token, session } = slotRowOf(store, change.lease)!;
          return { change: { ...change, lease: { ...change.lease, token } }, session: session! };
        },
      }),
  },
  {
    name: "old failures fade, the first one too",
    fails: ["rows: failures are kept in their order, the first and the newest within the bound"],
    break: ({ ledger, store }) =>
      ending(ledger, { after: () => rowsOf(store).forEach((row) => (row.history = row.history.slice(-40))) }),
  },
];

const brokenHandOver: readonly Broken[] = [
  {
    name: "giving a slot back takes its running rows along",
    fails: ["hand-over: a row runs on without its slot, and its key stays busy"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        after: (_, { giveBack }) =>
          giveBack.forEach((lease) =>
            slotRowOf(store, lease)!.rows.forEach((row) => row.state === "running" && makeReady(row, 0)),
          ),
      }),
  },
  {
    name: "only the slot's holder lets the next of a key go on",
    fails: [
      "hand-over: a held row that comes before the detached one ends becomes ready with its end",
      "hand-over: end and insert at the same time never leave a key held without a head",
      "hand-over: ends and inserts of many keys at once leave no key held without a head",
    ],
    break: ({ ledger, store }) =>
      ending(ledger, {
        after(answer, { delivery }, session) {
          const slot = slotRowOf(store, delivery)!;
          if (slot.session === session) return undefined;
          for (const row of slot.rows.values()) if (row.state === "ready") row.state = "held";
          return { ...answer, promoted: false };
        },
      }),
  },
  {
    name: "held is decided by what the holder once loaded",
    fails: [
      "hand-over: a held row that comes after the detached one has ended is not held",
      "hand-over: end and insert at the same time never leave a key held without a head",
    ],
    break({ ledger, store }) {
      const busy = new Set<string>();
      const faults = progressing(ledger, {
        after(_, { lease, insert }) {
          for (const { position, key } of insert)
            if (busy.has(key)) slotRowOf(store, lease)!.rows.get(position)!.state = "held";
          return undefined;
        },
      });
      const looking = leasing(ledger, {
        after({ held }) {
          for (const lease of held) for (const { key } of slotRowOf(store, lease)!.rows.values()) busy.add(key);
          return undefined;
        },
      });
      return { ledger: { ...faults.ledger, ...looking.ledger } };
    },
  },
  {
    name: "who takes a slot counts the failures of its rows from the beginning",
    fails: [
      "hand-over: a row that waits keeps what was charged to it and when it is due, however its slot changes hands",
    ],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        after({ held }, { want }) {
          if (want.length === 0) return undefined;
          for (const lease of held) for (const one of slotRowOf(store, lease)!.rows.values()) one.failures = 0;
          return undefined;
        },
      }),
  },
  {
    name: "held is decided by what this process itself has inserted and closed",
    fails: ["hand-over: who gets a slot back sees what became of its rows meanwhile"],
    break({ ledger, store }) {
      const busy = new Set<string>();
      return recording(ledger, {
        after({ freed }, change) {
          if (change.kind === "progress") {
            for (const { position, key } of change.insert) {
              if (busy.has(key)) slotRowOf(store, change.lease)!.rows.get(position)!.state = "held";
              busy.add(key);
            }
          }
          for (const key of freed) busy.delete(key);
          return undefined;
        },
      });
    },
  },
];

export const brokenRecords: readonly Broken[] = [...brokenProgress, ...brokenRows, ...brokenHandOver];
