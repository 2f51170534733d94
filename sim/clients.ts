import type { NewEvent } from "../src/event/define.ts";
import { factOf, groups, Loose } from "./app.ts";
import type { Operate, Publish } from "./checker/history.ts";
import type { Process } from "./process.ts";
import { describe, type Scene } from "./scene.ts";

/** Codes of a publish after which it is not known whether it is stored. All others stored nothing. */
const unknownCodes = new Set(["OUTCOME_UNKNOWN"]);
/** After these the process has no use any more. */
const fatalCodes = new Set(["OUTCOME_UNKNOWN", "STORE_FAILED"]);
/** What a refused publish or act may say. */
const passingCodes = ["STORE_BUSY", "STORE_FULL", "STORE_FAILED", "OUTCOME_UNKNOWN", "CLOSED", "BUSY"];

/** Each costs a few lives. */
const killersMax = 5;

interface Draft {
  readonly id: string;
  readonly type: "Fact" | "Loose";
  readonly data: { readonly n: number; readonly kind: "plain" | "poison" | "killer"; readonly key?: string };
}

/** Those who publish and those who operate, through whatever process is at hand. */
export class Clients {
  readonly #scene: Scene;
  readonly #drafts: Draft[] = [];

  constructor(scene: Scene) {
    this.#scene = scene;
  }
  begin(): void {
    const { plan } = this.#scene;
    this.#every(plan.publishEveryMs, () => this.publishSomething());
    if (plan.pauseEveryMs > 0) this.#every(plan.pauseEveryMs, () => void this.pauseSomething());
    if (plan.operateEveryMs > 0) this.#every(plan.operateEveryMs, () => void this.operate());
  }
  #every(meanMs: number, act: () => void): void {
    const scene = this.#scene;
    scene.world.after(scene.acts.waitMs(meanMs), undefined, "client", () => {
      if (scene.healing) return;
      act();
      this.#every(meanMs, act);
    });
  }
  #someone(): Process | undefined {
    const scene = this.#scene;
    const ready = [...scene.processes].filter((each) => each.ready);
    const clients = ready.filter((each) => each.role === "client");
    const among = clients.length > 0 && scene.acts.chance(0.8) ? clients : ready;
    return among.length === 0 ? undefined : scene.acts.pick(among);
  }

  // ── publishing ──
  publishSomething(): void {
    const { acts } = this.#scene;
    const process = this.#someone();
    if (process === undefined) return;
    const known = this.#drafts.length > 0;
    switch (
      acts.weighted({ one: 10, batch: 2, duplicate: known ? 2 : 0, conflict: known ? 0.5 : 0, mixed: known ? 0.5 : 0 })
    ) {
      case "one":
        return void this.publish(process, [this.#draft()]);
      case "batch":
        return void this.publish(
          process,
          Array.from({ length: acts.int(2, 8) }, () => this.#draft()),
        );
      case "duplicate":
        return void this.publish(process, [acts.pick(this.#drafts)]);
      case "mixed":
        return void this.publish(process, [this.#draft(), acts.pick(this.#drafts), this.#draft()]);
      case "conflict": {
        const old = acts.pick(this.#drafts);
        return void this.publish(process, [{ ...old, data: { ...old.data, n: -old.data.n } }]);
      }
    }
  }
  #draft(): Draft {
    const scene = this.#scene;
    const { acts, plan } = scene;
    const n = ++scene.facts;
    const id = acts.chance(0.5) ? `fact-${n}` : `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
    const kind = acts.chance(plan.poison)
      ? "poison"
      : scene.killers.size < killersMax && acts.chance(plan.killers)
        ? "killer"
        : "plain";
    if (kind === "poison") scene.hopeless.add(id);
    if (kind === "killer") scene.killers.add(id);
    const key = `k${Math.floor(acts.unit() ** 2 * plan.keys)}`;
    const draft: Draft = acts.chance(0.85)
      ? { id, type: "Fact", data: { key, n, kind } }
      : { id, type: "Loose", data: { n, kind } };
    this.#drafts.push(draft);
    return draft;
  }
  async publish(process: Process, drafts: readonly Draft[]): Promise<void> {
    const scene = this.#scene;
    const { log } = process;
    if (log === undefined) return;
    const op: Publish = {
      op: "publish",
      process: process.name,
      t: scene.t,
      events: drafts.map(({ id, type, data }) => ({ id, type, data: JSON.stringify(data) })),
      outcome: "unknown",
    };
    scene.ops.push(op);
    scene.count += drafts.length;
    try {
      const events = drafts.map((draft) => toEvent(draft, factOf(scene.plan)));
      const receipts = events.length === 1 ? [await log.publish(events[0]!)] : await log.publishAll(events);
      if (process.gone) return;
      op.receipts = receipts.map(({ position, duplicate }) => ({
        position: Number(position?.split(".").at(-1)),
        duplicate,
      }));
      op.outcome = "ok";
    } catch (error) {
      if (process.gone) return;
      const { code = "" } = error as { code?: string };
      op.code = code;
      if (!unknownCodes.has(code)) op.outcome = "fail";
      if (code !== "ID_CONFLICT" && !passingCodes.includes(code)) scene.violate("I1", "publish-error", describe(error));
      if (fatalCodes.has(code))
        scene.world.after(scene.acts.int(0, 100), process, "fail-stop", () => scene.crash(process));
    }
    op.end = scene.t;
  }

  // ── operating ──
  /** Pauses or resumes one group of a subscription. */
  async pauseSomething(): Promise<void> {
    const { acts, plan } = this.#scene;
    const subs = plan.subs.filter(({ order }) => order !== "log");
    if (subs.length === 0) return;
    const [sub, group, isPaused] = [acts.pick(subs).name, acts.pick(groups), acts.chance(0.5)];
    if ((await this.#setPaused(sub, group, isPaused)) && isPaused) this.#scene.fault("group-paused");
  }
  /** Resumes all. Answers whether nothing is paused any more. */
  async resumeAll(): Promise<boolean> {
    const { plan } = this.#scene;
    if (plan.pauseEveryMs === 0) return true;
    let all = true;
    for (const { name, order } of plan.subs)
      if (order !== "log") for (const group of groups) all = (await this.#setPaused(name, group, false)) && all;
    return all;
  }
  async #setPaused(sub: string, group: string, isPaused: boolean): Promise<boolean> {
    const scene = this.#scene;
    const log = this.#someone()?.log;
    if (log === undefined) return false;
    try {
      await (isPaused ? log.operator.pause(sub, { group }) : log.operator.resume(sub, { group }));
      return true;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      // It may not have begun yet.
      if (code === "NOT_FOUND") return !isPaused;
      if (!passingCodes.includes(code) && code !== "CONFLICT") scene.violate("I9", "operator-error", describe(error));
      return false;
    }
  }
  /** Redrives or discards some dead letters; in the end only what is to be mended. Answers how often it tried. */
  async operate(): Promise<number> {
    const scene = this.#scene;
    const process = this.#someone();
    const log = process?.log;
    let tries = 0;
    if (process === undefined || log === undefined) return tries;
    try {
      for await (const letter of log.operator.deadLetters()) {
        if (process.gone) return tries;
        const act = this.#actOn(letter.eventId);
        if (act === undefined) continue;
        const op: Operate = {
          op: "operate",
          process: process.name,
          t: scene.t,
          act,
          sub: letter.subscription,
          position: Number(letter.id.split(".").at(-1)),
          outcome: "unknown",
        };
        scene.ops.push(op);
        scene.count++;
        tries++;
        try {
          if (act === "redrive") await log.operator.redrive([letter.id], { confirm: 1 });
          else await log.operator.discard([letter.id], { reason: "simulated" });
          if (process.gone) return tries;
          op.outcome = "ok";
          scene.fault(act);
        } catch (error) {
          if (process.gone) return tries;
          this.#refused(op, error);
        }
      }
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (!passingCodes.includes(code)) scene.violate("I9", "operator-error", describe(error));
    }
    return tries;
  }
  #actOn(eventId: string): Operate["act"] | undefined {
    const { healing, hopeless, plan, acts } = this.#scene;
    if (!healing) return acts.chance(0.3) ? (acts.chance(0.3) ? "discard" : "redrive") : undefined;
    if (!hopeless.has(eventId) || plan.mend === "cure") return "redrive";
    if (plan.mend === "discard") return "discard";
    return plan.subs.some((sub) => sub.onExhausted === "stop") ? "discard" : undefined;
  }
  #refused(op: Operate, error: unknown): void {
    const { code = "" } = error as { code?: string };
    op.code = code;
    if (!unknownCodes.has(code)) op.outcome = "fail";
    if (![...passingCodes, "CONFLICT", "NOT_FOUND"].includes(code)) {
      this.#scene.violate("I9", "operator-error", describe(error));
    }
  }
}

function toEvent({ id, type, data }: Draft, Fact: ReturnType<typeof factOf>): NewEvent {
  return type === "Fact" ? Fact(data as Parameters<typeof Fact>[0], { id }) : Loose(data, { id });
}
