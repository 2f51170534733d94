import { makeReady, promote, slotRowOf, type SlotRow, type Store } from "../../../src/engines/memory/store.ts";
import { commanding, leasing, progressing, recording, rowOf, rowsOf, slotsOf, type Broken } from "./sabotage.ts";

const nothing = { dead: [], giveBack: [], release: [], want: [] };

/** What the slots were before a call, to undo a part of what it did. */
const copies = (store: Store): Map<SlotRow, SlotRow> => new Map(slotsOf(store).map((slot) => [slot, { ...slot }]));

const brokenLease: readonly Broken[] = [
  {
    name: "session numbers come again",
    fails: ["lease: each join makes a session of its own, and no number comes twice"],
    break: ({ ledger, store }) =>
      leasing(ledger, { before: () => void (store.last.session = Math.max(0, ...store.sessions.keys())) }),
  },
  {
    name: "beats stand still",
    fails: ["lease: every call is a beat, and others see it with what the session serves"],
    break: ({ ledger, store }) =>
      leasing(ledger, { before: ({ session }) => void (session === undefined || store.sessions.get(session)!.beat--) }),
  },
  {
    name: "want means so many more",
    fails: ["lease: takes free slots until it holds that many"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ session, want }) => ({
          want: want.map((one) => ({
            ...one,
            slots: one.slots + slotsOf(store).filter((slot) => slot.session === session).length,
          })),
        }),
      }),
  },
  {
    name: "nothing is ever given back",
    fails: ["lease: fair shares move by giving back and wanting"],
    break: ({ ledger }) => leasing(ledger, { before: () => ({ giveBack: [] }) }),
  },
  {
    name: "only what is wanted is answered as held",
    fails: ["lease: what is held is answered over all subscriptions, at every call"],
    break: ({ ledger }) =>
      leasing(ledger, {
        after: ({ held }, { want }) => ({ held: held.filter(({ sub }) => want.some((one) => one.sub === sub)) }),
      }),
  },
  {
    name: "revisions are not told",
    fails: ["lease: lists all subscriptions with their newest revision and state"],
    break: ({ ledger }) =>
      leasing(ledger, {
        after: ({ subscriptions }) => ({ subscriptions: subscriptions.map((one) => ({ ...one, revision: 1 })) }),
      }),
  },
  {
    name: "any revision takes slots",
    fails: ["lease: only the newest revision takes slots"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ want }) => ({
          want: want.map((one) => ({ ...one, revision: store.subscriptions.get(one.sub)!.newest })),
        }),
      }),
  },
  {
    name: "giving back keeps the claim",
    fails: ["lease: giving back frees a slot uncharged, and its claim falls to low"],
    break({ ledger, store }) {
      let before = copies(store);
      return leasing(ledger, {
        before: () => void (before = copies(store)),
        after: () => before.forEach(({ claim }, slot) => (slot.claim = claim)),
      });
    },
  },
  {
    name: "anyone gives back anything",
    fails: ["lease: a slot is given back only by its holder under its token"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ giveBack }) =>
          giveBack.forEach((lease) => Object.assign(slotRowOf(store, lease)!, { session: undefined })),
      }),
  },
  {
    name: "release charges a failure",
    fails: ["lease: release makes running rows of mine ready again, uncharged"],
    break: ({ ledger, store }) =>
      leasing(ledger, { before: ({ release }) => release.forEach((ref) => rowOf(store, ref)!.failures++) }),
  },
  {
    name: "anyone releases anything",
    fails: ["lease: a row is released only by its runner under its token"],
    break: ({ ledger, store }) =>
      leasing(ledger, { before: ({ release }) => release.forEach((ref) => makeReady(rowOf(store, ref)!, 0)) }),
  },
  {
    name: "leaving leaves everything behind",
    fails: ["lease: leaving frees slots and rows uncharged and removes the session"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: () => ({ leave: false }),
        after: ({ session, sessions }, { leave }) => {
          if (leave === true) store.sessions.delete(session);
          return { sessions };
        },
      }),
  },
  {
    name: "takes before it gives back and declares dead",
    fails: ["lease: one call declares dead, gives back and takes, in this order"],
    break: ({ ledger }) => ({
      ledger: {
        async lease(request) {
          const { session } = await ledger.lease({ ...request, ...nothing, want: request.want, leave: false });
          return ledger.lease({ ...request, session, want: [] });
        },
      },
    }),
  },
  {
    name: "instant death is promised, and not kept",
    fails: ["lease: a death that the engine sees at once is told, and no living session is called gone"],
    break: ({ ledger }) => ({ ledger: { capabilities: { ...ledger.capabilities, instantDeath: true } } }),
  },
  {
    name: "who is quiet is called gone",
    fails: ["lease: where death is not seen at once no session is called gone"],
    break: ({ ledger }) =>
      leasing(ledger, {
        after: ({ session, sessions }) => ({
          sessions: sessions.map((one) => ({ ...one, gone: one.session !== session })),
        }),
      }),
  },
  {
    name: "one-slot subscriptions get all slots",
    fails: ["lease: one-slot subscriptions have the slot 0 alone"],
    break: ({ ledger }) =>
      commanding(ledger, "define", { before: ({ definition }) => ({ definition: { ...definition, slots: "all" } }) }),
  },
];

/** Onto the rows that died of crashes in this call. */
const afterCrash = (store: Store, act: (row: ReturnType<typeof rowsOf>[number]) => void): (() => undefined) => {
  return () => {
    for (const row of rowsOf(store)) if (row.state === "dead" && row.history.at(-1)?.class === "crash") act(row);
    return undefined;
  };
};

const brokenTakeover: readonly Broken[] = [
  {
    name: "death is declared without a second look",
    fails: ["takeover: a session is removed only if its beat stood still"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ dead }) => ({
          dead: dead.map(({ session }) => ({ session, beat: store.sessions.get(session)?.beat ?? 0 })),
        }),
      }),
  },
  {
    name: "the dead come back by themselves",
    fails: ["takeover: who was declared dead gets LEASE_LOST, and nothing else happens"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before({ session, leaseMs, serves }) {
          if (session !== undefined && !store.sessions.has(session))
            store.sessions.set(session, { session, beat: 1, leaseMs, serves });
          return undefined;
        },
      }),
  },
  {
    name: "taking over keeps the token",
    fails: ["takeover: slots of the dead become free under a new token, with their progress"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        after(_, { dead }) {
          if (dead.length > 0) for (const slot of slotsOf(store)) slot.token -= 2;
          return undefined;
        },
      }),
  },
  {
    name: "nothing is suspect",
    fails: ["takeover: unreported events up to the claim become suspects"],
    break: ({ ledger, store }) =>
      leasing(ledger, { after: () => slotsOf(store).forEach((slot) => (slot.suspect = 0)) }),
  },
  {
    name: "only the last claim is suspect",
    fails: ["takeover: unreported events up to the claim become suspects"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ dead }) => void (dead.length > 0 && slotsOf(store).forEach((slot) => (slot.suspect = 0))),
      }),
  },
  {
    name: "suspects for ever",
    fails: ["takeover: suspicion ends with the progress that reaches it"],
    break({ ledger, store }) {
      let suspect = 0;
      return progressing(ledger, {
        before: ({ lease }) => void (suspect = slotRowOf(store, lease)?.suspect ?? 0),
        after: (_, { lease }) => void Object.assign(slotRowOf(store, lease)!, { suspect }),
      });
    },
  },
  {
    name: "a crash is charged to every row of the slot",
    fails: ["takeover: charges a crash to the rows that the dead session ran, and to nothing else"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        before: ({ dead }) =>
          void (dead.length > 0 && rowsOf(store).forEach((row) => row.state === "retrying" && row.crashes++)),
      }),
  },
  {
    name: "a row's token is fence enough",
    fails: [
      "takeover: who ran a row and was declared dead cannot settle it",
      "hand-over: a row runs on without its slot, and its key stays busy",
    ],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before: (change, session) => ({
          session: (change.kind === "row" ? rowOf(store, change.delivery)?.session : undefined) ?? session,
        }),
      }),
  },
  {
    name: "crashes have no limit",
    fails: ["takeover: at the crash limit the row is dead with a failure of class crash"],
    break: ({ ledger, store }) => leasing(ledger, { after: afterCrash(store, (row) => makeReady(row, 0)) }),
  },
  {
    name: "death by crashes leaves no failure",
    fails: ["takeover: at the crash limit the row is dead with a failure of class crash"],
    break: ({ ledger, store }) => leasing(ledger, { after: afterCrash(store, (row) => row.history.pop()) }),
  },
  {
    name: "the first crash kills",
    fails: ["takeover: below the crash limit the row is due again"],
    break: ({ ledger }) =>
      commanding(ledger, "define", { before: ({ definition }) => ({ definition: { ...definition, crashesMax: 1 } }) }),
  },
  {
    name: "who died of crashes lets the key go",
    fails: ["takeover: death by crashes holds the key where the definition says hold-key"],
    break: ({ ledger, store }) =>
      leasing(ledger, {
        after: afterCrash(store, (row) => {
          row.holds = false;
          promote(slotRowOf(store, row)!, row.key);
        }),
      }),
  },
  {
    name: "who died of crashes holds the key in any case",
    fails: [
      "takeover: death by crashes frees the next of the key where the definition says skip-event",
      "takeover: death by crashes stops the subscription where the definition says stop",
    ],
    break: ({ ledger }) =>
      commanding(ledger, "define", {
        before: ({ definition }) => ({ definition: { ...definition, onExhausted: "hold-key" } }),
      }),
  },
];

const brokenLoad: readonly Broken[] = [
  {
    name: "every subscription starts at the beginning",
    fails: ["load: a new subscription begins at its start"],
    break: ({ ledger }) => commanding(ledger, "define", { before: () => ({ start: new Map() }) }),
  },
  {
    name: "load answers in the order of the slots",
    fails: ["load: answers what was recorded, in the order asked, to anyone"],
    break: ({ ledger }) => ({ ledger: { load: (slots) => ledger.load(slots.toSorted((a, b) => a.slot - b.slot)) } }),
  },
  {
    name: "ranges are cut off at a hundred",
    fails: ["load: many ranges come back as they were"],
    break: ({ ledger }) =>
      progressing(ledger, { before: (change) => ({ change: { ...change, ranges: change.ranges.slice(0, 100) } }) }),
  },
  {
    name: "every row makes its key busy",
    fails: ["load: busy are the keys that rows hold, each once"],
    break: ({ ledger, store }) => ({
      ledger: {
        load: async (slots) =>
          (await ledger.load(slots)).map((state) => ({
            ...state,
            busy: [...slotRowOf(store, state.slot)!.rows.values()].map(({ key }) => key),
          })),
      },
    }),
  },
  {
    name: "what was settled is forgotten",
    fails: ["load: identities that were settled are remembered for the window"],
    break: ({ ledger }) => ({
      ledger: { load: async (slots) => (await ledger.load(slots)).map((state) => ({ ...state, seen: [] })) },
    }),
  },
  {
    name: "what was settled is remembered for ever",
    fails: ["load: identities that were settled are remembered for the window"],
    break: ({ ledger, store }) => ({
      ledger: {
        load: async (slots) =>
          (await ledger.load(slots)).map((state) => ({
            ...state,
            seen: [...slotRowOf(store, state.slot)!.seen.keys()],
          })),
      },
    }),
  },
];

export const brokenLeases: readonly Broken[] = [...brokenLease, ...brokenTakeover, ...brokenLoad];
