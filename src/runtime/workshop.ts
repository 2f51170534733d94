import type { AppSpec } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import { pause } from "../env.ts";
import { FactlogError, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { Alarm } from "./alarm.ts";
import { Clockwork } from "./clockwork.ts";
import { deltasOf } from "./deltas.ts";
import { enrol } from "./enrol.ts";
import { EnrolledRunner } from "./enrolled-runner.ts";
import { measuresOf } from "./measures.ts";
import { OutboxPoll } from "./outbox.ts";
import { notPaused, type Paused, type Pauses, pausesOf } from "./pauses.ts";
import { isProjection, ProjectionKeeper, type ProjectionSubscription } from "./projections.ts";
import { Redriver } from "./redriver.ts";
import { idle, idleButProgress, quiet } from "./rest.ts";
import { Relay, relayDefinition, relayName } from "./relay.ts";
import { Runner } from "./runner.ts";
import type { Enrolment, RunnerWorld } from "./runner-world.ts";
import { Session } from "./session.ts";
import { Signals } from "./signals.ts";
import { Settler } from "./settle.ts";
import type { SharedStore } from "./store.ts";
import { SuspectTurns } from "./suspects.ts";

/**
 * All workers of one store in this process: one session, one settler, one reader's wake-up; a runner per subscription.
 * Made with the first runner and gone with the last.
 */
export class Workshop {
  readonly #store: SharedStore;
  readonly #logger: Logger;
  readonly #session: Session;
  readonly #settler: Settler;
  readonly #suspects: SuspectTurns;
  readonly #runners = new Map<string, EnrolledRunner>();
  readonly #keepers = new Map<string, { readonly keeper: ProjectionKeeper; readonly runners: Runner[] }>();
  readonly #alarms = new Map<string, { readonly alarm: Alarm; users: number }>();
  readonly #over = new AbortController();
  readonly clockwork: Clockwork;
  readonly #pauses: Pauses;
  #paused: ReadonlyMap<number, Paused> = new Map();
  readonly #follow = (paused: ReadonlyMap<number, Paused>): void => {
    this.#paused = paused;
    for (const { sub, runner } of this.#runners.values()) runner.standing.pausedIs(paused.get(sub) ?? notPaused);
  };
  #signals: Signals | undefined;
  #relay: Relay | undefined;
  #redriver: Redriver | undefined;
  #outbox: OutboxPoll | undefined;
  #waking: Promise<void> | undefined;
  #failed: unknown;
  readonly #failure = Promise.withResolvers<never>();

  constructor(store: SharedStore, logger: Logger, leaseMs: number) {
    this.#store = store;
    this.#logger = logger;
    this.#suspects = new SuspectTurns(store.env);
    const fail = (error: unknown): void => this.#fail(error);
    this.#session = new Session(store.env, store.engine.ledger, logger, leaseMs, fail);
    this.#settler = new Settler(store.env, store.engine.ledger, () => this.#session.id, fail);
    this.clockwork = new Clockwork({ env: store.env, ledger: store.engine.ledger, logger, fail });
    this.#failure.promise.catch(() => {});
    this.#pauses = pausesOf(store);
  }

  /** The alerts of an app that runs here begin with its first `work` and end with its last. */
  #watch(app: AppSpec): void {
    const known = this.#alarms.get(app.name);
    if (known !== undefined) return void known.users++;
    const { env } = this.#store;
    const speaks = (subs: ReadonlySet<number>): boolean => this.#session.isFirstOf(subs);
    const alarm = new Alarm({ env, logger: this.#logger, measures: measuresOf(this.#store), speaks }, app);
    this.#alarms.set(app.name, { alarm, users: 1 });
    alarm.start();
  }
  /** The alarm that nobody else here needs, having looked a last time; to be closed. */
  async #lastAlarm(app: AppSpec): Promise<Alarm | undefined> {
    const known = this.#alarms.get(app.name);
    if (known === undefined || --known.users > 0) return undefined;
    this.#alarms.delete(app.name);
    await known.alarm.stop();
    return known.alarm;
  }

  /** Rejects when the workshop had to fail stop. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }
  #fail(error: unknown): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#pauses.unfollow(this.#follow);
    for (const { runner } of this.#runners.values()) {
      runner.quiesce();
      runner.abort();
    }
    for (const { alarm } of this.#alarms.values()) alarm.abandon();
    for (const { keeper } of this.#keepers.values()) void keeper.stop();
    this.#relay?.stop();
    this.#redriver?.stop();
    this.clockwork.stop();
    void this.#signals?.stop();
    void this.#outbox?.stop();
    this.#settler.stop();
    this.#suspects.stop();
    this.#session.stop();
    this.#over.abort();
    this.#failure.reject(error);
  }

  /**
   * Enrols the subscriptions and begins to work on them. All or none. The list of runners is kept up to date where
   * projections are rebuilt.
   */
  async start(app: AppSpec, specs: readonly SubscriptionSpec[]): Promise<readonly Runner[]> {
    for (const spec of specs) {
      if (this.#runners.has(spec.name) || this.#keepers.has(spec.name)) {
        throw new FactlogError(
          "DUPLICATE_SUBSCRIPTION",
          `${spec.name} is being worked on in this process already: stop that worker first, or name others with \`only\`.`,
          { details: { subscription: spec.name } },
        );
      }
    }
    const { log, ledger } = this.#store.engine;
    for (const { store } of specs) if (store !== undefined) await ledger.bind(store);
    const runners: Runner[] = [];
    const keepers = specs.filter(isProjection).map((spec) => this.#keeper(app.name, spec, runners));
    for (const spec of specs) {
      if (!isProjection(spec)) runners.push(this.#runner(app.name, spec, await enrol(log, ledger, spec)));
    }
    for (const keeper of keepers) await keeper.begin().catch((error: unknown) => giveUp(keepers, error));
    await this.#startRelay();
    this.#follow(await this.#pauses.look());
    this.#pauses.follow(this.#follow, (error) => this.#fail(error));
    for (const keeper of keepers) this.#keepers.set(keeper.spec.name, { keeper, runners });
    for (const runner of runners) this.#employ(runner);
    await this.#session.round();
    // Failed while it began: what begins below would be ended by nobody.
    if (this.#failed !== undefined) await this.failure;
    this.#waking ??= this.#wakeReaders();
    if (log.capabilities.totalOrder) {
      this.#signals ??= new Signals({
        env: this.#store.env,
        log,
        ledger,
        told: () => {
          for (const { runner } of this.#runners.values()) runner.due.look();
        },
        fail: (error) => this.#fail(error),
      });
    }
    this.#redriver ??= new Redriver({
      env: this.#store.env,
      engine: this.#store.engine,
      source: app.name,
      mine: () => this.#firstOf(),
      fail: (error) => this.#fail(error),
    });
    this.clockwork.add(app.schedules.map((spec) => ({ spec, source: app.name })));
    if (log.capabilities.outbox) {
      this.#outbox ??= new OutboxPoll(this.#store.env, log, (error) => this.#fail(error));
    }
    this.#watch(app);
    return runners;
  }
  #runner(source: string, spec: SubscriptionSpec, { sub, gen, revision }: Enrolment): Runner {
    return new Runner(this.#world(source), spec, { sub, gen, revision });
  }
  #employ(runner: Runner): void {
    const entry = new EnrolledRunner(this.#store, this.#session.leaseMs, runner);
    runner.standing.pausedIs(this.#paused.get(entry.sub) ?? notPaused);
    this.#runners.set(runner.spec.name, entry);
    this.#session.add(entry);
    runner.start();
  }
  /** Its runners come and go in `runners`; those that it opens once it is known here begin at once. */
  #keeper(source: string, spec: ProjectionSubscription, runners: Runner[]): ProjectionKeeper {
    const world = this.#world(source);
    const open = (one: SubscriptionSpec, enrolment: Enrolment): Runner => {
      const runner = this.#runner(source, one, enrolment);
      runners.push(runner);
      if (!this.#keepers.has(spec.name)) return runner;
      this.#employ(runner);
      void this.#session.round();
      return runner;
    };
    const shut = (runner: Runner): void => {
      runners.splice(runners.indexOf(runner), 1);
      runner.quiesce();
      runner.abort();
      this.#forget(runner);
    };
    return new ProjectionKeeper({ ...world, open, shut }, spec);
  }
  /** Runners of subscriptions that no other living worker is the first to serve. */
  #firstOf(): readonly Runner[] {
    return [...this.#runners.values()]
      .filter(({ sub, runner }) => !runner.stopping && this.#session.isFirstOf(new Set([sub])))
      .map(({ runner }) => runner);
  }
  #world(source: string): RunnerWorld {
    return {
      env: this.#store.env,
      log: this.#store.engine.log,
      ledger: this.#store.engine.ledger,
      session: () => this.#session.id,
      settler: this.#settler,
      suspects: this.#suspects,
      logger: this.#logger,
      deltas: deltasOf(this.#store),
      source,
      awaiting: () => this.#signals?.awaiting(),
      delayed: (dueMs) => this.clockwork.at(dueMs),
      lookAtPauses: () => this.#pauses.look(),
      isGone: (session) => this.#session.isGone(session),
      handBack: () => void this.#session.round(),
      fail: (error) => this.#fail(error),
    };
  }
  async #startRelay(): Promise<void> {
    const { ledger, log } = this.#store.engine;
    if (ledger.capabilities.sharesLog || this.#relay !== undefined) return;
    const enrolled = await ledger.command({
      kind: "define",
      name: relayName,
      definition: relayDefinition,
      start: new Map(),
      baseline: new Map(),
    });
    this.#relay = new Relay(
      {
        env: this.#store.env,
        log,
        ledger,
        settler: this.#settler,
        logger: this.#logger,
        fail: (error) => this.#fail(error),
      },
      enrolled,
    );
    this.#session.add(this.#relay);
  }
  async #wakeReaders(): Promise<void> {
    const { log } = this.#store.engine;
    while (!this.#over.signal.aborted) {
      await log.wake(limits.wakeMaxMs, this.#over.signal);
      // A log that was closed or has failed wakes at once, each time: those who would say so must have their turn.
      await new Promise<void>((resolve) => this.#store.env.soon(resolve));
      for (const { runner } of this.#runners.values()) runner.reader.wake();
      this.#signals?.wake();
    }
  }

  /** Nothing is due in these runners: all is read, run and recorded, and no dead worker's share is still to come. */
  async quiet(runners: readonly Runner[]): Promise<boolean> {
    try {
      return await this.#isQuiet(runners);
    } catch (error) {
      if (mayPass(error)) return false;
      throw error;
    }
  }
  async #isQuiet(runners: readonly Runner[]): Promise<boolean> {
    if (!this.#session.settledIn) return false;
    for (const { keeper } of this.#keepersOf(runners)) if (await keeper.look()) return false;
    if (!runners.every(idleButProgress)) return false;
    if (runners.some((runner) => this.#runners.get(runner.spec.name)?.superseded === true)) return false;
    await this.#settler.flush();
    if ((await this.clockwork.settle()) > 0) return false;
    if (((await this.#signals?.settle()) ?? 0) > 0) return false;
    if (this.#relay !== undefined && (await this.#relay.carry()) > 0) return false;
    if ((await this.#outbox?.empty()) === false) return false;
    for (const runner of runners) if (!(await quiet(runner))) return false;
    // Now that all is at rest: what jobs wait for is over, or waits for its time.
    if ((await this.#redriver?.quiet()) === false) return false;
    return runners.every(idle);
  }
  #keepersOf(runners: readonly Runner[]): readonly { readonly keeper: ProjectionKeeper }[] {
    return [...this.#keepers.values()].filter((entry) => entry.runners === runners);
  }
  get failed(): unknown {
    return this.#failed;
  }

  /** Stops these runners: no new work, what runs may end within the grace period, the rest is handed back uncharged. */
  async stop(app: AppSpec, runners: readonly Runner[], graceMs: number): Promise<void> {
    const { env } = this.#store;
    for (const { keeper } of this.#keepersOf(runners)) {
      await keeper.stop();
      this.#keepers.delete(keeper.spec.name);
    }
    for (const runner of runners) runner.quiesce();
    const until = env.monotonic() + graceMs;
    while (this.#failed === undefined && runners.some((runner) => runner.working > 0) && env.monotonic() < until)
      await pause(env, 5);
    for (const runner of runners) runner.abort();
    if (this.#failed !== undefined) return;
    // A store that takes nothing (a full disk) does not keep the process: what it was not told runs again elsewhere.
    const flushed = new AbortController();
    const flush = this.#settler.flush().finally(() => flushed.abort());
    await Promise.race([flush, pause(env, Math.max(until - env.monotonic(), limits.closeGraceMs), flushed.signal)]);
    await leaveLimits(runners);
    const alarm = await this.#lastAlarm(app);
    await this.#leave(runners);
    await alarm?.close();
  }
  async #leave(runners: readonly Runner[]): Promise<void> {
    if (runners.length === this.#runners.size) return this.#close(runners);
    for (const runner of runners) {
      const entry = this.#runners.get(runner.spec.name);
      if (entry !== undefined) entry.surrendered = true;
      this.#session.release(runner.attempts.runningRows());
      runner.surrender();
    }
    const { env } = this.#store;
    const until = env.monotonic() + limits.closeGraceMs;
    await this.#session.round();
    while (runners.some((runner) => runner.slots.size > 0) && env.monotonic() < until) {
      await pause(env, limits.checkpointMs);
      await this.#session.round();
    }
    for (const runner of runners) this.#forget(runner);
    if (this.#runners.size === 0) await this.#close([]);
  }
  async #close(runners: readonly Runner[]): Promise<void> {
    this.#store.parts.delete(partName);
    this.#pauses.unfollow(this.#follow);
    this.#over.abort();
    this.#relay?.stop();
    this.#redriver?.stop();
    this.clockwork.stop();
    await this.#signals?.stop();
    await this.#outbox?.stop();
    await this.#waking;
    await this.#session.leave();
    this.#settler.stop();
    this.#suspects.stop();
    for (const runner of runners) this.#forget(runner);
  }
  #forget(runner: Runner): void {
    const entry = this.#runners.get(runner.spec.name);
    if (entry === undefined) return;
    this.#runners.delete(runner.spec.name);
    this.#session.remove(entry);
  }
}

/** What they hold of limits over all processes is free at once. */
const leaveLimits = (runners: readonly Runner[]): Promise<unknown> =>
  Promise.all(runners.map((runner) => runner.allowances.leave()));

/** One of them could not begin: none goes on. */
function giveUp(keepers: readonly ProjectionKeeper[], error: unknown): never {
  for (const keeper of keepers) void keeper.stop();
  throw error;
}

const partName = "workshop";

/** The workshop of a store, where there is one. */
export function workshopIn(store: SharedStore): Workshop | undefined {
  return store.parts.get(partName) as Workshop | undefined;
}
/** The workshop of a store, made when it is first asked for. */
export function workshopOf(store: SharedStore, logger: Logger, leaseMs: number): Workshop {
  const known = workshopIn(store);
  if (known !== undefined && known.failed === undefined) return known;
  const made = new Workshop(store, logger, leaseMs);
  store.parts.set(partName, made);
  return made;
}
