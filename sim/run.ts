import type { History, Sample, SubPlan, Violation } from "./checker/history.ts";
import { check } from "./checker/check.ts";
import { typesIn } from "./app.ts";
import { Clients } from "./clients.ts";
import { finalOf, owed, sample } from "./final.ts";
import { Lives } from "./lives.ts";
import type { FaultKind, Plan } from "./plan.ts";
import { describe, Scene } from "./scene.ts";

/** Virtual time that the first phase may take: a seed that achieves little in it is void. */
const firstPhaseMaxMs = 30 * 60_000;
const sampleEveryMs = 2_000;
/** Handlers past their timeout are given up after this long; longest waits that handlers or policies ask for. */
const abandonMs = 30_000;
const waitMaxMs = 3_000;
const slackMs = 40_000;
const operateMaxMs = 10_000;
/** From a death by an event to the next: a process starts, takes over, waits for the crash delay. */
const lifeMs = 4_000;

export interface Report {
  readonly seed: number;
  readonly ops: number;
  readonly hash: string;
  readonly virtualMs: number;
  readonly steps: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly violations: readonly Violation[];
  readonly history: History;
  readonly plan: Plan;
}

/** What a run may be told beside its plan. */
export interface RunOptions {
  readonly logger?: Parameters<typeof Scene.open>[1];
  /** Called when all is set up and nothing has run. */
  /** Virtual time of the first phase, whatever was done in it. */
  readonly phaseOneMs?: number;
  readonly prepare?: (scene: Scene, lives: Lives, clients: Clients) => void;
}

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Report> {
  const scene = await Scene.open(plan, options.logger);
  const lives = new Lives(scene);
  const clients = new Clients(scene);
  const stopSampling = sampling(scene);
  const unhandled = (error: unknown): void => scene.violate("runtime", "unhandled-rejection", describe(error));
  process.on("unhandledRejection", unhandled);
  try {
    options.prepare?.(scene, lives, clients);
    lives.begin();
    clients.begin();
    // What is published late is worked off in the second phase, and counts too.
    const enough = (): boolean => scene.count >= plan.ops * 0.7 || scene.facts >= plan.ops * 0.3;
    const { phaseOneMs } = options;
    await (phaseOneMs === undefined
      ? scene.world.run(enough, firstPhaseMaxMs)
      : scene.world.run(() => false, phaseOneMs));
    const { drained, detail } = await healed(scene, lives, clients);
    await allLeave(scene, lives);
    stopSampling();
    const final = await finalOf(scene, drained, detail);
    const history = historyOf(scene, final);
    return {
      seed: plan.seed,
      ops: scene.count,
      hash: scene.world.trace.hash,
      virtualMs: scene.world.nowMs,
      steps: scene.world.step,
      faults: scene.faults,
      violations: [...scene.violations, ...check(history)],
      history,
      plan,
    };
  } finally {
    process.off("unhandledRejection", unhandled);
    scene.store.close();
  }
}

function historyOf(scene: Scene, final: History["final"]): History {
  const version = (scene.faults.get("redefine") ?? 0) > 0 ? 2 : 1;
  const plan: SubPlan[] = scene.plan.subs.map((traits) => ({ ...traits, types: typesIn(traits, version) }));
  const { ops, hopeless, killers, raw, faults } = scene;
  const { totalOrder, dedupe } = raw.log.capabilities;
  const zombies = ["pause", "store-busy", "store-full"].some((kind) => (faults.get(kind as FaultKind) ?? 0) > 0);
  const about = {
    dedupes: dedupe === "retained",
    totalOrder,
    redefined: version === 2,
    zombies,
    refunds: scene.refunds,
  };
  return { ...about, plan, ops, final, hopeless, killers };
}

/** Takes a sample now and then. Returns what ends it. */
function sampling(scene: Scene): () => void {
  let over = false;
  const next = (): void => {
    scene.world.after(sampleEveryMs, undefined, "sample", () => {
      if (over) return;
      void sample(scene).then((taken: Sample) => void scene.ops.push(taken));
      next();
    });
  };
  next();
  return () => {
    over = true;
  };
}

/** Phase two: no more faults, and everything must be worked off within a bound. */
async function healed(scene: Scene, crew: Lives, clients: Clients): Promise<{ drained: boolean; detail: string }> {
  const { plan, world } = scene;
  crew.heal();
  const timeoutMs = Math.max(...plan.subs.map((sub) => sub.timeoutMs));
  // A held row costs a settle, a look, a fetch and a start, each there and back.
  const lives = scene.killers.size * plan.subs.reduce((sum, sub) => sum + sub.crashesMax + 2, 0);
  const workMs = scene.count * (50 + plan.portDelayMs * 8) + lives * (plan.leaseMs * 2 + lifeMs);
  const boundMs = world.nowMs + plan.leaseMs * 2 + timeoutMs + abandonMs + waitMaxMs * 4 + workMs + slackMs;
  let detail: string | undefined = "not looked at";
  // Whoever operates may die of it, and is then never heard of again.
  let operatingUntilMs = 0;
  // What an operator did last is still to be worked off, and to become a fact.
  let rested = false;
  let resumed = false;
  const look = async (): Promise<void> => {
    if (world.nowMs < operatingUntilMs) return;
    if (rested) detail = await owed(scene);
    if (detail === undefined) return;
    operatingUntilMs = world.nowMs + operateMaxMs;
    void (async () => {
      resumed ||= await clients.resumeAll();
      const tries = await clients.operate();
      rested = tries === 0 && resumed;
      operatingUntilMs = 0;
    })();
  };
  const again = (): void => {
    world.after(500, undefined, "look", () => {
      if (detail === undefined) return;
      void look();
      again();
    });
  };
  again();
  await world.run(() => detail === undefined, boundMs);
  return { drained: detail === undefined, detail: detail ?? "" };
}

async function allLeave(scene: Scene, lives: Lives): Promise<void> {
  let gone = false;
  void lives.end().then(() => (gone = true));
  const over = await scene.world.run(() => gone, scene.world.nowMs + 120_000);
  if (!over) scene.violate("I13", "never-stops", `${lives.living().length} processes did not stop`);
}
