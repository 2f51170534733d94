import type { Ledger } from "../../../src/engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../../../src/engine/transact.ts";
import { slotRowOf, slotRows } from "../../../src/engines/memory/store.ts";
import type { Broken, Sabotage } from "./sabotage.ts";

/** Faults around what `run` wants settled. */
const settling = (
  ledger: Ledger,
  after: (own: OwnSettle, session: number) => Promise<Transacted | undefined> | Transacted | undefined,
  before: (own: OwnSettle) => OwnSettle = (own) => own,
): Sabotage => ({
  ledger: {
    async transact(session: number, { source, run }: Transact): Promise<Transacted> {
      let settles: readonly OwnSettle[] = [];
      const answer = await ledger.transact(session, {
        source,
        run: async (tx) => (settles = (await run(tx)).map(before)),
      });
      for (const own of settles) {
        const instead = await after(own, session);
        if (instead !== undefined) return instead;
      }
      return answer;
    },
  },
});

export const brokenTransactions: readonly Broken[] = [
  {
    name: "every source is bound",
    fails: ["transact: a source of another dialect is NOT_SUPPORTED, one of its own is bound"],
    break: () => ({ ledger: { bind: async () => undefined } }),
  },
  {
    name: "load does not know what was settled",
    fails: ["transact: what it settled stands at once, and load says so until progress has passed it"],
    break: ({ ledger }) => ({
      ledger: { load: async (slots) => (await ledger.load(slots)).map((state) => ({ ...state, settled: [] })) },
    }),
  },
  {
    name: "what was refused is remembered as settled",
    fails: ["transact: what rejects, and what the ledger refuses, leaves nothing"],
    break: ({ ledger, store }) =>
      settling(ledger, ({ lease, position }) => void slotRowOf(store, lease)!.settled.add(position)),
  },
  {
    name: "transactions are not fenced",
    fails: ["transact: one who lost the slot, the row or its session changes nothing"],
    break: ({ ledger, log }) =>
      settling(ledger, async ({ effects }) => {
        await log.append(effects?.emits ?? []);
        return undefined;
      }),
  },
  {
    name: "a second settle takes the place of the first",
    fails: [
      "transact: a second one of the same delivery comes to nothing, and is answered stood",
      "transact: a row that failed after all keeps its place until it is closed once",
    ],
    break: ({ ledger, store }) =>
      settling(
        ledger,
        () => undefined,
        (own) => {
          slotRowOf(store, own.lease)!.settled.delete(own.position);
          return own;
        },
      ),
  },
  {
    name: "a transaction needs the slot, detached or not",
    fails: ["transact: a delivery that got its row while it ran settles under that row, though its slot has gone"],
    break: ({ ledger, store }) =>
      settling(ledger, ({ lease, position }, session) =>
        slotRowOf(store, lease)!.session === session ? undefined : { status: "lost", position },
      ),
  },
  {
    name: "what takes a row does not ask whether it was settled",
    fails: [
      "transact: a settled row whose session dies is closed as done and charged nothing; its key goes on",
      "transact: a settled row that is released, or whose session leaves, is closed as done",
    ],
    break: ({ ledger, store }) => ({
      ledger: {
        async lease(request) {
          for (const slot of slotRows(store)) slot.settled.clear();
          return ledger.lease(request);
        },
      },
    }),
  },
  {
    name: "progress forgets all that it passes",
    fails: ["transact: progress that passes a row which was settled keeps what a death would need"],
    break: ({ ledger, store }) => ({
      ledger: {
        async record(session, changes) {
          for (const change of changes) {
            if (change.kind !== "progress") continue;
            const { settled } = slotRowOf(store, change.lease)!;
            for (const position of settled) if (position <= change.low) settled.delete(position);
          }
          return ledger.record(session, changes);
        },
      },
    }),
  },
  {
    name: "of several deliveries each is settled by itself",
    fails: ["transact: several deliveries settle together, or none of them"],
    break: ({ ledger }) => ({
      ledger: {
        async transact(session, { source, run }) {
          let answer: Transacted = { status: "settled" };
          for (const own of await run(undefined)) {
            const one = await ledger.transact(session, { source, run: async () => [own] });
            if (one.status !== "settled") answer = one;
          }
          return answer;
        },
      },
    }),
  },
];
