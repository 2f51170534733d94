import type { Logger } from "../src/app/context.ts";
import type { Engine } from "../src/engine/engine.ts";
import { hasCode } from "../src/errors.ts";
import type { Deliver, Op, Publish, Violation } from "./checker/history.ts";
import type { FaultKind, Plan, Rates } from "./plan.ts";
import { Bell, type Witness } from "./ports.ts";
import { Process } from "./process.ts";
import { Random } from "./random.ts";
import { type SharedStore, storeOf } from "./stores.ts";
import { witnessOf } from "./witness.ts";
import { World } from "./world.ts";

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const calm: Rates = {
  fail: 0,
  slow: 0,
  long: 0,
  hang: 0,
  nonRetryable: 0,
  retryAfter: 0,
  defer: 0,
  outage: 0,
  wakeLost: 0,
  busy: 0,
  full: 0,
  unknown: 0,
  crashAtCommit: 0,
};

/** All that one run of one seed holds together. */
export class Scene {
  readonly plan: Plan;
  readonly world: World;
  readonly store: SharedStore;
  /** The store without delays and faults, for whoever looks from outside. */
  readonly raw: Engine;
  readonly bell: Bell;
  readonly witness: Witness;
  readonly ops: Op[] = [];
  readonly violations: Violation[] = [];
  readonly faults = new Map<FaultKind, number>();
  readonly processes = new Set<Process>();
  readonly published: Publish[] = [];
  readonly hopeless = new Set<string>();
  readonly killers = new Set<string>();
  readonly active = new Map<Process, Set<Deliver>>();
  /** Chance of each purpose is its own, so that a change of one leaves the others alone. */
  readonly moods: Random;
  readonly acts: Random;
  readonly dangers: Random;
  readonly lives: Random;
  readonly logger: Logger;
  /** What a subscription depends on is down until then, by its name. */
  readonly downUntilMs = new Map<string, number>();
  rates: Rates;
  /** No more faults; handlers succeed. */
  healing = false;
  /** A process has spoken of an outage. */
  refunds = false;
  /** Version of the app that a process starts with. */
  version = 1;
  /** Operations so far, as a run is measured: events published, handlers run, operators' acts. */
  count = 0;
  runs = 0;
  /** How far ahead any clock has been. */
  skewMaxMs = 0;
  facts = 0;
  onCrash: (process: Process) => void = () => {};
  #numbers = 0;

  private constructor(plan: Plan, world: World, store: SharedStore, raw: Engine, logger: Logger) {
    this.plan = plan;
    this.world = world;
    this.store = store;
    this.raw = raw;
    this.logger = logger;
    this.rates = plan.rates;
    this.moods = new Random(plan.seed, 4);
    this.acts = new Random(plan.seed, 5);
    this.dangers = new Random(plan.seed, 6);
    this.lives = new Random(plan.seed, 7);
    this.bell = new Bell(this);
    this.witness = witnessOf(this);
  }
  static async open(plan: Plan, logger: Logger = silent): Promise<Scene> {
    const world = new World(plan.seed);
    const nobody = new Process(world, 0, "client", new Random(plan.seed, 8), 0);
    const store = storeOf(plan.store, nobody.env, plan.slots);
    store.sql?.exec("CREATE TABLE sim_effect(sub TEXT, id TEXT, run INTEGER)");
    return new Scene(plan, world, store, await store.handle.open(nobody.env), logger);
  }

  create(role: "worker" | "client"): Process {
    const process = new Process(this.world, ++this.#numbers, role, this.lives.fork(), 0);
    const { skewMaxMs } = this.plan;
    this.setClock(process, this.healing ? this.skewMaxMs : this.lives.int(-skewMaxMs, skewMaxMs));
    process.version = this.version;
    this.processes.add(process);
    return process;
  }
  setClock(process: Process, skewMs: number): void {
    process.skewMs = skewMs;
    this.skewMaxMs = Math.max(this.skewMaxMs, skewMs);
  }
  get t(): number {
    return this.world.step;
  }
  delayMs(): number {
    return this.plan.portDelayMs === 0 ? 0 : this.dangers.int(0, this.plan.portDelayMs);
  }
  /** Whether a fault befalls us here. */
  happens(kind: FaultKind, rate: number): boolean {
    if (rate === 0 || this.healing || !this.dangers.chance(rate)) return false;
    this.fault(kind);
    return true;
  }
  fault(kind: FaultKind): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }
  heal(): void {
    this.healing = true;
    this.rates = calm;
  }
  violate(invariant: string, anomaly: string, detail: string): void {
    this.violations.push({ invariant, anomaly, detail });
  }

  /** The store has committed a call; the answer is on its way. */
  committed(process: Process, verb: string): void {
    const counts = verb === "append" || verb === "record" || verb === "lease" || verb === "command";
    if (counts && !process.gone && this.happens("crash-at-commit", this.rates.crashAtCommit)) this.crash(process);
  }
  crash(process: Process): void {
    if (process.gone) return;
    process.end();
    process.crashed = true;
    this.ops.push({ op: "crash", process: process.name, t: this.t });
    for (const run of this.active.get(process) ?? []) run.died = true;
    this.active.delete(process);
    this.onCrash(process);
  }
  /** A worker stopped by itself: so it may after the store failed it, or where handlers never return. */
  failedStop(process: Process, error: unknown): void {
    const code = (error as { code?: string } | null)?.code ?? String(error);
    const expected = ["OUTCOME_UNKNOWN", "STORE_FAILED", "WORKER_STUCK", "STORE_BUSY", "STORE_FULL", "CLOSED"];
    if (!expected.includes(code) || (this.healing && hasCode(error, "STORE_BUSY"))) {
      this.violate("fail-stop", code, `${process.name} stopped: ${describe(error)}`);
    }
    this.crash(process);
  }
}

export const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
