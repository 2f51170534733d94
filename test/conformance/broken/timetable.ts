import type { DelayedEvent, Fired } from "../../../src/engine/timetable.ts";
import type { Ledger } from "../../../src/engine/ledger.ts";
import { identityOf, type Store } from "../../../src/engines/memory/store.ts";
import { recording, type Broken, type Parts } from "./sabotage.ts";

const earliest = (a: DelayedEvent, b: DelayedEvent): number => a.dueMs - b.dueMs;
const due = ({ delayed }: Store, nowMs: number, limit: number): DelayedEvent[] =>
  delayed
    .filter(({ dueMs }) => dueMs <= nowMs)
    .toSorted(earliest)
    .slice(0, limit);

/** Fires in two steps, between which others come. */
function inTwoSteps({ ledger, log, store }: Parts): Pick<Ledger, "fire"> {
  return {
    async fire(nowMs, limit): Promise<Fired> {
      const events = due(store, nowMs, limit);
      await Promise.resolve();
      for (const { event } of events) {
        await log.append([event]);
        await ledger.cancel(event);
      }
      return { fired: events.length, conflicts: [] };
    },
  };
}

const brokenDelays: readonly Broken[] = [
  {
    name: "a delayed event is a fact at once",
    fails: ["delay: an event waits, whole, and is no fact before its time"],
    break: ({ ledger, log }) => ({
      ledger: {
        async delay(events) {
          const answers = await ledger.delay(events);
          await log.append(events.map(({ event }) => event));
          return answers;
        },
      },
    }),
  },
  {
    name: "times are cut to whole milliseconds",
    fails: ["delay: an event waits, whole, and is no fact before its time"],
    break: ({ ledger }) => ({
      ledger: { delay: (events) => ledger.delay(events.map((one) => ({ ...one, dueMs: Math.floor(one.dueMs) }))) },
    }),
  },
  {
    name: "what was fired goes on waiting",
    fails: ["delay: at its time an event becomes a fact, once, and waits no longer"],
    break: ({ ledger, store }) => ({
      ledger: {
        async fire(nowMs, limit) {
          const before = store.delayed;
          const fired = await ledger.fire(nowMs, limit);
          store.delayed = before;
          return fired;
        },
      },
    }),
  },
  {
    name: "what is due becomes a fact in the order in which it was delayed",
    fails: ["delay: what is due at once becomes facts in the order of the times, then of the delays, a page at a time"],
    break: ({ ledger, store }) => ({
      ledger: {
        async fire(nowMs, limit) {
          store.delayed = store.delayed.map((one) => (one.dueMs <= nowMs ? { ...one, dueMs: 0 } : one));
          return ledger.fire(nowMs, limit);
        },
      },
    }),
  },
  {
    name: "the last time given stands",
    fails: ["delay: a known identity is answered as a duplicate, and its first time stands"],
    break: ({ ledger, store }) => ({
      ledger: {
        async delay(events) {
          const answers = await ledger.delay(events);
          const times = new Map(events.map(({ event, dueMs }) => [identityOf(event), dueMs]));
          store.delayed = store.delayed.map((one) => ({
            ...one,
            dueMs: times.get(identityOf(one.event)) ?? one.dueMs,
          }));
          return answers;
        },
      },
    }),
  },
  {
    name: "a refused delay leaves its first events",
    fails: ["delay: other content under an identity that waits is refused, and nothing of the call stays"],
    break: ({ ledger }) => ({
      ledger: {
        async delay(events) {
          const answers: { readonly duplicate: boolean }[] = [];
          for (const one of events) answers.push(...(await ledger.delay([one])));
          return answers;
        },
      },
    }),
  },
  {
    name: "what stands in the log is delayed all the same",
    fails: ["delay: an identity that stands in the log is a duplicate, or a conflict, and never waits"],
    break: ({ store }) => ({
      ledger: {
        async delay(events) {
          store.delayed.push(...events);
          return events.map(() => ({ duplicate: false }));
        },
      },
    }),
  },
  {
    name: "a conflict at its time stops those behind it",
    fails: ["delay: what was published meanwhile is not stated again; a conflict is told, and the others go on"],
    break: ({ log, store }) => ({
      ledger: {
        async fire(nowMs, limit) {
          const events = due(store, nowMs, limit);
          await log.append(events.map(({ event }) => event));
          return { fired: events.length, conflicts: [] };
        },
      },
    }),
  },
  {
    name: "a withdrawal goes by the id alone",
    fails: ["delay: a withdrawn event never becomes a fact; what is not there cannot be withdrawn"],
    break: ({ store }) => ({
      ledger: {
        async cancel({ id }) {
          const before = store.delayed.length;
          store.delayed = store.delayed.filter(({ event }) => event.id !== id);
          return store.delayed.length < before;
        },
      },
    }),
  },
  {
    name: "a withdrawal comes between the two steps of a firing",
    fails: ["delay: of a withdrawal and a firing at one moment one wins"],
    break: (parts) => ({
      ledger: {
        ...inTwoSteps(parts),
        async cancel(identity) {
          await Promise.resolve();
          return parts.ledger.cancel(identity);
        },
      },
    }),
  },
  {
    name: "two firings take the same events",
    fails: ["delay: two processes that fire at one moment state each fact once"],
    foreign: true,
    break: ({ store }) => ({
      ledger: {
        async fire(nowMs, limit) {
          const events = due(store, nowMs, limit);
          await Promise.resolve();
          store.delayed = store.delayed.filter((one) => !events.includes(one));
          for (const { event } of events) store.outbox.push({ seq: ++store.last.seq, event });
          return { fired: events.length, conflicts: [] };
        },
      },
    }),
  },
  {
    name: "delayed events are listed as they came",
    fails: ["delay: delayed events are listed by time, from one to the next, and by correlation"],
    break: ({ store }) => ({ ledger: { delayed: async ({ limit }) => store.delayed.slice(0, limit) } }),
  },
  {
    name: "delayed events of a delivery are forgotten",
    fails: [
      "delay: a delivery's delayed events wait when, and only when, it is closed",
      "delay: a delivery that delays other content under a known identity is refused, and leaves nothing",
    ],
    break: ({ ledger }) =>
      recording(ledger, {
        before: (change) =>
          change.kind === "progress"
            ? { change: { ...change, effects: change.effects.map((one) => ({ ...one, delayed: [] })) } }
            : undefined,
      }),
  },
];

const brokenTicks: readonly Broken[] = [
  {
    name: "schedules do not know their last tick",
    fails: ["tick: a schedule moves on from what was seen, with its facts"],
    break: () => ({ ledger: { ticked: async () => undefined } }),
  },
  {
    name: "a schedule moves whoever asks",
    fails: [
      "tick: whoever saw an older tick changes nothing",
      "tick: of two processes at one tick one states the fact",
    ],
    break: ({ ledger, store }) => ({
      ledger: { tick: (tick) => ledger.tick({ ...tick, seenMs: store.ticks.get(tick.schedule) }) },
    }),
  },
  {
    name: "a schedule moves before its facts are looked at",
    fails: ["tick: a fact that cannot be stated leaves the schedule where it was"],
    break: ({ ledger, store }) => ({
      ledger: {
        async tick(tick) {
          try {
            return await ledger.tick(tick);
          } finally {
            store.ticks.set(tick.schedule, tick.tickMs);
          }
        },
      },
    }),
  },
];

export const brokenTimetables: readonly Broken[] = [...brokenDelays, ...brokenTicks];
