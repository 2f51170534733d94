import { Random } from "./random.ts";
import type { Limits } from "../src/index.ts";
import type { SubPlan } from "./checker/history.ts";

/** Every kind of fault; over a whole run each must have happened. */
export const faultKinds = [
  "crash",
  "crash-at-commit",
  "killer-event",
  "pause",
  "leave",
  "join",
  "clock-jump",
  "wake-lost",
  "store-busy",
  "store-full",
  "unknown-applied",
  "unknown-lost",
  "handler-failed",
  "handler-slow",
  "handler-long",
  "handler-hung",
  "non-retryable",
  "retry-after",
  "defer",
  "outage",
  "redrive",
  "discard",
  "redefine",
  "group-paused",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export type StoreKind = "memory" | "sqlite" | "foreign+memory" | "foreign+sqlite";

export interface SubTraits extends SubPlan {
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly backoffMs: readonly number[];
  readonly limits: Limits | undefined;
}
/** How often what goes wrong, per occasion: drawn anew for each seed, and often 0. */
export interface Rates {
  readonly fail: number;
  readonly slow: number;
  readonly long: number;
  readonly hang: number;
  readonly nonRetryable: number;
  readonly retryAfter: number;
  readonly defer: number;
  readonly outage: number;
  readonly wakeLost: number;
  readonly busy: number;
  readonly full: number;
  readonly unknown: number;
  readonly crashAtCommit: number;
}
/** What a seed is: drawn once, before anything runs. */
export interface Plan {
  readonly seed: number;
  readonly ops: number;
  readonly store: StoreKind;
  readonly slots: number;
  readonly leaseMs: number;
  readonly workers: number;
  readonly clients: number;
  readonly keys: number;
  /** Mean wait between two acts of the clients. */
  readonly publishEveryMs: number;
  readonly poison: number;
  readonly killers: number;
  readonly portDelayMs: number;
  /** Requests in flight reach the store even if their sender is dead or stands still. */
  readonly remote: boolean;
  /** The death of a process is noticed at once. */
  readonly instantDeath: boolean;
  readonly skewMaxMs: number;
  readonly rates: Rates;
  /** Mean wait between two faults that befall processes; 0: none. */
  readonly faultEveryMs: number;
  readonly faults: Readonly<Record<"crash" | "pause" | "leave" | "join" | "clock-jump" | "redefine", number>>;
  readonly operateEveryMs: number;
  /** Facts belong to groups, which take turns. */
  readonly grouped: boolean;
  /** Mean wait between two pauses or resumes of a group; 0: none. */
  readonly pauseEveryMs: number;
  readonly subs: readonly SubTraits[];
  /** What becomes of hopeless dead letters in the end. */
  readonly mend: "cure" | "discard" | "leave";
}

export const stores: readonly StoreKind[] = ["memory", "sqlite", "foreign+memory", "foreign+sqlite"];

/** A rate that is 0 in some seeds and up to `max` in the others. */
const rate = (random: Random, max: number, off = 0.4): number => (random.chance(off) ? 0 : random.unit() ** 2 * max);

export function planOf(seed: number, ops: number, only: Partial<Plan> = {}): Plan {
  const random = new Random(seed, 3);
  const kind = random.weighted({ memory: 40, sqlite: 40, "foreign+memory": 10, "foreign+sqlite": 10 });
  const store = only.store ?? kind;
  const workers = random.int(1, 4);
  // Of a stream of its own: other draws stay what they were.
  const flow = new Random(seed, 10);
  const grouped = flow.chance(0.5);
  return {
    seed,
    ops,
    slots: random.pick([1, 2, 4, 4, 8]),
    leaseMs: random.pick([500, 1_000, 2_000, 2_000, 3_000]),
    workers,
    clients: random.int(1, 2),
    keys: random.pick([1, 2, 3, 6, 12]),
    publishEveryMs: random.pick([3, 10, 30, 60]),
    poison: rate(random, 0.04, 0.5),
    killers: rate(random, 0.03, 0.5),
    portDelayMs: random.pick([0, 1, 3, 10, 40]),
    remote: store === "memory" && random.chance(0.3),
    instantDeath: random.chance(0.3),
    skewMaxMs: random.pick([0, 0, 50, 5_000, 3_600_000]),
    // Of a stream of its own: other draws stay what they were.
    rates: { ...ratesOf(random), outage: rate(new Random(seed, 9), 0.05) },
    faultEveryMs: random.pick([0, 400, 1_500, 4_000]),
    faults: {
      crash: random.unit() * 3,
      pause: random.unit() * 2,
      leave: random.unit(),
      join: random.unit(),
      "clock-jump": random.unit(),
      redefine: random.chance(0.3) ? random.unit() : 0,
    },
    operateEveryMs: random.pick([0, 300, 2_000]),
    grouped,
    pauseEveryMs: grouped ? flow.pick([0, 500, 2_000]) : 0,
    subs: subsOf(random, store).map((traits) => ({ ...traits, limits: limitsOf(flow, traits, grouped) })),
    mend: random.pick(["cure", "cure", "discard", "leave"]),
    ...only,
    store,
  };
}

function limitsOf(random: Random, { order }: { readonly order: string }, grouped: boolean): Limits | undefined {
  const limits: Limits = {
    ...(random.chance(0.3) ? { concurrency: random.int(1, 4) } : {}),
    ...(random.chance(0.2) ? { rate: { events: random.pick([50, 100, 200]), per: "1s" } } : {}),
    ...(grouped && order !== "log" && random.chance(0.4) ? { perGroup: { concurrency: random.int(1, 2) } } : {}),
  };
  return random.chance(0.5) && Object.keys(limits).length > 0 ? limits : undefined;
}

function ratesOf(random: Random): Omit<Rates, "outage"> {
  return {
    fail: rate(random, 0.4),
    slow: rate(random, 0.6),
    long: rate(random, 0.08),
    hang: rate(random, 0.02, 0.6),
    nonRetryable: rate(random, 0.03, 0.5),
    retryAfter: rate(random, 0.1),
    defer: rate(random, 0.1),
    wakeLost: rate(random, 1),
    busy: rate(random, 0.1, 0.5),
    full: rate(random, 0.05, 0.6),
    unknown: rate(random, 0.01, 0.6),
    crashAtCommit: rate(random, 0.004, 0.5),
  };
}

function subsOf(random: Random, store: StoreKind): readonly Omit<SubTraits, "limits">[] {
  const total = !store.startsWith("foreign");
  const sql = store === "sqlite";
  const traits = (given: Pick<SubTraits, "name" | "types" | "order" | "emits" | "announces" | "state">) => ({
    ...given,
    onExhausted: random.pick(
      given.order === "none"
        ? (["skip-event"] as const)
        : (["hold-key", "hold-key", "hold-key", "skip-event", "stop"] as const),
    ),
    attemptsMax: random.pick([1, 2, 3, 5]),
    crashesMax: random.pick([1, 2, 3, 5]),
    writes: sql && random.chance(0.7),
    concurrency: random.pick([1, 2, 4, 16]),
    timeoutMs: random.pick([3_000, 10_000, 40_000]),
    backoffMs: random.pick([[1], [50], [200, 1_000], [1_000, 3_000]]),
    filterEvery: random.pick([0, 0, 0, 5]),
    // A state belongs to a key: unordered deliveries have none.
    state: given.state && given.order !== "none",
  });
  const base = traits({
    name: "books",
    types: ["Fact"],
    order: random.pick(["key", "key", "key", "none"]),
    emits: random.chance(0.7),
    announces: random.chance(0.3),
    state: random.chance(0.5),
  });
  const others = [
    traits({
      name: "mirror",
      types: ["Derived"],
      order: random.pick(["key", "none"]),
      emits: false,
      announces: false,
      state: random.chance(0.3),
    }),
    traits({
      name: "mail",
      types: ["Fact", "Loose"],
      order: random.pick(["none", "key"]),
      emits: random.chance(0.2),
      announces: random.chance(0.2),
      state: false,
    }),
    traits({
      name: "audit",
      types: ["Fact", "Derived"],
      order: total ? random.pick(["log", "key"]) : "key",
      emits: false,
      announces: false,
      state: random.chance(0.3),
    }),
  ];
  return [base, ...others.filter(() => random.chance(0.55))];
}
