import type { Delta } from "../../../src/engine/deltas.ts";
import { MemoryDeltas } from "../../../src/engines/memory/deltas.ts";
import type { DeliveryQuery, SubscriptionTally } from "../../../src/engine/ledger.ts";
import { FactlogError, hasCode } from "../../../src/errors.ts";
import { append } from "../../../src/engines/memory/event-log.ts";
import { byName, commanding, rowOf, rowsOf, slotsOf, type Broken, type Parts, type Sabotage } from "./sabotage.ts";

const asking = ({ ledger }: Parts, alter: (query: DeliveryQuery) => DeliveryQuery): Sabotage => ({
  ledger: { deliveries: (query) => ledger.deliveries(alter(query)) },
});
const telling = ({ ledger }: Parts, alter: (tally: SubscriptionTally) => Partial<SubscriptionTally>): Sabotage => ({
  ledger: { tally: async () => (await ledger.tally()).map((tally) => ({ ...tally, ...alter(tally) })) },
});

const brokenDeliveries: readonly Broken[] = [
  {
    name: "due rows come by position",
    fails: ["deliveries: due rows come by due time, of the named slots, up to the limit"],
    break: ({ ledger }) => ({
      ledger: {
        async deliveries(query) {
          const rows = await ledger.deliveries(query);
          return query.kind === "due" ? rows.toSorted((a, b) => a.position - b.position) : rows;
        },
      },
    }),
  },
  {
    name: "due rows of all slots come",
    fails: ["deliveries: due rows come by due time, of the named slots, up to the limit"],
    break: (parts) =>
      asking(parts, (query) => (query.kind === "due" ? { ...query, slots: slotsOf(parts.store) } : query)),
  },
  {
    name: "a page of rows skips one at its edge",
    fails: ["deliveries: rows of a state come by subscription, slot and position, page by page"],
    break: (parts) =>
      asking(parts, (query) =>
        query.kind === "state" && query.after !== undefined
          ? { ...query, after: { ...query.after, position: query.after.position + 2 } }
          : query,
      ),
  },
  {
    name: "filters are ignored",
    fails: ["deliveries: rows of a state are found by subscription, key and correlation"],
    break: (parts) =>
      asking(parts, (query) => {
        if (query.kind !== "state") return query;
        const { correlationId: _, ...rest } = query;
        return rest;
      }),
  },
  {
    name: "retrying rows pass for ready ones",
    fails: ["deliveries: each row is in one state"],
    break: (parts) =>
      asking(parts, (query) =>
        query.kind === "state" && query.state === "ready" ? { ...query, state: "retrying" } : query,
      ),
  },
  {
    name: "a row is found under any generation",
    fails: ["deliveries: one is found by its reference, or none"],
    break: (parts) =>
      asking(parts, (query) => (query.kind === "one" ? { ...query, delivery: { ...query.delivery, gen: 1 } } : query)),
  },
];

const brokenDefine: readonly Broken[] = [
  {
    name: "every definition says it created",
    fails: ["define: creates a subscription once, at its start"],
    break: ({ ledger }) => commanding(ledger, "define", { after: () => ({ created: true }) }),
  },
  {
    name: "looks for the name, and creates later",
    fails: ["define: of concurrent definitions of one name one creates"],
    break: ({ ledger, store }) => ({
      ledger: {
        async command(given) {
          if (given.kind !== "define" || byName(store, given.name) !== undefined) return ledger.command(given);
          await Promise.resolve();
          const found = [...store.subscriptions.values()].find(({ name }) => name === given.name);
          if (found !== undefined) found.name += " (another)";
          return ledger.command(given);
        },
      },
    }),
  },
  {
    name: "the first definition stands for ever",
    fails: ["define: another definition is a new revision"],
    break: ({ ledger, store }) =>
      commanding(ledger, "define", {
        before: ({ name, definition }) => ({
          definition: store.subscriptions.get(byName(store, name) ?? 0)?.revisions[0] ?? definition,
        }),
      }),
  },
  {
    name: "the order of the types counts",
    fails: ["define: types are a set"],
    break: ({ ledger }) =>
      commanding(ledger, "define", {
        before: ({ definition }) => ({ definition: { ...definition, crashesMax: definition.types[0]!.length } }),
      }),
  },
  {
    name: "whoever defines last is the newest",
    fails: ["define: an older definition answers its number and stays older, unless it is reinstated"],
    break: ({ ledger }) => commanding(ledger, "define", { before: () => ({ reinstate: true }) }),
  },
  {
    name: "nothing is reinstated",
    fails: ["define: an older definition answers its number and stays older, unless it is reinstated"],
    break: ({ ledger }) => commanding(ledger, "define", { before: () => ({ reinstate: false }) }),
  },
  {
    name: "added types count from the beginning",
    fails: ["define: types that a newest revision adds count from its start"],
    break: ({ ledger, store }) =>
      commanding(ledger, "define", {
        before: ({ name }) => (byName(store, name) === undefined ? undefined : { start: new Map() }),
      }),
  },
  {
    name: "a type that comes back is counted twice",
    fails: ["define: a type that comes back counts anew, and what it matched before stays counted"],
    break: ({ ledger, store }) =>
      commanding(ledger, "define", {
        after: (_, { baseline }) => {
          for (const { types } of store.subscriptions.values()) {
            for (const [type, entry] of types) entry.baseline = baseline.get(type) ?? entry.baseline;
          }
        },
      }),
  },
  {
    name: "workers of the older revision keep their slots",
    fails: ["define: a newest revision that adds types takes the slots from workers of the older one"],
    break({ ledger, store }) {
      let before: (readonly [object, object])[] = [];
      return commanding(ledger, "define", {
        before: () => void (before = slotsOf(store).map((slot) => [slot, { ...slot }])),
        after: () => before.forEach(([slot, copy]) => Object.assign(slot, copy)),
      });
    },
  },
  {
    name: "a change of slots is passed over",
    fails: ["define: slots never change"],
    break: ({ ledger }) =>
      commanding(ledger, "define", { before: ({ definition }) => ({ definition: { ...definition, slots: "all" } }) }),
  },
  {
    name: "renewing starts over",
    fails: ["define: renewing keeps progress and rows"],
    break: ({ ledger, store }) =>
      commanding(ledger, "define", {
        after: ({ newest }) => void (newest > 1 && slotsOf(store).forEach((slot) => (slot.low = 0))),
      }),
  },
];

const brokenOperate: readonly Broken[] = [
  {
    name: "redrive keeps what was charged",
    fails: ["redrive: a dead row is due again, with the same identity and scope and nothing charged"],
    break: ({ ledger, store }) =>
      commanding(ledger, "redrive", { after: (_, { delivery }) => void (rowOf(store, delivery)!.failures = 8) }),
  },
  {
    name: "redrive forgets the failures",
    fails: ["redrive: the history of failures stays"],
    break: ({ ledger, store }) =>
      commanding(ledger, "redrive", { after: (_, { delivery }) => void (rowOf(store, delivery)!.history = []) }),
  },
  {
    name: "redrive and discard do not compare what was seen",
    fails: [
      "redrive: of two that saw the same row one wins",
      "redrive: only a dead row as it was seen, else CONFLICT; none at all is NOT_FOUND; both change nothing",
    ],
    break: ({ ledger, store }) =>
      commanding(ledger, "redrive", {
        before({ delivery, rowToken }) {
          const row = rowOf(store, delivery);
          if (row !== undefined) Object.assign(row, { state: "dead", rowToken });
          return undefined;
        },
      }),
  },
  {
    name: "redrive takes the key back",
    fails: ["redrive: a row that did not hold its key does not hold it again"],
    break: ({ ledger, store }) =>
      commanding(ledger, "redrive", { after: (_, { delivery }) => void (rowOf(store, delivery)!.holds = true) }),
  },
  {
    name: "what stopped stays stopped",
    fails: ["redrive: brings a stopped subscription back, with the last row that stopped it"],
    break(parts) {
      const stopped = new Set<number>();
      return telling(parts, ({ sub, state }) => {
        if (state === "stopped") stopped.add(sub);
        return { state: stopped.has(sub) ? "stopped" : state };
      });
    },
  },
  {
    name: "the first redrive brings a stopped subscription back",
    fails: ["redrive: brings a stopped subscription back, with the last row that stopped it"],
    break: ({ ledger, store }) =>
      commanding(ledger, "redrive", { after: () => rowsOf(store).forEach((row) => (row.stop = false)) }),
  },
  {
    name: "discard leaves the next of the key held",
    fails: ["discard: a dead row is closed as discarded, and the next of its key goes on"],
    break: ({ ledger, store }) =>
      commanding(ledger, "discard", {
        after: () => rowsOf(store).forEach((row) => row.state === "ready" && (row.state = "held")),
      }),
  },
  {
    name: "refused commands are audited too",
    fails: ["command: its audit event exists if and only if it succeeded"],
    break: ({ ledger, store, env }) => ({
      ledger: {
        async command(given) {
          if (given.kind !== "define") append(store, [given.audit], env.now());
          return ledger.command(given);
        },
      },
    }),
  },
  {
    name: "commands are not audited",
    fails: ["command: its audit event exists if and only if it succeeded"],
    break: ({ ledger, store }) => ({
      ledger: {
        async command(given) {
          const result = await ledger.command(given);
          if (given.kind !== "define") store.events.pop();
          return result;
        },
      },
    }),
  },
  {
    name: "commands act first, and audit then",
    fails: ["command: whose audit event cannot be stored does not succeed"],
    break: ({ ledger }) => ({
      ledger: {
        async command(given) {
          try {
            return await ledger.command(given);
          } catch (error) {
            if (!hasCode(error, "ID_CONFLICT") || given.kind === "define") throw error;
            await ledger.command({ ...given, audit: { ...given.audit, id: "late" } });
            throw error;
          }
        },
      },
    }),
  },
  {
    name: "retire only hides the name",
    fails: ["retire: removes the subscription with its progress and rows, and frees its name"],
    break: ({ ledger }) => ({
      ledger: {
        command: (given) =>
          ledger.command(given.kind === "retire" ? { ...given, kind: "rename", to: `retired ${given.name}` } : given),
      },
    }),
  },
  {
    name: "retire does not look who serves",
    fails: ["retire: CONFLICT while a session serves it"],
    break: ({ ledger, store }) =>
      commanding(ledger, "retire", { before: () => store.sessions.forEach((session) => (session.serves = [])) }),
  },
  {
    name: "rename makes another subscription",
    fails: ["rename: keeps everything under the new name"],
    break: ({ ledger, store }) =>
      commanding(ledger, "rename", {
        after: ({ sub }) => void store.subscriptions.set(sub, { ...store.subscriptions.get(sub)!, slots: new Map() }),
      }),
  },
  {
    name: "rename takes a name away from another",
    fails: ["rename: CONFLICT where the name is taken, NOT_FOUND where there is nothing to rename"],
    break: ({ ledger, store }) =>
      commanding(ledger, "rename", {
        before({ to }) {
          const taken = store.subscriptions.get(byName(store, to) ?? 0);
          if (taken !== undefined) taken.name = "(another)";
          return undefined;
        },
      }),
  },
  {
    name: "nothing to rename is no error",
    fails: ["rename: CONFLICT where the name is taken, NOT_FOUND where there is nothing to rename"],
    break: ({ ledger, store }) =>
      commanding(ledger, "rename", {
        before({ name }) {
          if (byName(store, name) === undefined) throw new FactlogError("CONFLICT", "no such name");
          return undefined;
        },
      }),
  },
];

const brokenTally: readonly Broken[] = [
  {
    name: "dead rows are left out of the tally",
    fails: ["tally: equals what was done, at every point"],
    break: (parts) => telling(parts, ({ rows }) => ({ rows: { ...rows, dead: 0 } })),
  },
  {
    name: "closing a row is not counted",
    fails: ["tally: equals what was done, at every point"],
    break: ({ ledger, store }) => ({
      ledger: {
        async record(session, changes) {
          const answers = await ledger.record(session, changes);
          for (const [i, change] of changes.entries()) {
            if (change.kind === "row" && answers[i]!.status === "ok" && change.to.state === "closed")
              slotsOf(store)[0]!.outcomes.done--;
          }
          return answers;
        },
      },
    }),
  },
  {
    name: "crashed rows count as running",
    fails: ["tally: stays exact through crashes and take-over"],
    break: (parts) =>
      telling(parts, ({ rows }) => {
        const crashed = rowsOf(parts.store).filter(({ state, crashes }) => state === "ready" && crashes > 0).length;
        return { rows: { ...rows, ready: rows.ready - crashed, running: rows.running + crashed } };
      }),
  },
  {
    name: "the tally ends after the first subscription",
    fails: ["tally: shows every subscription, and of each slot its holder and progress"],
    break: ({ ledger }) => ({ ledger: { tally: async () => (await ledger.tally()).slice(0, 1) } }),
  },
  {
    name: "the dead count as open",
    fails: ["tally: the oldest open row, dead ones left out, and what is in flight"],
    break: (parts) =>
      telling(parts, () => ({
        oldestRowMs: rowsOf(parts.store)
          .map(({ atMs }) => atMs)
          .toSorted((a, b) => a - b)[0],
      })),
  },
  {
    name: "what left sessions had in flight is still counted",
    fails: ["tally: the oldest open row, dead ones left out, and what is in flight"],
    break(parts) {
      let most = 0;
      return telling(parts, ({ inFlight }) => ({ inFlight: (most = Math.max(most, inFlight)) }));
    },
  },
  {
    name: "every dead row blocks a key",
    fails: ["tally: blocked keys are those that dead rows hold"],
    break: (parts) => telling(parts, ({ rows }) => ({ blockedKeys: rows.dead })),
  },
];

export const brokenEngines: readonly Broken[] = [
  {
    name: "an engine says too much about itself",
    fails: ["engine: describes itself in one line"],
    break: () => ({ engine: { description: "line 1\nline 2" } }),
  },
  {
    name: "inspection cries wolf",
    fails: ["engine: inspection finds nothing wrong with a store that is well"],
    break: () => ({ engine: { inspect: async () => [{ check: "wolf", ok: false, message: "wolf!" }] } }),
  },
  {
    name: "the log has more slots than the ledger",
    fails: ["engine: log and ledger agree on the number of slots"],
    break: ({ log }) => ({ log: { capabilities: { ...log.capabilities, slots: 9 } } }),
  },
];

const deltasSaid =
  "deltas: what one process tells, the others hear, in order, as it was told, and itself not, until they listen no more";
const brokenDeltas: readonly Broken[] = [
  {
    name: "deltas come back to whoever told them",
    fails: [deltasSaid],
    break: ({ store }) => {
      const sound = new MemoryDeltas(store.ears);
      const tell = (deltas: readonly Delta[]): void => {
        for (const { hear } of store.ears) for (const delta of deltas) hear(delta);
      };
      return { engine: { deltas: { tell, listen: (hear) => sound.listen(hear) } } };
    },
  },
  {
    name: "deltas of others are not heard",
    fails: [deltasSaid],
    break: () => ({ engine: { deltas: { tell: () => {}, listen: () => () => {} } } }),
  },
];

export const brokenOutside: readonly Broken[] = [
  ...brokenDeltas,
  ...brokenDeliveries,
  ...brokenDefine,
  ...brokenOperate,
  ...brokenTally,
];
