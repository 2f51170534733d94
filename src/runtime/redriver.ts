import type { Engine } from "../engine/engine.ts";
import type { DeliveryRow } from "../engine/ledger.ts";
import type { Env, Timer } from "../env.ts";
import { hasCode, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { auditEvent } from "./audit.ts";
import { deadLetterId } from "./dead-letter-id.ts";
import { chosenKey, type KeptJob, RedriveJobs } from "./redrive-jobs.ts";
import type { Runner } from "./runner.ts";

interface World {
  readonly env: Env;
  readonly engine: Engine;
  readonly source: string;
  /** Those that this process works on, and is the first to work on. */
  mine(): readonly Runner[];
  fail(error: unknown): void;
}
/** The chosen of one key in their order; `current` was delivered again and is not over. */
interface Queue {
  readonly waiting: DeliveryRow[];
  current: DeliveryRow | undefined;
}
interface Share {
  readonly runner: Runner;
  readonly queues: Map<string, Queue>;
}

/**
 * Runs redrive jobs: of each key one dead letter at a time. What was done is seen from the rows, so that any process may go
 * on with a job, and two that do so at once get in nobody's way: a row is redriven by whoever's token still stands.
 */
export class Redriver {
  readonly #world: World;
  readonly #jobs: RedriveJobs;
  /** By job and subscription. */
  readonly #shares = new Map<string, Share>();
  readonly #nextMs = new Map<string, number>();
  #timer: Timer | undefined;
  #passing: Promise<number> | undefined;
  #stopped = false;
  /** The rate of a job keeps some back for now. */
  #throttled = false;

  constructor(world: World) {
    this.#world = world;
    this.#jobs = new RedriveJobs(world.engine);
    this.#later(0);
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
  #later(found: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    const busy = found > 0 || this.#shares.size > 0;
    const delayMs = found > 0 ? limits.redriveTurnMs : busy ? limits.redriveWaitMs : limits.redriveLookMs;
    this.#timer = this.#world.env.after(delayMs, () => this.#look(), { upkeep: !busy });
  }
  #look(): void {
    void this.#turns().catch((error: unknown) => {
      if (!mayPass(error) && !this.#stopped) this.#world.fail(error);
    });
  }
  /** Whether nothing goes on here: no job has anything for this process to do now or soon. */
  async quiet(): Promise<boolean> {
    // One that has begun may have looked before the last delivery ended; what it delivers again is not over.
    const before = (await this.#passing?.catch(() => 0)) ?? 0;
    return (await this.#turns()) === 0 && before === 0 && !this.#throttled;
  }
  /** One turn: how many were delivered again or were found to be over. Calls that come meanwhile share it. */
  #turns(): Promise<number> {
    let found = 0;
    this.#passing ??= this.#pass()
      .then((number) => (found = number))
      .finally(() => {
        this.#passing = undefined;
        this.#later(found);
      });
    return this.#passing;
  }
  async #pass(): Promise<number> {
    const running = (await this.#jobs.all()).filter(({ stored }) => stored.state === "running");
    const names = new Set<string>();
    this.#throttled = false;
    let moved = 0;
    for (const job of running) {
      const mine = this.#world.mine().filter(({ enrolment }) => job.stored.subs.includes(enrolment.sub));
      let left = 0;
      for (const runner of mine) {
        const name = `${job.id} ${runner.enrolment.sub}`;
        names.add(name);
        const share = this.#shares.get(name) ?? (await this.#load(job, runner));
        this.#shares.set(name, share);
        moved += await this.#turn(job, share);
        left += share.queues.size;
      }
      if (left === 0 && mine.length > 0 && (await this.#isOver(job))) {
        const event = auditEvent(this.#world.env, this.#world.source, "redrive-ended", { job: job.id });
        await this.#jobs.end(job, { state: "done", endedMs: this.#world.env.now() }, event);
        moved++;
      }
    }
    for (const name of this.#shares.keys()) if (!names.has(name)) this.#shares.delete(name);
    const ids = new Set(running.map(({ id }) => id));
    for (const id of this.#nextMs.keys()) if (!ids.has(id)) this.#nextMs.delete(id);
    return moved;
  }

  /** What is left of the selection, and what another process delivered before it died. */
  async #load({ id }: KeptJob, runner: Runner): Promise<Share> {
    const queues = new Map<string, Queue>();
    for await (const { row, is } of this.#jobs.open(id, runner.enrolment.sub)) {
      const queue = queueOf(queues, runner, row);
      if (is === "left") queue.waiting.push(row);
      else queue.current = row;
    }
    return { runner, queues };
  }
  async #turn(job: KeptJob, { runner, queues }: Share): Promise<number> {
    let moved = 0;
    const current = [...queues].filter(([, queue]) => queue.current !== undefined);
    await Promise.all(
      current.map(async ([, queue]) => {
        if (queue.current === undefined || !(await this.#isOverFor(queue.current))) return;
        queue.current = undefined;
        moved++;
      }),
    );
    let places = limits.redriveKeysMax - [...queues.values()].filter((queue) => queue.current !== undefined).length;
    let delivered = 0;
    for (const [name, queue] of queues) {
      if (queue.current !== undefined) continue;
      if (queue.waiting.length === 0) {
        queues.delete(name);
        continue;
      }
      if (places <= 0 || this.#stopped || delivered >= limits.redriveTurnMax) break;
      if (!this.#mayGo(job)) {
        this.#throttled = true;
        break;
      }
      const row = queue.waiting.shift() as DeliveryRow;
      if (!(await this.#redrive(job, runner, row))) continue;
      queue.current = row;
      places--;
      delivered++;
    }
    if (delivered > 0) runner.due.look();
    return moved + delivered;
  }
  /** The rate of the job, if it has one: no burst makes up for what was not used. */
  #mayGo({ id, stored }: KeptJob): boolean {
    if (stored.ratePerSecond === undefined) return true;
    const nowMs = this.#world.env.now();
    const nextMs = this.#nextMs.get(id) ?? nowMs;
    if (nowMs < nextMs) return false;
    const everyMs = 1000 / stored.ratePerSecond;
    // A turn that comes a little late is made up for within it.
    this.#nextMs.set(id, Math.max(nextMs, nowMs - limits.redriveWaitMs) + everyMs);
    return true;
  }
  async #redrive({ id, stored }: KeptJob, runner: Runner, row: DeliveryRow): Promise<boolean> {
    const { env, engine, source } = this.#world;
    const facts = {
      subscription: runner.spec.name,
      deadLetter: deadLetterId(runner.spec.name, row),
      eventId: row.eventId,
      job: id,
      ...(stored.fresh === true ? { from: "fresh" } : {}),
    };
    try {
      await engine.ledger.command({
        kind: "redrive",
        delivery: row,
        rowToken: row.rowToken,
        nowMs: env.now(),
        fresh: stored.fresh === true,
        drop: [],
        audit: auditEvent(env, source, "redriven", facts),
      });
      return true;
    } catch (error) {
      // Somebody else redrove or discarded it, or its subscription is gone.
      if (hasCode(error, "CONFLICT") || hasCode(error, "NOT_FOUND")) return false;
      throw error;
    }
  }
  async #isOverFor(ref: DeliveryRow): Promise<boolean> {
    const [row] = await this.#world.engine.ledger.deliveries({ kind: "one", delivery: ref });
    return row === undefined || row.state === "dead";
  }
  /** Nothing of it is left in any subscription, whoever works on it. */
  async #isOver({ id, stored }: KeptJob): Promise<boolean> {
    for (const sub of stored.subs) for await (const _ of this.#jobs.open(id, sub)) return false;
    return true;
  }
}

/** Of events without a key each is by itself. */
function queueOf(queues: Map<string, Queue>, { spec }: Runner, row: DeliveryRow): Queue {
  const name = row.key === "" && spec.order !== "log" ? chosenKey(row) : `key ${row.key}`;
  const known = queues.get(name) ?? { waiting: [], current: undefined };
  queues.set(name, known);
  return known;
}
