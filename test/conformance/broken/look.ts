import { Bell, Waker } from "../../../src/engines/memory/bell.ts";
import type { StoredEvent } from "../../../src/event/stored-event.ts";
import type { Broken } from "./sabotage.ts";

const never = new AbortController().signal;
const yearMs = 365 * 24 * 3_600_000;

export const brokenLooks: readonly Broken[] = [
  {
    name: "fetch sorts its answers",
    fails: ["fetch: answers in the order asked, undefined for what is not there"],
    break: ({ log }) => ({
      log: { fetch: (refs) => log.fetch(refs.toSorted((a, b) => a.position - b.position)) },
    }),
  },
  {
    name: "fetch answers from a cache what retention took",
    foreign: true,
    fails: ["fetch: answers undefined for what their retention took"],
    break({ log }) {
      const cache: StoredEvent[] = [];
      return {
        log: {
          async append(batch) {
            const places = await log.append(batch);
            cache.push(...(await log.fetch(places)).map((found) => found!));
            return places;
          },
          fetch: async (refs) =>
            refs.map((ref) => cache.find(({ slot, position }) => slot === ref.slot && position === ref.position)),
        },
      };
    },
  },
  {
    name: "events fade after a year",
    fails: ["fetch: where retention is ours every event stays"],
    break: ({ log, env }) => ({
      log: {
        fetch: async (refs) =>
          (await log.fetch(refs)).map((found) =>
            found !== undefined && env.now() - found.recordedMs > yearMs ? undefined : found,
          ),
      },
    }),
  },
  {
    name: "wake is deaf",
    fails: ["wake: an append of another process wakes", "wake: an append between two calls is not missed"],
    break({ env, log }) {
      const deaf = new Waker(new Bell(), env);
      const close = async (): Promise<void> => (deaf.close(), log.close());
      return { log: { wake: (maxMs, signal) => deaf.wait(maxMs, signal), close } };
    },
  },
  {
    name: "wake hears only what comes while it waits",
    fails: ["wake: an append between two calls is not missed"],
    break: ({ store, env }) => ({ log: { wake: (maxMs, signal) => new Waker(store.bell, env).wait(maxMs, signal) } }),
  },
  {
    name: "wake waits for ever",
    fails: ["wake: ends after maxMs in any case"],
    break: ({ log }) => ({ log: { wake: (_, signal) => log.wake(1_000_000, signal) } }),
  },
  {
    name: "wake does not look at its signal",
    fails: ["wake: ends at once when the signal aborts, without an error"],
    break: ({ log }) => ({ log: { wake: (maxMs) => log.wake(maxMs, never) } }),
  },
  {
    name: "an abort rejects the wake",
    fails: ["wake: ends at once when the signal aborts, without an error"],
    break: ({ log }) => ({
      log: {
        async wake(maxMs, signal) {
          await log.wake(maxMs, signal);
          signal.throwIfAborted();
        },
      },
    }),
  },
  {
    name: "close closes nothing",
    fails: ["wake: close ends it, and after close it ends at once", "close: a closed log refuses every call"],
    break: () => ({ log: { close: async () => undefined } }),
  },
  {
    name: "count counts duplicates",
    fails: ["count: says how many events of each named type were appended"],
    break({ log, store }) {
      return {
        log: {
          async append(batch) {
            const places = await log.append(batch);
            for (const [i, { duplicate }] of places.entries()) {
              const { type } = batch[i]!;
              if (duplicate) store.appended.set(type, store.appended.get(type)! + 1);
            }
            return places;
          },
        },
      };
    },
  },
  {
    name: "a bound lies below the truth",
    foreign: true,
    fails: ["count: says how many events of each named type were appended"],
    break: ({ log }) => ({
      log: {
        async count(types) {
          const { heads, appended } = await log.count(types);
          return { heads, appended: new Map([...appended].map(([type, count]) => [type, Math.min(count, 3)])) };
        },
      },
    }),
  },
  {
    name: "count without names speaks of nothing",
    fails: ["count: without names it speaks of all types"],
    break: ({ log }) => ({
      log: {
        async count(types = []) {
          const { heads, appended } = await log.count(types);
          return { heads, appended: types.length === 0 ? new Map() : appended };
        },
      },
    }),
  },
  {
    name: "heads lag by one",
    fails: ["count: heads of all slots"],
    break: ({ log }) => ({
      log: {
        async count(types) {
          const { heads, appended } = await log.count(types);
          return { heads: new Map([...heads].map(([slot, head]) => [slot, Math.max(0, head - 1)])), appended };
        },
      },
    }),
  },
  {
    name: "counts are cached, heads are not",
    fails: ["count: heads and counts are one snapshot"],
    break({ log }) {
      let cached: ReadonlyMap<string, number> | undefined;
      return {
        log: {
          async count(types) {
            const { heads, appended } = await log.count(types);
            cached ??= appended;
            return { heads, appended: cached };
          },
        },
      };
    },
  },
  {
    name: "close drops appends in flight",
    fails: ["close: waits for appends in flight"],
    break: ({ log }) => ({
      log: {
        async append(batch) {
          await Promise.resolve();
          return log.append(batch);
        },
      },
    }),
  },
];
