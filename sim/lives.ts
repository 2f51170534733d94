import { openLogIn } from "../src/runtime/log.ts";
import { appOf } from "./app.ts";
import { follow } from "./follower.ts";
import { simulated } from "./ports.ts";
import type { Process } from "./process.ts";
import { describe, type Scene } from "./scene.ts";

/** Most workers at one time. */
const workersMax = 5;
const restartMaxMs = 1_500;

/** Starts, stops, kills, freezes and restarts processes. */
export class Lives {
  readonly #scene: Scene;
  /** Workers that are to be there; clients likewise. */
  #workers: number;
  #over = false;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#workers = scene.plan.workers;
    scene.onCrash = (process) => this.#replace(process);
  }

  begin(): void {
    const { plan } = this.#scene;
    for (let i = 0; i < plan.workers; i++) this.start("worker");
    for (let i = 0; i < plan.clients; i++) this.start("client");
    if (plan.faultEveryMs > 0) this.#nextFault();
  }
  living(role?: "worker" | "client"): Process[] {
    return [...this.#scene.processes].filter((each) => !each.gone && (role === undefined || each.role === role));
  }

  start(role: "worker" | "client"): void {
    const scene = this.#scene;
    const process = scene.create(role);
    this.#open(process).catch((error: unknown) => scene.failedStop(process, error));
  }
  async #open(process: Process): Promise<void> {
    const scene = this.#scene;
    const handle = simulated(scene, process, scene.store.handle);
    const log = await openLogIn(process.env, handle, {
      logger: scene.logger,
      source: "sim",
      lease: scene.plan.leaseMs,
    });
    process.log = log;
    if (process.role === "client") return follow(scene, process, log);
    process.worker = await log.work(appOf(scene, process));
    process.worker.stopped.catch((error: unknown) => scene.failedStop(process, error));
  }
  #replace(process: Process): void {
    const scene = this.#scene;
    scene.processes.delete(process);
    if (this.#over) return;
    scene.world.after(scene.lives.int(0, restartMaxMs), undefined, "restart", () => {
      if (this.#over) return;
      const wanted = process.role === "worker" ? this.#workers : scene.plan.clients;
      if (this.living(process.role).length < wanted) this.start(process.role);
    });
  }

  /** All go, and nobody comes any more. */
  end(): Promise<unknown> {
    this.#over = true;
    return Promise.all(this.living().map((process) => this.leave(process, 1_000)));
  }
  /** A graceful end: the worker hands back, the log is closed, the process exits. */
  leave(process: Process, graceMs: number): Promise<void> {
    process.leaving = true;
    const { worker, log } = process;
    const over = async (): Promise<void> => {
      await worker?.stop({ grace: graceMs });
      await log?.close();
      if (!process.gone) this.#exit(process);
    };
    return over().catch((error: unknown) => this.#scene.failedStop(process, error));
  }
  #exit(process: Process): void {
    process.end();
    for (const run of this.#scene.active.get(process) ?? []) run.aborted ??= "SHUTDOWN";
    this.#scene.active.delete(process);
    this.#replace(process);
  }

  #nextFault(): void {
    const scene = this.#scene;
    scene.world.after(scene.lives.waitMs(scene.plan.faultEveryMs), undefined, "fault", () => {
      if (scene.healing) return;
      try {
        this.#fault();
      } catch (error) {
        scene.violate("sim", "error", describe(error));
      }
      this.#nextFault();
    });
  }
  #fault(): void {
    const scene = this.#scene;
    const { lives, plan } = scene;
    const living = this.living();
    if (living.length === 0) return;
    const kind = lives.weighted(plan.faults);
    const victim = lives.pick(living);
    scene.fault(kind);
    switch (kind) {
      case "crash":
        return scene.crash(victim);
      case "pause":
        victim.frozenUntilMs = scene.world.nowMs + lives.int(50, plan.leaseMs * 4);
        return;
      case "leave":
        if (victim.ready) void this.leave(victim, lives.int(0, 4_000));
        return;
      case "join":
        if (this.living("worker").length >= workersMax) return;
        this.#workers = Math.min(workersMax, this.living("worker").length + 1);
        return this.start("worker");
      case "clock-jump":
        scene.setClock(victim, victim.skewMs + lives.pick([-3_600_000, -5_000, -300, 300, 5_000, 60_000, 3_600_000]));
        return;
      case "redefine":
        scene.version = scene.version === 1 ? 2 : 1;
        if (victim.ready) void this.leave(victim, 500);
    }
  }

  /** All faults are over: clocks agree on the latest time that any of them has shown, nobody stands still, the newest version runs everywhere. */
  heal(): void {
    const scene = this.#scene;
    scene.heal();
    this.#workers = Math.max(1, Math.min(this.#workers, 3));
    for (const process of this.living()) {
      process.skewMs = scene.skewMaxMs;
      process.frozenUntilMs = 0;
    }
    if ((scene.faults.get("redefine") ?? 0) > 0) {
      scene.version = 2;
      for (const process of this.living("worker"))
        if (process.version !== 2 && process.ready) void this.leave(process, 500);
    }
    if (this.living("worker").length === 0) this.start("worker");
    if (this.living("client").length === 0) this.start("client");
  }
}
