import type { SubPlan } from "../../sim/checker/history.ts";

/** Runs of handlers are numbered over all processes: each has a stretch of numbers. */
export const runsPerLife = 1_000_000;
export const keys = 200;
export const publishers: readonly string[] = ["p1", "p2"];
export const workers: readonly string[] = ["w1", "w2", "w3"];

export const retry = { attemptsMax: 8, crashesMax: 5, backoff: [20] };

const common = {
  order: "key",
  onExhausted: "hold-key",
  attemptsMax: retry.attemptsMax,
  crashesMax: retry.crashesMax,
  writes: false,
  emits: false,
  announces: false,
  state: false,
  filterEvery: 0,
} as const;

/** What the checker is told of the subscriptions in worker.ts. */
export const plan: readonly SubPlan[] = [
  { ...common, name: "books", types: ["Fact", "Derived"], writes: true, state: true },
  { ...common, name: "mail", types: ["Fact"] },
  { ...common, name: "derive", types: ["Fact"], emits: true },
];

/** A file that an earlier version wrote has subscriptions of its own, which nobody works on here. */
export const isOurs = (name: string): boolean => plan.some((sub) => sub.name === name);
