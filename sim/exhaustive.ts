import type { Violation } from "./checker/history.ts";
import { type Plan, planOf, type StoreKind, type SubTraits } from "./plan.ts";
import { type Report, runPlan } from "./run.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

/** The small scope: two workers, three events, a subscription that emits and one that reads what it emits. */
const facts = 3;
const sub: SubTraits = {
  name: "books",
  types: ["Fact"],
  order: "key",
  onExhausted: "hold-key",
  attemptsMax: 3,
  crashesMax: 3,
  writes: false,
  emits: true,
  announces: true,
  state: true,
  filterEvery: 0,
  concurrency: 4,
  timeoutMs: 10_000,
  limits: undefined,
  backoffMs: [50],
};
const mirror: SubTraits = { ...sub, name: "mirror", types: ["Derived"], emits: false, announces: false };

function small(store: StoreKind): Plan {
  const drawn = planOf(1, 0, { store });
  const still = Object.fromEntries(Object.keys(drawn.rates).map((name) => [name, 0]));
  const writes = store === "sqlite";
  return {
    ...drawn,
    slots: 2,
    leaseMs: 500,
    workers: 2,
    clients: 1,
    keys: 2,
    poison: 0,
    killers: 0,
    portDelayMs: 0,
    remote: false,
    instantDeath: false,
    skewMaxMs: 0,
    rates: still as unknown as Plan["rates"],
    faultEveryMs: 0,
    operateEveryMs: 0,
    // Nothing is published by chance.
    publishEveryMs: 1e9,
    subs: [
      { ...sub, writes },
      { ...mirror, writes },
    ],
    mend: "cure",
  };
}

/** Publishes the three as soon as somebody can. */
function publishThree(scene: Scene, clients: Parameters<Prepare>[2]): void {
  const someone = [...scene.processes].find((each) => each.role === "client" && each.ready);
  if (someone === undefined) return void scene.world.after(1, undefined, "publish", () => publishThree(scene, clients));
  for (let n = 1; n <= facts; n++) {
    void clients.publish(someone, [{ id: `fact-${n}`, type: "Fact", data: { key: `k${n % 2}`, n, kind: "plain" } }]);
  }
}
type Prepare = NonNullable<NonNullable<Parameters<typeof runPlan>[1]>["prepare"]>;

/** The victim of the run dies just before the task of this number that would have been its own; Infinity: nobody dies. */
async function runWith(store: StoreKind, crashAt: number): Promise<{ report: Report; points: number }> {
  let points = 0;
  const report = await runPlan(small(store), {
    phaseOneMs: 1_500,
    prepare: (scene, _lives, clients) => {
      scene.world.after(20, undefined, "publish", () => publishThree(scene, clients));
      scene.world.beforeTask = (task): void => {
        const owner = task.owner as Process | undefined;
        if (owner?.role !== "worker" || scene.healing) return;
        if (++points !== crashAt) return;
        scene.fault("crash");
        scene.crash(owner);
      };
    },
  });
  return { report, points };
}

export interface Exhausted {
  readonly runs: number;
  readonly violations: readonly Violation[];
}

/**
 * One crash at every scheduling point (a point lies at every await that leaves the process, before and after each commit)
 * of a run without faults; `every`: only each n-th of them.
 */
export async function exhaust(store: StoreKind, every = 1): Promise<Exhausted> {
  const { report, points } = await runWith(store, Number.POSITIVE_INFINITY);
  const violations = [...report.violations];
  const delivered = report.history.ops.filter((op) => op.op === "deliver" && op.outcome === "ok").length;
  if (delivered < facts * 2) violations.push({ invariant: "sim", anomaly: "void", detail: `${delivered} deliveries` });
  let runs = 1;
  for (let point = 1; point <= points; point += every) {
    const { report: crashed } = await runWith(store, point);
    runs++;
    for (const { detail, ...rest } of crashed.violations) {
      violations.push({ ...rest, detail: `${store}, crash at point ${point}: ${detail}` });
    }
  }
  return { runs, violations };
}
