import type { StepChange } from "../../../src/engine/journal.ts";
import type { Change } from "../../../src/engine/ledger.ts";
import { deliveryRows } from "../../../src/engines/memory/store.ts";
import { commanding, recording, type Broken } from "./sabotage.ts";

const steps = (change: Change, alter: (step: StepChange) => StepChange): { change: Change } => ({
  change: change.kind === "step" ? alter(change) : change,
});
const suspending = (change: Change, fields: object): { change: Change } => ({
  change:
    change.kind === "row" && change.to.state === "retrying" && change.to.waits === true
      ? { ...change, to: { ...change.to, ...fields } }
      : change,
});

const brokenSteps: readonly Broken[] = [
  {
    name: "names of steps lose their path",
    fails: ["step: a step is kept as it moves on, by its name, with its attempts, usage and value"],
    break: ({ ledger }) =>
      recording(ledger, { before: (change) => steps(change, (one) => ({ ...one, name: one.name.split("/")[0]! })) }),
  },
  {
    name: "the last value of a step stands",
    fails: ["step: what is done stays as it is, and is told to whoever would do it again"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind === "step") for (const step of store.steps.values()) step.state = "started";
        },
      }),
  },
  {
    name: "large values are loaded with the others",
    fails: ["step: a large value is loaded when it is asked for"],
    break: ({ ledger, store }) => ({
      ledger: {
        async steps(delivery, scope) {
          const found = await ledger.steps(delivery, scope);
          return found.map((step) => ({
            ...step,
            value: [...store.steps.values()].find(({ name }) => name === step.name)?.value,
          }));
        },
      },
    }),
  },
  {
    name: "steps are written under any token",
    fails: ["step: only the holder of the running row writes"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before: (change) => steps(change, (one) => ({ ...one, rowToken: deliveryRows(store)[0]?.rowToken ?? 0 })),
      }),
  },
  {
    name: "a redrive forgets all steps or none",
    fails: ["step: a redrive forgets the steps that it names, and no others"],
    break: ({ ledger }) => commanding(ledger, "redrive", { before: () => ({ drop: [] }) }),
  },
  {
    name: "a fresh redrive keeps its scope",
    fails: ["step: steps outlive attempt, crash and redrive; a fresh redrive has none of them"],
    break: ({ ledger }) => commanding(ledger, "redrive", { before: () => ({ fresh: false }) }),
  },
];

const brokenWaits: readonly Broken[] = [
  {
    name: "nobody counts what waits",
    fails: ["wait: a delivery that waits holds no process, is counted, and is due at its time"],
    break: ({ ledger }) => ({
      ledger: { tally: async () => (await ledger.tally()).map((one) => ({ ...one, waiting: 0 })) },
    }),
  },
  {
    name: "signals are taken for every key",
    fails: [
      "wait: a signal of an awaited type and key, from behind, makes the delivery due at once, and is remembered",
    ],
    break: ({ ledger }) => ({
      ledger: { signal: (signal) => ledger.signal({ ...signal, key: "order" }) },
    }),
  },
  {
    name: "a signal to a delivery that runs is forgotten",
    fails: ["wait: a signal that comes while the handler runs makes it due as soon as it waits"],
    break: ({ ledger, store }) => ({
      ledger: {
        async signal(signal) {
          const woken = await ledger.signal(signal);
          for (const row of deliveryRows(store)) row.woken = false;
          return woken;
        },
      },
    }),
  },
  {
    name: "a signal wakes what failed",
    fails: ["wait: a signal does not hasten what failed"],
    break: ({ ledger, store }) => ({
      ledger: {
        async signal(signal) {
          for (const row of deliveryRows(store)) if (row.state === "retrying") row.waits = true;
          return ledger.signal(signal);
        },
      },
    }),
  },
  {
    name: "what was awaited once is awaited for ever",
    fails: ["wait: what is done, dropped, closed or looked for elsewhere is awaited no longer"],
    break: ({ store }) => ({
      ledger: { awaited: async () => (store.steps.size > 0 ? ["Paid", "Refunded"] : []) },
    }),
  },
  {
    name: "what waits never lets go of its key",
    fails: ["wait: a delivery that lets go of its key while it waits lets the next one run"],
    break: ({ ledger }) => recording(ledger, { before: (change) => suspending(change, { holds: true }) }),
  },
];

const brokenApprovals: readonly Broken[] = [
  {
    name: "approvals of closed deliveries are listed",
    fails: ["approval: approvals that wait are listed by their delivery, from one to the next"],
    break: ({ ledger }) => {
      const seen = new Map<string, Awaited<ReturnType<typeof ledger.waits>>[number]>();
      return {
        ledger: {
          async waits(query) {
            for (const one of await ledger.waits(query)) seen.set(JSON.stringify(one), one);
            return query.after === undefined ? [...seen.values()].slice(0, query.limit) : ledger.waits(query);
          },
        },
      };
    },
  },
  {
    name: "the last answer stands",
    fails: ["approval: the first answer is the step's value, wakes its delivery, and is a fact"],
    break: ({ ledger, store }) =>
      commanding(ledger, "answer", {
        before({ step }) {
          for (const one of store.steps.values()) {
            if (one.name !== step || one.state !== "done") continue;
            one.state = "waiting";
            one.wait = { kind: "approval", dueMs: undefined, types: [], key: undefined, after: 0, about: undefined };
          }
        },
      }),
  },
  {
    name: "the handler's own end of an approval stands against an answer",
    fails: ["approval: an answer that came first stands against the handler's own end of it"],
    break: ({ ledger, store }) =>
      recording(ledger, {
        before(change) {
          if (change.kind !== "step" || change.to.state !== "done") return;
          for (const one of store.steps.values()) if (one.name === change.name) one.state = "started";
        },
      }),
  },
];

export const brokenJournals: readonly Broken[] = [...brokenSteps, ...brokenWaits, ...brokenApprovals];
