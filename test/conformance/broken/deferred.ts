import { leasing, progressing, recording, rowOf, rowsOf, slotsOf, ending, type Broken } from "./sabotage.ts";

export const brokenDeferrals: readonly Broken[] = [
  {
    name: "what is deferred is ready",
    fails: ["deferred: a row waits for no time, and begins when it is started"],
    break: ({ ledger, store }) =>
      progressing(ledger, {
        after: () =>
          rowsOf(store).forEach((row) => row.state === "deferred" && Object.assign(row, { state: "ready", dueMs: 0 })),
      }),
  },
  {
    name: "deferred rows are found whatever their group",
    fails: ["deferred: rows are found by group and slot, in the order of their positions"],
    break: ({ ledger, store }) => ({
      ledger: {
        async deliveries(query) {
          if (query.kind !== "deferred") return ledger.deliveries(query);
          const groups = new Set(rowsOf(store).map(({ group }) => group ?? ""));
          const pages = await Promise.all([...groups].map((group) => ledger.deliveries({ ...query, group })));
          return pages.flat().toSorted((a, b) => a.position - b.position);
        },
      },
    }),
  },
  {
    name: "deferred rows come slot after slot",
    fails: ["deferred: rows are found by group and slot, in the order of their positions"],
    break: ({ ledger }) => ({
      ledger: {
        async deliveries(query) {
          if (query.kind !== "deferred") return ledger.deliveries(query);
          const pages = await Promise.all(query.slots.map((slot) => ledger.deliveries({ ...query, slots: [slot] })));
          return pages.flat().slice(0, query.limit);
        },
      },
    }),
  },
  {
    name: "groups are told once they have ready rows",
    fails: ["deferred: a slot that is loaded tells its groups"],
    break: ({ ledger, store }) => ({
      ledger: {
        load: async (slots) =>
          (await ledger.load(slots)).map((state) => ({
            ...state,
            deferred: [
              ...new Set(slotsOf(store).flatMap(({ rows }) => [...rows.values()].map((row) => row.group ?? ""))),
            ],
          })),
      },
    }),
  },
  {
    name: "a deferred row lets its key go",
    fails: ["deferred: a row holds its key, and is held by it"],
    break: ({ ledger }) =>
      progressing(ledger, {
        before: (change) => ({
          change: {
            ...change,
            insert: change.insert.map((row) => (row.state === "deferred" ? { ...row, holds: false } : row)),
          },
        }),
      }),
  },
  {
    name: "to be put back costs an attempt",
    fails: ["deferred: what has begun may be put back, uncharged"],
    break: ({ ledger, store }) =>
      ending(ledger, {
        after: (_, { delivery, to }) => void (to.state === "deferred" && rowOf(store, delivery)!.failures++),
      }),
  },
  {
    name: "deferred rows are not counted",
    fails: ["deferred: rows are counted, and the oldest of them is seen"],
    break: ({ ledger }) => ({
      ledger: {
        tally: async () => (await ledger.tally()).map((one) => ({ ...one, rows: { ...one.rows, deferred: 0 } })),
      },
    }),
  },
  {
    name: "deferred rows are nobody's oldest",
    fails: ["deferred: rows are counted, and the oldest of them is seen"],
    break: ({ ledger, store }) => ({
      ledger: {
        async tally() {
          const ages = rowsOf(store).filter(({ state }) => state !== "dead" && state !== "deferred");
          const oldestRowMs = ages.length === 0 ? undefined : Math.min(...ages.map(({ atMs }) => atMs));
          return (await ledger.tally()).map((one) => ({ ...one, oldestRowMs }));
        },
      },
    }),
  },
  {
    name: "a dead session takes its deferred rows with it",
    fails: ["deferred: rows outlive the session that made them, uncharged"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        after(_, { dead }) {
          if (dead.length === 0) return;
          for (const { rows } of slotsOf(store))
            for (const [position, row] of rows) if (row.state === "deferred") rows.delete(position);
        },
      }),
  },
  {
    name: "whoever asks may start a deferred row",
    fails: ["deferred: a row waits for no time, and begins when it is started"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind !== "start") return undefined;
          const row = rowOf(store, { ...change.lease, position: change.position });
          return row?.state === "deferred" ? { change: { ...change, rowToken: row.rowToken } } : undefined;
        },
      }),
  },
];
