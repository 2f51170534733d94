import type { AppSpec } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import { type Duration, durationMs } from "../duration.ts";
import { pause } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { isLimited } from "./rest.ts";
import type { Runner } from "./runner.ts";
import type { SharedStore } from "./store.ts";
import { type Workshop, workshopOf } from "./workshop.ts";

export interface WorkOptions<Names extends string = string> {
  /** Run only these subscriptions here. */
  readonly only?: readonly Names[];
  readonly except?: readonly Names[];
  /** Starts the same shutdown as `stop()`. */
  readonly signal?: AbortSignal;
}
export interface Worker extends AsyncDisposable {
  /** Resolves after `stop`, rejects when the worker had to fail stop. Await it, or the process has no reason to live. */
  readonly stopped: Promise<void>;
  /** Stops claiming, lets what runs finish within the grace period (default 30s), hands the rest back uncharged. Idempotent. */
  stop(options?: { readonly grace?: Duration }): Promise<void>;
}
export interface DrainSummary {
  /** Nothing was due any more. False: the time was up, the signal came, or a subscription is degraded. */
  readonly drained: boolean;
  readonly deliveries: number;
  readonly dead: number;
  /** Deliveries that wait for a later attempt. */
  readonly waiting: number;
  /** When the next of these, or a delayed event, is due. */
  readonly dueNext: Date | undefined;
}

export async function startWorker(
  store: SharedStore,
  logger: Logger,
  leaseMs: number,
  app: AppSpec,
  options: WorkOptions,
): Promise<RunningWorker> {
  const workshop = workshopOf(store, logger, leaseMs);
  const runners = await workshop.start(app, chosen(app, options));
  return new RunningWorker(workshop, app, runners, options.signal);
}

export class RunningWorker implements Worker {
  readonly #workshop: Workshop;
  readonly #app: AppSpec;
  readonly #runners: readonly Runner[];
  readonly #over = Promise.withResolvers<void>();
  #stopping: Promise<void> | undefined;

  constructor(workshop: Workshop, app: AppSpec, runners: readonly Runner[], signal: AbortSignal | undefined) {
    this.#workshop = workshop;
    this.#app = app;
    this.#runners = runners;
    workshop.failure.catch((error: unknown) => this.#over.reject(error));
    this.#over.promise.catch(() => {});
    const stop = (): void => void this.stop().catch(() => {});
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  }
  get stopped(): Promise<void> {
    return this.#over.promise;
  }
  /** Deliveries closed so far. */
  get deliveries(): number {
    return this.#runners.reduce((sum, runner) => sum + runner.deliveries, 0);
  }
  /** Whether nothing is due: all is read, run and recorded. Rejects where the worker has failed. */
  async isQuiet(): Promise<boolean> {
    if (this.#workshop.failed !== undefined) await this.#workshop.failure;
    return this.#workshop.quiet(this.#runners);
  }
  stop(options: { readonly grace?: Duration } = {}): Promise<void> {
    const graceMs = options.grace === undefined ? limits.graceMs : durationMs(options.grace, "grace");
    this.#stopping ??= this.#workshop
      .stop(this.#app, this.#runners, graceMs)
      .then(this.#over.resolve, (error: unknown) => {
        this.#over.reject(error);
        throw error;
      });
    return this.#stopping;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

export async function drain(
  store: SharedStore,
  logger: Logger,
  leaseMs: number,
  app: AppSpec,
  options: WorkOptions & { readonly timeout?: Duration },
): Promise<DrainSummary> {
  const { env } = store;
  const until =
    options.timeout === undefined ? Number.POSITIVE_INFINITY : env.monotonic() + durationMs(options.timeout, "timeout");
  const workshop = workshopOf(store, logger, leaseMs);
  const runners = await workshop.start(app, chosen(app, options));
  let drained = false;
  while (options.signal?.aborted !== true && env.monotonic() < until && workshop.failed === undefined) {
    drained = await workshop.quiet(runners);
    if (drained) {
      // What waits for the end of an outage is due, and nobody can do it.
      drained = !runners.some((runner) => runner.outage.isOn);
      if (!runners.some(isLimited)) break;
      drained = false;
    }
    await pause(env, 5, options.signal);
  }
  await workshop.stop(app, runners, limits.graceMs);
  if (workshop.failed !== undefined) await workshop.failure;
  return summary(store, runners, drained);
}

async function summary(store: SharedStore, runners: readonly Runner[], drained: boolean): Promise<DrainSummary> {
  const subs = new Set(runners.map((runner) => runner.enrolment.sub));
  const tallies = (await store.engine.ledger.tally()).filter((each) => subs.has(each.sub));
  const slots = tallies.flatMap((each) =>
    each.slots.map((slot) => ({ sub: each.sub, gen: each.gen, slot: slot.slot })),
  );
  const { ledger } = store.engine;
  const [next] = await ledger.deliveries({ kind: "due", slots, dueMs: Number.MAX_SAFE_INTEGER, limit: 1 });
  const [delayed] = await ledger.delayed({ limit: 1 });
  const dueNextMs = Math.min(next?.dueMs ?? Number.POSITIVE_INFINITY, delayed?.dueMs ?? Number.POSITIVE_INFINITY);
  return {
    drained,
    deliveries: runners.reduce((sum, runner) => sum + runner.deliveries, 0),
    dead: runners.reduce((sum, runner) => sum + runner.dead, 0),
    waiting: tallies.reduce((sum, each) => sum + each.rows.retrying + each.rows.ready + each.rows.deferred, 0),
    dueNext: Number.isFinite(dueNextMs) ? new Date(dueNextMs) : undefined,
  };
}

/** The subscriptions that `only` and `except` leave. Throws UNKNOWN_SUBSCRIPTION on a name that the app has not. */
function chosen(app: AppSpec, options: WorkOptions): readonly SubscriptionSpec[] {
  const names = new Set(app.subscriptions.map((each) => each.name));
  for (const name of [...(options.only ?? []), ...(options.except ?? [])]) {
    if (!names.has(name)) {
      throw new FactlogError(
        "UNKNOWN_SUBSCRIPTION",
        `app ${app.name} has no subscription ${name}: it has ${[...names].join(", ")}.`,
        { details: { subscription: name } },
      );
    }
  }
  return app.subscriptions.filter(
    (each) =>
      (options.only === undefined || options.only.includes(each.name)) && options.except?.includes(each.name) !== true,
  );
}
