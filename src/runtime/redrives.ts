import type { Engine } from "../engine/engine.ts";
import type { DeliveryRow, SubscriptionTally } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { auditEvent } from "./audit.ts";
import { deadRows } from "./delivery-rows.ts";
import type { DeadLetterFilter } from "./operator.ts";
import { type KeptJob, RedriveJobs } from "./redrive-jobs.ts";

/** What a redrive would do to one key. */
export interface RedriveEffect {
  readonly subscription: string;
  /** Undefined: events without a key, each by itself. */
  readonly key: string | undefined;
  readonly deadLetters: number;
  /** Later events of the key wait behind them. False: they have gone on, and the handler sees older facts after newer. */
  readonly blocksKey: boolean;
}
export interface RedrivePlan {
  readonly deadLetters: number;
  readonly keys: readonly RedriveEffect[];
}
export interface RedriveJob {
  readonly id: string;
  readonly state: "running" | "done" | "cancelled";
  /** Dead letters chosen when it began. */
  readonly total: number;
  /** Chosen, and not delivered again yet. Those that are left when it is cancelled stay dead letters. */
  readonly left: number;
  /** Delivered again, and not over yet. */
  readonly underway: number;
  readonly ratePerSecond: number | undefined;
  readonly createdAt: Date;
  readonly endedAt: Date | undefined;
}
export interface RedriveJobOptions {
  /** How many you expect: of another number nothing is delivered. */
  readonly confirm: number;
  /** Default: as fast as they are handled. */
  readonly ratePerSecond?: number;
  /** Without the steps that are remembered, under other idempotency keys: effects of before are done once more. */
  readonly fresh?: boolean;
}

/** Redrives of many dead letters as jobs of the log: a worker runs them, and another goes on where it dies. */
export class Redrives {
  readonly #env: Env;
  readonly #engine: Engine;
  readonly #source: string;
  readonly #jobs: RedriveJobs;

  constructor(env: Env, engine: Engine, source: string) {
    this.#env = env;
    this.#engine = engine;
    this.#source = source;
    this.#jobs = new RedriveJobs(engine);
  }

  /** What `start` would do now, per key, by subscription and key; nothing is done. */
  async plan(filter: DeadLetterFilter = {}): Promise<RedrivePlan> {
    const keys = new Map<string, RedriveEffect>();
    const found = await this.#choose(filter);
    for (const { subscription, row } of found) {
      const name = `${subscription.name} ${row.key}`;
      const first = {
        subscription: subscription.name,
        key: row.key === "" ? undefined : row.key,
        deadLetters: 0,
        blocksKey: row.holds,
      };
      const known = keys.get(name) ?? first;
      keys.set(name, { ...known, deadLetters: known.deadLetters + 1 });
    }
    return { deadLetters: found.length, keys: [...keys.values()] };
  }

  /**
   * Freezes what the filter finds now, and has workers of these subscriptions deliver it again: of one key in the order of
   * the log, the next when the one before it is done or dead again; another failure leaves it a dead letter. Those that
   * somebody else redrives or discards meanwhile are passed over. Throws CONFLICT where `confirm` is another number, or
   * where a job that is running has chosen one of them; INVALID_OPTION beyond 100,000 at once.
   */
  async start(filter: DeadLetterFilter, options: RedriveJobOptions): Promise<RedriveJob> {
    const { confirm, ratePerSecond, fresh } = options;
    if (ratePerSecond !== undefined && !(ratePerSecond > 0 && Number.isFinite(ratePerSecond)))
      throw new FactlogError("INVALID_OPTION", "ratePerSecond is not a number above 0.");
    const found = await this.#choose(filter);
    if (found.length !== confirm)
      throw new FactlogError(
        "CONFLICT",
        `${found.length} dead letters were found, ${confirm} were confirmed: look again, then confirm the number. Nothing was redriven.`,
        { details: { found: found.length } },
      );
    await this.#requireFree(found.map(({ row }) => row));
    const id = this.#env.uuid();
    const stored = {
      state: "running",
      total: found.length,
      subs: [...new Set(found.map(({ subscription }) => subscription.sub))],
      createdMs: this.#env.now(),
      ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
      ...(fresh === true ? { fresh } : {}),
    } as const;
    const facts = { job: id, filter, total: found.length, ratePerSecond, fresh };
    const event = auditEvent(this.#env, this.#source, "redrive-started", facts);
    await this.#jobs.forgetOld();
    await this.#jobs.add(
      id,
      stored,
      found.map(({ row }) => row),
      event,
    );
    return this.show(id);
  }
  /** Oldest first: those that run, and the last 100 that have ended. */
  async list(): Promise<readonly RedriveJob[]> {
    return Promise.all((await this.#jobs.all()).map((job) => this.#shown(job)));
  }
  /** How far it is. Throws NOT_FOUND. */
  async show(id: string): Promise<RedriveJob> {
    return this.#shown(await this.#jobs.find(id));
  }
  /** Delivers no more of it; what it has delivered stays so. Throws NOT_FOUND; CONFLICT where it has ended. */
  async cancel(id: string): Promise<void> {
    const job = await this.#jobs.find(id);
    if (job.stored.state === "running") {
      const event = auditEvent(this.#env, this.#source, "redrive-cancelled", { job: id });
      const end = { state: "cancelled", endedMs: this.#env.now() } as const;
      if (await this.#jobs.end(job, end, event, async () => (await this.#progress(job)).left)) return;
    }
    throw new FactlogError("CONFLICT", `redrive job ${id} has ended: nothing was cancelled.`);
  }

  async #choose(
    filter: DeadLetterFilter,
  ): Promise<readonly { readonly subscription: SubscriptionTally; readonly row: DeliveryRow }[]> {
    const found: { readonly subscription: SubscriptionTally; readonly row: DeliveryRow }[] = [];
    for (const subscription of await this.#engine.ledger.tally()) {
      if (subscription.state === "retired" || subscription.rows.dead === 0) continue;
      if (filter.subscription !== undefined && filter.subscription !== subscription.name) continue;
      for await (const row of deadRows(this.#engine, subscription.sub, filter)) {
        found.push({ subscription, row });
        if (found.length > limits.redriveChosenMax)
          throw new FactlogError(
            "INVALID_OPTION",
            `more than ${limits.redriveChosenMax} dead letters: redrive them by subscription, key, type or fingerprint.`,
          );
      }
    }
    return found;
  }
  async #requireFree(rows: readonly DeliveryRow[]): Promise<void> {
    for (const { id, stored } of await this.#jobs.all()) {
      if (stored.state !== "running" || !(await this.#jobs.hasChosen(id, rows))) continue;
      throw new FactlogError(
        "CONFLICT",
        `redrive job ${id} has chosen some of them: wait for it, or cancel it. Nothing was redriven.`,
        { details: { job: id } },
      );
    }
  }
  async #shown(job: KeptJob): Promise<RedriveJob> {
    const { id, stored } = job;
    const { state, total, createdMs, endedMs, ratePerSecond } = stored;
    const { left, underway } =
      state === "running" ? await this.#progress(job) : { left: stored.left ?? 0, underway: 0 };
    const endedAt = endedMs === undefined ? undefined : new Date(endedMs);
    return { id, state, total, left, underway, ratePerSecond, createdAt: new Date(createdMs), endedAt };
  }
  async #progress({ id, stored }: KeptJob): Promise<{ readonly left: number; readonly underway: number }> {
    const count = { left: 0, underway: 0 };
    for (const sub of stored.subs) for await (const { is } of this.#jobs.open(id, sub)) count[is]++;
    return count;
  }
}
