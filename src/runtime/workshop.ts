import type { AppSpec } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { LeaseState, SlotLease } from "../engine/ledger.ts";
import { pause } from "../env.ts";
import { FactlogError, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { workerStage } from "../observe/channels.ts";
import { Alarm } from "./alarm.ts";
import { Clockwork } from "./clockwork.ts";
import { deltasOf } from "./deltas.ts";
import { enrol } from "./enrol.ts";
import { measuresOf } from "./measures.ts";
import { OutboxPoll } from "./outbox.ts";
import { notPaused, type Paused, type Pauses, pausesOf } from "./pauses.ts";
import { Redriver } from "./redriver.ts";
import { Relay, relayDefinition, relayName } from "./relay.ts";
import { Runner } from "./runner.ts";
import type { RunnerWorld } from "./runner-world.ts";
import { Session, type Tenant } from "./session.ts";
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
  readonly #alarms = new Map<string, { readonly alarm: Alarm; users: number }>();
  readonly #over = new AbortController();
  readonly clockwork: Clockwork;
  readonly #pauses: Pauses;
  readonly #follow = (paused: ReadonlyMap<number, Paused>): void => {
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

  /** Enrols the subscriptions and begins to work on them. All or none. */
  async start(app: AppSpec, specs: readonly SubscriptionSpec[]): Promise<readonly Runner[]> {
    for (const spec of specs) {
      if (this.#runners.has(spec.name)) {
        throw new FactlogError(
          "DUPLICATE_SUBSCRIPTION",
          `${spec.name} is being worked on in this process already: stop that worker first, or name others with \`only\`.`,
          { details: { subscription: spec.name } },
        );
      }
    }
    const { log, ledger } = this.#store.engine;
    for (const { store } of specs) if (store !== undefined) await ledger.bind(store);
    const enrolled: EnrolledRunner[] = [];
    for (const spec of specs) {
      const entry = await enrol(log, ledger, spec);
      enrolled.push(
        new EnrolledRunner(
          this.#store,
          this.#session.leaseMs,
          new Runner(this.#world(app.name), spec, { sub: entry.sub, gen: entry.gen, revision: entry.revision }),
        ),
      );
    }
    await this.#startRelay();
    const paused = await this.#pauses.look();
    this.#pauses.follow(this.#follow, (error) => this.#fail(error));
    for (const each of enrolled) {
      each.runner.standing.pausedIs(paused.get(each.sub) ?? notPaused);
      this.#runners.set(each.runner.spec.name, each);
      this.#session.add(each);
      each.runner.start();
    }
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
    return enrolled.map((each) => each.runner);
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
    if (!this.#session.settledIn || !runners.every((runner) => runner.idleButProgress)) return false;
    if (runners.some((runner) => this.#runners.get(runner.spec.name)?.superseded === true)) return false;
    await this.#settler.flush();
    if ((await this.clockwork.settle()) > 0) return false;
    if (((await this.#signals?.settle()) ?? 0) > 0) return false;
    if (this.#relay !== undefined && (await this.#relay.carry()) > 0) return false;
    if ((await this.#outbox?.empty()) === false) return false;
    if ((await this.#redriver?.quiet()) === false) return false;
    for (const runner of runners) if (!(await runner.quiet())) return false;
    return runners.every((runner) => runner.idle);
  }
  get failed(): unknown {
    return this.#failed;
  }

  /** Stops these runners: no new work, what runs may end within the grace period, the rest is handed back uncharged. */
  async stop(app: AppSpec, runners: readonly Runner[], graceMs: number): Promise<void> {
    const { env } = this.#store;
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

/** A runner as a tenant of the session; follows what the ledger says of its subscription. */
class EnrolledRunner implements Tenant {
  readonly runner: Runner;
  readonly #store: SharedStore;
  readonly #leaseMs: number;
  #unservedSinceMs: number | undefined;
  /** It goes while others stay: it wants no slot any more. */
  surrendered = false;

  constructor(store: SharedStore, leaseMs: number, runner: Runner) {
    this.#store = store;
    this.#leaseMs = leaseMs;
    this.runner = runner;
  }
  get sub(): number {
    return this.runner.enrolment.sub;
  }
  get gen(): number {
    return this.runner.enrolment.gen;
  }
  get revision(): number {
    return this.runner.enrolment.revision;
  }
  get inFlight(): number {
    return this.runner.inFlight;
  }
  get slotCount(): number {
    return this.surrendered ? 0 : this.runner.slotCount;
  }
  async hold(leases: readonly SlotLease[], afterDeath: boolean): Promise<void> {
    const before = this.runner.slots.size;
    await this.runner.hold(leases);
    const slots = this.runner.slots.size - before;
    if (afterDeath && slots > 0) workerStage.publish({ kind: "took-over", subscription: this.runner.spec.name, slots });
  }
  disown(): Promise<void> {
    this.runner.disown();
    return this.runner.hold([]);
  }
  shrinkTo(count: number): void {
    this.runner.shrinkTo(count);
  }
  /** A newer definition stands, which nobody serves: this one may become the newest again. */
  get superseded(): boolean {
    return this.#unservedSinceMs !== undefined;
  }
  returnable(): readonly { readonly lease: SlotLease; drop(): void }[] {
    return this.runner.returnable().map((slot) => ({ lease: slot.lease, drop: () => this.runner.drop(slot) }));
  }
  heard(news: LeaseState["subscriptions"][number], served: boolean): void {
    this.runner.standing.stateIs(news.state);
    if (this.runner.holdsKeys) this.#boundHeld();
    if (news.revision === this.revision) {
      this.#unservedSinceMs = undefined;
      return;
    }
    this.runner.shrinkTo(0);
    const nowMs = this.#store.env.monotonic();
    if (served) this.#unservedSinceMs = undefined;
    else this.#unservedSinceMs ??= nowMs;
    if (this.#unservedSinceMs !== undefined && nowMs - this.#unservedSinceMs >= this.#leaseMs) this.#reinstate();
  }
  /** At the bound of held rows the subscription stops reading, loudly, until some are settled. */
  #boundHeld(): void {
    this.#store.engine.ledger.tally().then(
      (tallies) => this.runner.heldBound.is(tallies.find((each) => each.sub === this.sub)?.rows.held ?? 0),
      (error: unknown) => this.#unlessItMayPass(error),
    );
  }
  /** Nobody serves the newer definition any more (it was rolled back): this one becomes the newest again. */
  #reinstate(): void {
    this.#unservedSinceMs = undefined;
    const { log, ledger } = this.#store.engine;
    enrol(log, ledger, this.runner.spec, true).then(
      (entry) => this.runner.enrolledAs(entry),
      (error: unknown) => this.#unlessItMayPass(error),
    );
  }
  /** A busy store is asked again after a later round. */
  #unlessItMayPass(error: unknown): void {
    if (!mayPass(error)) this.runner.world.fail(error);
  }
}
