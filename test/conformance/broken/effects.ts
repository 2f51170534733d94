import type { Change, Effects } from "../../../src/engine/ledger.ts";
import { sameContent } from "../../../src/event/codec.ts";
import { identityOf, slotRowOf } from "../../../src/engines/memory/store.ts";
import { recording, type Broken } from "./sabotage.ts";

/** The change with each of its effects altered. */
function altered(change: Change, alter: (effects: Effects) => Effects): Change {
  if (change.kind === "progress") return { ...change, effects: change.effects.map(alter) };
  if (change.kind === "row" && change.effects !== undefined) return { ...change, effects: alter(change.effects) };
  return change;
}
const emitsOf = (change: Change): Effects["emits"] => {
  if (change.kind === "progress") return change.effects.flatMap(({ emits }) => emits);
  return change.kind === "row" ? (change.effects?.emits ?? []) : [];
};

const brokenSettles: readonly Broken[] = [
  {
    name: "emitted events are lost",
    fails: ["effects: emitted events are there when the delivery is closed, in their order"],
    break: ({ ledger }) =>
      recording(ledger, { before: (change) => ({ change: altered(change, (one) => ({ ...one, emits: [] })) }) }),
  },
  {
    name: "effects happen whatever became of the delivery",
    fails: ["effects: an attempt that does not close its delivery has none"],
    break: ({ ledger, log }) =>
      recording(ledger, {
        before(change) {
          if (change.kind === "row" && change.to.state !== "closed") void log.append(emitsOf(change));
        },
      }),
  },
  {
    name: "effects happen backwards",
    fails: ["effects: several deliveries of one change have their effects in order"],
    break: ({ ledger }) =>
      recording(ledger, {
        before: (change) =>
          change.kind === "progress" ? { change: { ...change, effects: change.effects.toReversed() } } : undefined,
      }),
  },
  {
    name: "events are emitted before the fence is looked at",
    fails: ["effects: a lost change has no effects"],
    break: ({ ledger, log }) => ({
      ledger: {
        async record(session, changes) {
          await log.append(changes.flatMap(emitsOf));
          return ledger.record(session, changes);
        },
      },
    }),
  },
  {
    name: "state is set before the fence is looked at",
    fails: ["effects: a lost change has no effects"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before: (change) => {
          for (const { states } of store.subscriptions.values())
            altered(change, (one) => (states.set(one.state?.key ?? "", "early"), one));
          return undefined;
        },
      }),
  },
  {
    name: "a known event is refused",
    fails: ["effects: emitting a known event again is fine"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        after: (answer, change) => {
          const again =
            emitsOf(change).length > new Set(emitsOf(change).map(identityOf)).size || store.appended.size === 0;
          return again ? { ...answer, status: "refused" } : undefined;
        },
      }),
  },
  {
    name: "other content under a known identity is dropped in silence",
    fails: [
      "effects: emitting other content under a known identity is refused, and the change leaves nothing",
      "effects: two deliveries that emit other content under one identity: the second is named",
    ],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          const first = new Map(store.byIdentity as ReadonlyMap<string, Effects["emits"][number]>);
          const fits = (one: Effects["emits"][number]): boolean => {
            const known = first.get(identityOf(one)) ?? one;
            first.set(identityOf(one), known);
            return sameContent(known, one);
          };
          return { change: altered(change, (one) => ({ ...one, emits: one.emits.filter(fits) })) };
        },
      }),
  },
  {
    name: "a refused change leaves its state",
    fails: ["effects: emitting other content under a known identity is refused, and the change leaves nothing"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        after(answer, change) {
          const { states } = [...store.subscriptions.values()][0]!;
          if (answer.status === "refused") altered(change, (one) => (states.set("k", "1"), one));
          return undefined;
        },
      }),
  },
  {
    name: "a refusal names the first delivery of the change",
    fails: ["effects: two deliveries that emit other content under one identity: the second is named"],
    break: ({ ledger }) =>
      recording(ledger, {
        after: (answer, change) =>
          answer.refused && change.kind === "progress"
            ? { ...answer, refused: { ...answer.refused, position: change.effects[0]!.position } }
            : undefined,
      }),
  },
  {
    name: "one refused change refuses all",
    fails: ["effects: a refused change does not take the others with it"],
    break: ({ ledger }) => ({
      ledger: {
        async record(session, changes) {
          const answers = await ledger.record(session, changes);
          const refused = answers.find(({ status }) => status === "refused");
          return refused === undefined ? answers : answers.map(() => refused);
        },
      },
    }),
  },
  {
    name: "state cannot be deleted",
    fails: ["effects: state is set and deleted with the closing"],
    break: ({ ledger }) =>
      recording(ledger, {
        before: (change) => ({
          change: altered(change, ({ state, ...rest }) => (state?.value === undefined ? rest : { ...rest, state })),
        }),
      }),
  },
  {
    name: "writes that cannot be done are skipped",
    fails: ["effects: without the capability a write is refused as NOT_SUPPORTED, and the change leaves nothing"],
    break: ({ ledger }) =>
      recording(ledger, { before: (change) => ({ change: altered(change, (one) => ({ ...one, writes: [] })) }) }),
  },
  {
    name: "writes are promised, and skipped",
    fails: ["effects: with the capability writes stand or fall with the change"],
    break: ({ ledger }) => ({
      ledger: {
        ...recording(ledger, { before: (change) => ({ change: altered(change, (one) => ({ ...one, writes: [] })) }) })
          .ledger,
        capabilities: { ...ledger.capabilities, writes: true },
      },
    }),
  },
  {
    name: "only the first session's effects are kept",
    fails: ["effects: what several workers do in turn is all there"],
    break: ({ ledger }) =>
      recording(ledger, {
        before: (change, session) => ({
          change: session === 1 ? change : altered(change, (one) => ({ ...one, emits: [] })),
        }),
      }),
  },
];

const brokenAnnounce: readonly Broken[] = [
  {
    name: "announce waits for the settle",
    fails: ["announce: is in the log at once, and answers its place"],
    break: ({ ledger }) =>
      recording(ledger, {
        before: ({ kind }) => (kind === "announce" ? { session: -1 } : undefined),
        after: (answer, { kind }) =>
          kind === "announce"
            ? { ...answer, status: "ok", announced: { appended: undefined, diverged: false } }
            : undefined,
      }),
  },
  {
    name: "a different second content is told as the same",
    fails: ["announce: the first content stands, and a different second one is told as diverged"],
    break: ({ ledger }) =>
      recording(ledger, {
        after: (answer) =>
          answer.announced ? { ...answer, announced: { ...answer.announced, diverged: false } } : undefined,
      }),
  },
  {
    name: "announce is not fenced",
    fails: ["announce: under a lost fence nothing is appended"],
    break: ({ ledger, log }) => ({
      ledger: {
        async record(session, changes) {
          for (const change of changes) if (change.kind === "announce") await log.append([change.event]);
          return ledger.record(session, changes);
        },
      },
    }),
  },
  {
    name: "announce needs the slot, detached or not",
    fails: ["announce: a detached delivery announces though its slot has gone over"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before: (change, session) => {
          const slot =
            change.kind === "announce" && "delivery" in change.fence
              ? slotRowOf(store, change.fence.delivery)
              : undefined;
          return slot === undefined || slot.session === session ? undefined : { session: -1 };
        },
      }),
  },
];

const brokenOutbox: readonly Broken[] = [
  {
    name: "the outbox lists what is in the log already",
    fails: ["outbox: is always empty where log and ledger are one database"],
    break: ({ store }) => ({
      ledger: { outbox: async () => store.events.map((event) => ({ seq: event.position, event })) },
    }),
  },
  {
    name: "the outbox gives the newest first",
    foreign: true,
    fails: ["outbox: emitted and announced events wait there in the order of their commits, not in the log"],
    break: ({ ledger }) => ({
      ledger: { outbox: async (limit) => (await ledger.outbox(10_000)).toReversed().slice(0, limit) },
    }),
  },
  {
    name: "emitted events go past the outbox",
    foreign: true,
    fails: ["outbox: emitted and announced events wait there in the order of their commits, not in the log"],
    break: ({ ledger, log }) =>
      recording(ledger, {
        before(change) {
          void log.append(emitsOf(change));
          return undefined;
        },
      }),
  },
  {
    name: "what was relayed stays in the outbox",
    foreign: true,
    fails: ["outbox: the relay's record removes what it has appended, under its lease"],
    break: ({ ledger }) =>
      recording(ledger, {
        before: (change) => ({ change: change.kind === "relay" ? { ...change, done: [] } : change }),
      }),
  },
  {
    name: "a stale relay removes too",
    foreign: true,
    fails: ["outbox: the relay's record removes what it has appended, under its lease"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind === "relay") store.outbox = store.outbox.filter(({ seq }) => !change.done.includes(seq));
          return undefined;
        },
      }),
  },
  {
    name: "the outbox numbers its rows anew",
    foreign: true,
    fails: ["outbox: numbers are not given again after the relay has emptied it"],
    break: ({ ledger, store }) =>
      recording(ledger, { before: () => void (store.last.seq = Math.max(0, ...store.outbox.map(({ seq }) => seq))) }),
  },
  {
    name: "every announcement of one identity waits",
    foreign: true,
    fails: ["outbox: of what waits there the first content of an announced event stands"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        after(_, change) {
          if (change.kind === "announce") store.outbox.push({ seq: ++store.last.seq, event: change.event });
          return undefined;
        },
      }),
  },
];

export const brokenEffects: readonly Broken[] = [...brokenSettles, ...brokenAnnounce, ...brokenOutbox];
