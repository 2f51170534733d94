import type { Logger } from "../app/context.ts";
import type { LeaseRequest, LeaseState, Ledger, SessionView, Served, SlotLease } from "../engine/ledger.ts";
import type { Env, Timer } from "../env.ts";
import { hasCode, mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { workerStage } from "../observe/channels.ts";

/** Who takes part in a session: a subscription's runner, or the relay. */
export interface Tenant {
  readonly sub: number;
  readonly gen: number;
  readonly revision: number;
  readonly inFlight: number;
  /** Slots that there are to share. */
  readonly slotCount: number;
  /** The slots that this session holds for it now. `afterDeath`: a session was just found dead, new ones may be its. */
  hold(leases: readonly SlotLease[], afterDeath: boolean): Promise<void>;
  /** The session was declared dead: nothing that runs for it counts any more. */
  disown(): Promise<void>;
  /** No more than this many are mine by right. */
  shrinkTo(count: number): void;
  /** Slots that may be given back now; those answered are dropped once the ledger has them. */
  returnable(): readonly { readonly lease: SlotLease; drop(): void }[];
  /** What the ledger knows of the subscription. `served`: some living session has its newest revision. */
  heard(news: LeaseState["subscriptions"][number], served: boolean): void;
}

interface Watched {
  readonly beat: number;
  readonly sinceMs: number;
}

/** A worker process in the ledger: joins, beats, watches the others, and shares the slots out. */
export class Session {
  readonly #env: Env;
  readonly #ledger: Ledger;
  readonly #logger: Logger;
  readonly #fail: (error: unknown) => void;
  readonly leaseMs: number;
  readonly #tenants = new Set<Tenant>();
  readonly #watched = new Map<number, Watched>();
  /** Sessions whose beat was seen to move. */
  readonly #alive = new Set<number>();
  readonly #releasing: LeaseRequest["release"][number][] = [];
  #id: number | undefined;
  /** The last round asked for the share that is mine among the sessions it has left. */
  #hasTaken = false;
  /** All tenants have the slots of the last round. */
  #toldAll = true;
  #sessions: readonly SessionView[] = [];
  #round: Promise<void> | undefined;
  #again = false;
  #timer: Timer | undefined;
  #stopped = false;
  #lastRoundMs = 0;
  #foundDead = false;
  #roundsBegun = 0;
  /** The newest that was answered. */
  #roundsEnded = 0;
  /** Sessions that were not found, and the newest round when they were first asked about. */
  readonly #asked = new Map<number, number>();

  constructor(env: Env, ledger: Ledger, logger: Logger, leaseMs: number, fail: (error: unknown) => void) {
    this.#env = env;
    this.#ledger = ledger;
    this.#logger = logger;
    this.leaseMs = leaseMs;
    this.#fail = fail;
  }

  get id(): number {
    return this.#id ?? 0;
  }
  /** This session has taken its share, and every other one has been seen alive: no dead worker's share is still to come. */
  get settledIn(): boolean {
    if (this.#id === undefined || !this.#hasTaken || !this.#toldAll) return false;
    return this.#sessions.every((other) => other.session === this.#id || this.#alive.has(other.session));
  }

  /** Whether mine is the lowest of the living sessions that serve one of these subscriptions. */
  isFirstOf(subs: ReadonlySet<number>): boolean {
    if (this.#id === undefined) return false;
    const dead = new Set(this.#dead().map((other) => other.session));
    const serving = this.#sessions.filter(
      (other) => !other.gone && !dead.has(other.session) && other.serves.some(({ sub }) => subs.has(sub)),
    );
    return Math.min(...serving.map((other) => other.session)) === this.#id;
  }

  /** Whether a session is over: a round that began since it was first asked about has not found it. */
  isGone(session: number): boolean {
    if (session === this.#id || this.#sessions.some((other) => other.session === session)) return false;
    const asked = this.#asked.get(session);
    if (asked !== undefined) return this.#roundsEnded > asked;
    if (this.#asked.size >= limits.sessionsAskedMax) this.#asked.clear();
    this.#asked.set(session, this.#roundsBegun);
    return false;
  }

  /** Running rows of mine to be made ready again, uncharged, with the next round. */
  release(rows: LeaseRequest["release"]): void {
    this.#releasing.push(...rows);
  }
  add(tenant: Tenant): void {
    this.#tenants.add(tenant);
  }
  remove(tenant: Tenant): void {
    this.#tenants.delete(tenant);
  }

  /** A lease round that begins after this call; calls share one. */
  round(): Promise<void> {
    if (this.#round !== undefined) {
      this.#again = true;
      return this.#round;
    }
    this.#timer?.cancel();
    this.#round = this.#rounds().finally(() => {
      this.#round = undefined;
      if (!this.#stopped) this.#timer = this.#env.after(this.#intervalMs(), () => void this.round(), { upkeep: true });
    });
    return this.#round;
  }
  #intervalMs(): number {
    const beatMs = this.leaseMs / limits.beatsPerLease;
    return this.#ledger.capabilities.instantDeath ? Math.min(beatMs, limits.deathPollMs) : beatMs;
  }
  async #rounds(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#one();
      } while (this.#again && !this.#stopped);
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
    }
  }
  async #one(): Promise<void> {
    this.#warnOfDelay();
    const tenants = [...this.#tenants];
    const returning = tenants.flatMap((tenant) => tenant.returnable());
    const before = this.#id;
    const number = ++this.#roundsBegun;
    const request = { ...this.#request(tenants), giveBack: returning.map((slot) => slot.lease) };
    let state: LeaseState;
    try {
      state = await this.#ledger.lease(request);
    } catch (error) {
      if (hasCode(error, "LEASE_LOST")) return this.#declaredDead(tenants);
      if (mayPass(error)) return;
      throw error;
    }
    for (const slot of returning) slot.drop();
    this.#releasing.splice(0, request.release.length);
    this.#hasTaken = before !== undefined && this.#expected(request.dead, state.sessions);
    this.#id = state.session;
    this.#sessions = state.sessions;
    this.#roundsEnded = number;
    this.#watch();
    if (before === undefined) {
      workerStage.publish({
        kind: "joined",
        session: state.session,
        others: state.sessions.filter((other) => !other.gone).length - 1,
      });
    }
    // What a dead session held is taken in the round that finds it dead, or in the next.
    const afterDeath = request.dead.length > 0 || this.#foundDead;
    this.#foundDead = request.dead.length > 0;
    // Loading takes time where the store is a server: until then what is held is not yet looked at.
    this.#toldAll = false;
    let told = true;
    for (const tenant of tenants)
      await this.#tell(tenant, state, afterDeath).catch((error: unknown) => {
        requireBusy(error);
        told = false;
      });
    this.#toldAll = told;
    // Right after joining, where others have come or gone, and where someone is dead, another round takes what is mine.
    if (!this.#hasTaken || state.sessions.some((other) => other.gone)) this.#again = true;
  }

  #request(tenants: readonly Tenant[]): Omit<LeaseRequest, "giveBack"> {
    return {
      ...(this.#id === undefined ? {} : { session: this.#id }),
      leaseMs: this.leaseMs,
      serves: tenants.map(servedBy),
      dead: this.#dead().map((other) => ({ session: other.session, beat: other.beat })),
      crashDueMs: this.#env.now() + limits.crashDelayMs,
      release: [...this.#releasing],
      want: tenants.map((tenant) => ({
        sub: tenant.sub,
        gen: tenant.gen,
        revision: tenant.revision,
        slots: this.#quota(tenant),
      })),
    };
  }
  /** Whether a round has found the sessions that its shares were counted by. */
  #expected(dead: LeaseRequest["dead"], found: readonly SessionView[]): boolean {
    const gone = new Set(dead.map((other) => other.session));
    const left = new Set(this.#sessions.flatMap(({ session }) => (gone.has(session) ? [] : [session])));
    return left.size === found.length && found.every(({ session }) => left.has(session));
  }
  /** My fair share: the slots divided by the sessions that serve this subscription, the rest going round by number. */
  #quota(tenant: Tenant): number {
    if (this.#id === undefined) return 0;
    const dead = new Set(this.#dead());
    const serving = this.#sessions
      .filter((other) => !dead.has(other) && this.#serves(other, tenant))
      .map((other) => other.session);
    if (!serving.includes(this.#id)) serving.push(this.#id);
    serving.sort((a, b) => a - b);
    const place = (serving.indexOf(this.#id) + tenant.sub) % serving.length;
    const rest = tenant.slotCount % serving.length;
    return Math.floor(tenant.slotCount / serving.length) + (place < rest ? 1 : 0);
  }
  #serves(other: SessionView, tenant: Tenant): boolean {
    return (
      !other.gone && other.serves.some((served) => served.sub === tenant.sub && served.revision === tenant.revision)
    );
  }
  async #tell(tenant: Tenant, state: LeaseState, afterDeath: boolean): Promise<void> {
    const news = state.subscriptions.find((each) => each.sub === tenant.sub);
    if (news !== undefined) {
      const served = state.sessions.some(
        (other) => !other.gone && other.serves.some((each) => each.sub === news.sub && each.revision === news.revision),
      );
      tenant.heard(news, served);
    }
    await tenant.hold(
      state.held.filter((lease) => lease.sub === tenant.sub),
      afterDeath,
    );
    tenant.shrinkTo(this.#quota(tenant));
  }

  /** Others that I have watched stand still for their lease, or whose process is certainly gone. */
  #dead(): readonly SessionView[] {
    const nowMs = this.#env.monotonic();
    return this.#sessions.filter((other) => {
      if (other.session === this.#id) return false;
      const watched = this.#watched.get(other.session);
      return other.gone || (watched?.beat === other.beat && nowMs - watched.sinceMs >= other.leaseMs);
    });
  }
  #watch(): void {
    const nowMs = this.#env.monotonic();
    for (const { session, beat } of this.#sessions) {
      const watched = this.#watched.get(session);
      if (watched !== undefined && watched.beat !== beat) this.#alive.add(session);
      if (watched?.beat !== beat) this.#watched.set(session, { beat, sinceMs: nowMs });
    }
    const known = new Set(this.#sessions.map((each) => each.session));
    for (const session of this.#watched.keys()) if (!known.has(session)) this.#watched.delete(session);
  }
  /** The others took me for dead: nothing of mine counts any more; I join as a new session. */
  async #declaredDead(tenants: readonly Tenant[]): Promise<void> {
    this.#logger.warn("this worker was taken for dead (it stood still for longer than its lease) and joins anew", {
      session: this.#id,
      leaseMs: this.leaseMs,
    });
    workerStage.publish({ kind: "taken-for-dead", session: this.id });
    this.#id = undefined;
    this.#sessions = [];
    for (const tenant of tenants) await tenant.disown();
    this.#again = true;
  }
  #warnOfDelay(): void {
    const nowMs = this.#env.monotonic();
    const lateMs = this.#lastRoundMs === 0 ? 0 : nowMs - this.#lastRoundMs - this.#intervalMs();
    this.#lastRoundMs = nowMs;
    if (lateMs > this.leaseMs / 3) {
      this.#logger.warn(
        "the event loop stood still for more than a third of the lease: move long computations out of handlers",
        { lateMs: Math.round(lateMs), leaseMs: this.leaseMs },
      );
    }
  }

  /** Gives everything back and removes the session. Idempotent. */
  async leave(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#round;
    if (this.#id === undefined) return;
    try {
      await this.#ledger.lease({
        session: this.#id,
        leaseMs: this.leaseMs,
        serves: [],
        dead: [],
        crashDueMs: this.#env.now(),
        giveBack: [],
        release: [],
        want: [],
        leave: true,
      });
      workerStage.publish({ kind: "left", session: this.#id });
    } catch (error) {
      if (mayPass(error))
        this.#logger.warn("the store takes nothing now: others take over when this session's lease is over");
      else if (!hasCode(error, "LEASE_LOST")) throw error;
    }
  }
  /** Stops beating without a word, as when the store has failed. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
}

const servedBy = (tenant: Tenant): Served => ({
  sub: tenant.sub,
  revision: tenant.revision,
  inFlight: tenant.inFlight,
});

/** A busy store: slots that could not be loaded now are loaded with the next round. */
function requireBusy(error: unknown): void {
  if (!mayPass(error)) throw error;
}
