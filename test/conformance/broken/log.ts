import { MemoryLog } from "../../../src/engines/memory/event-log.ts";
import { createStore, identityOf } from "../../../src/engines/memory/store.ts";
import type { Appended } from "../../../src/engine/event-log.ts";
import type { EncodedEvent } from "../../../src/event/stored-event.ts";
import { reading, type Broken } from "./sabotage.ts";

const brokenAppend: readonly Broken[] = [
  {
    name: "places are answered backwards",
    fails: ["append: places come in the order of the batch"],
    break: ({ log }) => ({ log: { append: async (batch) => (await log.append(batch)).toReversed() } }),
  },
  {
    name: "an empty batch leaves a marker",
    fails: ["append: an empty batch stores nothing"],
    break: ({ log }) => ({
      log: {
        async append(batch) {
          const marker = {
            source: "marker",
            id: "marker",
            type: "marker",
            key: undefined,
            group: undefined,
            timeMs: 0,
          };
          const rest = { attributes: "", data: "", version: 1, schema: "", plain: true, crc: 0 };
          if (batch.length === 0) await log.append([{ ...marker, ...rest }]);
          return log.append(batch);
        },
      },
    }),
  },
  {
    name: "data are parsed and printed again",
    fails: ["append: every field is kept as it was given"],
    break: ({ log }) => ({
      log: {
        append: (batch) => log.append(batch.map((one) => ({ ...one, data: JSON.stringify(JSON.parse(one.data)) }))),
      },
    }),
  },
  {
    name: "the slot follows the position, not the key",
    fails: ["append: events of one key share a slot"],
    break: ({ log }) => ({
      log: {
        append: async (batch) => (await log.append(batch)).map((place) => ({ ...place, slot: place.position % 4 })),
      },
    }),
  },
  {
    name: "positions count down",
    fails: ["append: positions of a slot grow in the order of the commits"],
    break: ({ log }) => ({
      log: {
        append: async (batch) =>
          (await log.append(batch)).map((place) => ({ ...place, position: 1_000 - place.position })),
      },
    }),
  },
  {
    name: "positions are counted per slot",
    fails: ["append: with a total order positions grow over all slots"],
    break: ({ log, store }) => ({
      log: {
        async append(batch) {
          const places = await log.append(batch);
          const rank = (place: Appended): number =>
            store.events.filter(({ slot, position }) => slot === place.slot && position <= place.position).length;
          return places.map((place) => ({ ...place, position: rank(place) }));
        },
      },
    }),
  },
  {
    name: "append forgets what it has stored",
    fails: [
      "append: a known identity with the same content answers its first place",
      "append: a known identity with other content is refused, and nothing of the batch is stored",
      "append: of concurrent calls with one identity one stores it",
    ],
    break: ({ log, store }) => ({
      log: {
        append(batch) {
          store.byIdentity.clear();
          return log.append(batch);
        },
      },
    }),
  },
  {
    name: "a batch is stored up to the event that is refused",
    fails: ["append: a known identity with other content is refused, and nothing of the batch is stored"],
    break: ({ log }) => ({
      log: {
        async append(batch) {
          const places: Appended[] = [];
          for (const one of batch) places.push(...(await log.append([one])));
          return places;
        },
      },
    }),
  },
  {
    name: "identities are looked up only before the batch",
    fails: ["append: a repeat within one batch is known"],
    break: ({ log, store }) => ({
      log: {
        async append(batch) {
          const known = new Map(store.byIdentity);
          const places: Appended[] = [];
          for (const one of batch) {
            store.byIdentity.clear();
            for (const [identity, first] of known) store.byIdentity.set(identity, first);
            places.push(...(await log.append([one])));
          }
          return places;
        },
      },
    }),
  },
  {
    name: "a shared commit shares its refusal",
    fails: ["append: a refused call does not take concurrent calls with it"],
    break({ log }) {
      let waiting: EncodedEvent[] = [];
      let commit: Promise<readonly Appended[]> | undefined;
      return {
        log: {
          async append(batch) {
            const from = waiting.length;
            waiting.push(...batch);
            commit ??= Promise.resolve().then(() => {
              const all = waiting;
              [waiting, commit] = [[], undefined];
              return log.append(all);
            });
            return (await commit).slice(from, from + batch.length);
          },
        },
      };
    },
  },
  {
    name: "a log that says it does not dedupe does",
    foreign: true,
    fails: ["append: without dedupe a known identity is appended again"],
    break({ log }) {
      const known = new Map<string, Appended>();
      return {
        log: {
          async append(batch) {
            const places: Appended[] = [];
            for (const one of batch) {
              const first = known.get(identityOf(one));
              const [place] = first === undefined ? await log.append([one]) : [{ ...first, duplicate: true }];
              known.set(identityOf(one), place!);
              places.push(place!);
            }
            return places;
          },
        },
      };
    },
  },
  {
    name: "the identity is the id alone",
    fails: ["append: an identity is source and id together"],
    break: ({ log }) => ({ log: { append: (batch) => log.append(batch.map((one) => ({ ...one, source: "any" }))) } }),
  },
  {
    name: "append answers and stores nothing",
    fails: ["append: what resolved is there for other processes and after all have closed"],
    break: ({ env }) => ({ log: { append: (batch) => new MemoryLog(createStore(4), env).append(batch) } }),
  },
];

const brokenRead: readonly Broken[] = [
  {
    name: "read is never at the head",
    fails: ["read: an empty log is at its head"],
    break: ({ log }) => reading(log, () => ({ atHead: false })),
  },
  {
    name: "read gives all slots, named or not",
    fails: ["read: slots ascend, and only named slots are read"],
    break: ({ log }) => ({
      log: {
        read: (request) =>
          log.read({
            ...request,
            after: new Map([...[0, 1, 2, 3].map((slot) => [slot, 0] as const), ...request.after]),
          }),
      },
    }),
  },
  {
    name: "read gives slot after slot",
    fails: ["read: with a total order events ascend over all slots"],
    break: ({ log }) => reading(log, ({ events }) => ({ events: events.toSorted((a, b) => a.slot - b.slot) })),
  },
  {
    name: "read takes one position for all slots",
    fails: ["read: each slot goes on after its own position"],
    break: ({ log }) => ({
      log: {
        read(request) {
          const least = Math.min(...request.after.values());
          return log.read({ ...request, after: new Map([...request.after.keys()].map((slot) => [slot, least])) });
        },
      },
    }),
  },
  {
    name: "the edge of a page skips one",
    fails: ["read: pages of every size give each event once", "read: scannedTo leaves no matching event out"],
    break: ({ log }) =>
      reading(log, ({ scannedTo, atHead }) => ({
        scannedTo: atHead ? scannedTo : new Map([...scannedTo].map(([slot, to]) => [slot, to + 1])),
      })),
  },
  {
    name: "read takes a page without matches for the head",
    fails: ["read: gets on and finds what is rare, however little it looks at in one call"],
    break: ({ log }) => reading(log, ({ events, atHead }) => ({ atHead: atHead || events.length === 0 })),
  },
  {
    name: "read has looked only at what matches",
    fails: ["read: other types count as looked at"],
    break: ({ log }) =>
      reading(log, ({ events }, { after }) => ({
        scannedTo: new Map(
          [...after].map(([slot, start]) => [slot, Math.max(start, ...events.map(({ position }) => position))]),
        ),
      })),
  },
  {
    name: "scannedTo runs ahead of the truth",
    fails: ["read: nothing appears later at or below scannedTo"],
    break: ({ log }) =>
      reading(log, ({ scannedTo, atHead }) => ({
        scannedTo: atHead ? new Map([...scannedTo].map(([slot, to]) => [slot, to + 5])) : scannedTo,
      })),
  },
  {
    name: "the recorded time is that of the reading",
    fails: ["read: an event never changes"],
    break: ({ log, env }) =>
      reading(log, ({ events }) => ({ events: events.map((one) => ({ ...one, recordedMs: env.now() })) })),
  },
];

const emptyOutbox = { depth: 0, oldestMs: 0, refused: 0 };
const brokenRelay: readonly Broken[] = [
  {
    name: "a log without an outbox has a relay",
    fails: ["relay: is there where the log has an outbox, and only there"],
    break: () => ({ log: { relay: async () => ({ carried: 0, more: false }), outbox: async () => emptyOutbox } }),
  },
  {
    name: "the relay moves what is not there",
    fails: ["relay: moves nothing out of an empty outbox, by how many it is called at once"],
    break: ({ log }) => ({
      log: {
        capabilities: { ...log.capabilities, outbox: true },
        relay: async () => ({ carried: 1, more: false }),
        outbox: async () => emptyOutbox,
      },
    }),
  },
];

export const brokenLogs: readonly Broken[] = [...brokenAppend, ...brokenRead, ...brokenRelay];
