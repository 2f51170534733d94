import type { Outcome } from "../delivery/outcome.ts";
import type { Timer } from "../env.ts";
import { pause } from "../env.ts";
import { mayPass } from "../errors.ts";
import { limits } from "../limits.ts";
import { describeFailure } from "./failure.ts";
import { moveEntry } from "./move-entry.ts";
import {
  type Counted,
  isOn,
  type OutageState,
  outageKind,
  outageName,
  readOutage,
  storedOutage,
  versionOf,
} from "./outage-state.ts";
import type { Runner } from "./runner.ts";
import { type Delivery, refOf } from "./slot-work.ts";

/** What failed in a row, by lane: of each the failures that it had before. */
interface Streak {
  readonly members: Map<string, { readonly delivery: Delivery; readonly failures: number }>;
  readonly errors: Set<unknown>;
  points: number;
}
const noStreak = (): Streak => ({ members: new Map(), errors: new Set(), points: 0 });

/**
 * Whether what a subscription depends on is down. Failures in a row over different keys and over all processes turn it degraded:
 * nothing starts but one probe at a time, no attempt is charged, and those that the row has cost are given back. What is known
 * stands in the register, where every process looks for it. While nothing fails it costs one comparison a delivery.
 */
export class Outage {
  readonly #runner: Runner;
  #streak = noStreak();
  /** As the register says, or as it is about to say; undefined: nothing is known of any. */
  #state: OutageState | undefined;
  /** What is known here is being told: what the register says meanwhile is older. */
  #telling = false;
  /** Before it is told: others may say that they get through. */
  #listening = false;
  #tellTimer: Timer | undefined;
  #probeTimer: Timer | undefined;
  /** When this process may take the next probe, monotonic. */
  #probeMs = 0;
  /** A probe may start here; then the delivery that is one. */
  #probe: "granted" | Delivery | undefined;
  /** Lanes whose `Unavailable` was no outage: another key went through right after. They are charged like any failure. */
  readonly #wolves = new Set<string>();
  #criedBy: string | undefined;
  #stopped = false;

  constructor(runner: Runner) {
    this.#runner = runner;
  }
  /** Nothing starts but a probe. */
  get isOn(): boolean {
    return this.#state !== undefined;
  }
  /** The same, and nothing of it is under way here but waiting. */
  get stands(): boolean {
    return this.#state !== undefined && (!this.#telling || this.#listening);
  }
  /** How much may start, of this. */
  roomOf(free: number): number {
    if (this.#state === undefined) return free;
    return this.#probe === "granted" ? 1 : 0;
  }
  stop(): void {
    this.#stopped = true;
    this.#tellTimer?.cancel();
    this.#probeTimer?.cancel();
  }

  // ── how attempts end ──
  /** What an outcome is, in the light of those before it. */
  judge(delivery: Delivery, outcome: Outcome): Outcome {
    if (outcome.kind === "done") {
      if (this.#state !== undefined) this.#recovered(delivery);
      else if (this.#streak.members.size > 0) this.#streak = noStreak();
      return outcome;
    }
    if (outcome.kind !== "failed" && outcome.kind !== "unavailable") return outcome;
    const failed: Outcome =
      outcome.kind === "failed" ? outcome : { kind: "failed", class: "error", error: outcome.error };
    const lane = laneOf(delivery);
    if (!this.#runner.spec.outage || (outcome.kind === "unavailable" && this.#wolves.has(lane))) return failed;
    if (this.#state !== undefined) return this.#freeze(delivery, outcome.error);
    this.#count(delivery, lane, outcome);
    if (this.#streak.points < limits.outageFailures) {
      this.#tellTimer ??= this.#runner.world.env.after(limits.outageShareMs, () => this.#tell(), { upkeep: true });
      return failed;
    }
    if (outcome.kind === "unavailable") this.#criedBy = lane;
    const nowMs = this.#runner.world.env.now();
    const { error: text } = describeFailure("unavailable", outcome.error);
    const error = text.split("\n")[0] ?? "";
    this.#enter({ sinceMs: nowMs, error, probes: 0, nextMs: nowMs + intervalMs(0), busy: false });
    this.#tell();
    return this.#freeze(delivery, outcome.error);
  }
  #count(delivery: Delivery, lane: string, outcome: Outcome & { readonly error: unknown }): void {
    const { members, errors } = this.#streak;
    const isNew = !members.has(lane);
    if (isNew && members.size < limits.outageMembersMax) members.set(lane, { delivery, failures: delivery.failures });
    // A throw fails a whole batch: that is one failure.
    const inBatches = this.#runner.spec.batch !== undefined;
    const isCounted = inBatches && errors.has(outcome.error);
    if (inBatches) errors.add(outcome.error);
    // What has failed before says nothing of what it depends on: keys that always fail may be many.
    const isFirst = delivery.failures === 0 && delivery.frozen !== true;
    if (isNew && !isCounted && (isFirst || outcome.kind === "unavailable")) this.#streak.points += pointsOf(outcome);
  }
  /** It waits, uncharged, until what it depends on is there again. */
  #freeze(delivery: Delivery, error: unknown): Outcome {
    const member = this.#streak.members.get(laneOf(delivery));
    // It failed in the streak, and again now: both are given back.
    if (member?.delivery.event.position === delivery.event.position) delivery.failures = member.failures;
    if (delivery === this.#probe) this.#probeFailed();
    return { kind: "unavailable", error, waitMs: intervalMs(this.#state?.probes ?? 0) + 1 };
  }

  // ── degraded ──
  #enter(state: OutageState): void {
    const { spec, world } = this.#runner;
    world.logger.error(
      `${spec.name} is degraded: what it depends on seems to be down. It probes, and charges no attempt, until one delivery succeeds.`,
      { subscription: spec.name, error: state.error },
    );
    this.#adopt(state);
  }
  /** Waits for the next probe from when this was seen first. */
  #adopt(state: OutageState): void {
    const isNew = this.#state === undefined || versionOf(this.#state) !== versionOf(state);
    this.#state = state;
    if (!isNew) return;
    const { env } = this.#runner.world;
    // Whose probe died with its process: nobody sees that sooner.
    const lapseMs = state.busy ? this.#runner.spec.timeoutMs + limits.abandonAfterMs : 0;
    this.#probeMs = env.monotonic() + intervalMs(state.probes) + lapseMs;
    if (this.#probe === undefined) this.#probeLater();
  }
  /** What the register says; undefined: no outage. */
  heard(state: OutageState | undefined): void {
    if (this.#telling || this.#stopped || !this.#runner.spec.outage) return;
    if (state === undefined) return this.#state === undefined ? undefined : this.#leave();
    if (this.#state !== undefined) return this.#adopt(state);
    this.#enter(state);
    this.#giveBack();
  }
  /** One delivery went through: all may go on. */
  #recovered(delivery: Delivery): void {
    const { spec, world } = this.#runner;
    const probes = this.#state?.probes ?? 0;
    if (probes > 1) this.#wolves.clear();
    else if (this.#criedBy !== undefined && this.#criedBy !== laneOf(delivery)) this.#wolves.add(this.#criedBy);
    world.logger.info(`${spec.name} goes on: a delivery succeeded`, { subscription: spec.name, probes });
    this.#leave();
    this.#telling = true;
    void this.#move((known) => (isOn(known) ? "over" : undefined)).finally(() => (this.#telling = false));
  }
  #leave(): void {
    this.#state = undefined;
    this.#probe = undefined;
    this.#criedBy = undefined;
    this.#streak = noStreak();
    this.#probeTimer?.cancel();
    this.#probeTimer = undefined;
    this.#runner.due.thaw();
    this.#runner.reader.wake();
    this.#runner.pump();
  }

  // ── probes ──
  #probeLater(): void {
    this.#probeTimer?.cancel();
    if (this.#stopped) return;
    const { env } = this.#runner.world;
    const waitMs = Math.max(limits.outageAgainMs, this.#probeMs - env.monotonic());
    this.#probeTimer = env.after(waitMs, () => void this.#tryProbe());
  }
  /** Takes the right to the next probe, where this process has something to try. */
  async #tryProbe(): Promise<void> {
    const state = this.#state;
    if (state === undefined || this.#stopped || this.#probe !== undefined) return;
    const { env } = this.#runner.world;
    if (this.#telling || !this.#runner.lanes.ready || env.monotonic() < this.#probeMs) return this.#probeLater();
    let taken: OutageState | undefined;
    this.#telling = true;
    await this.#move((known) => {
      taken = undefined;
      if (!isOn(known) || versionOf(known) !== versionOf(state)) return undefined;
      const probes = known.probes + 1;
      return (taken = { ...known, probes, busy: true, nextMs: env.now() + intervalMs(probes) });
    });
    this.#telling = false;
    if (this.#state === undefined || this.#stopped) return;
    if (taken === undefined) return this.#probeLater();
    this.#probe = "granted";
    this.#adopt(taken);
    this.#runner.pump();
  }
  /** This delivery starts. */
  started(delivery: Delivery): void {
    if (this.#probe === "granted") this.#probe = delivery;
  }
  /** It did not run after all: another may be the probe. */
  notStarted(delivery: Delivery): void {
    if (this.#probe === delivery) this.#probe = "granted";
  }
  /** There is nothing here that may start, so that another process may probe. */
  unused(): void {
    if (this.#probe === "granted" && !this.#stopped) this.#probeFailed();
  }
  #probeFailed(): void {
    this.#probe = undefined;
    const state = this.#state as OutageState;
    const nextMs = this.#runner.world.env.now() + intervalMs(state.probes);
    const after: OutageState = { ...state, busy: false, nextMs };
    this.#adopt(after);
    this.#telling = true;
    void this.#move((known) => (isOn(known) ? after : undefined)).finally(() => (this.#telling = false));
  }

  // ── counted over all processes ──
  /** Tells what failed here, and learns what failed elsewhere. */
  #tell(): void {
    this.#tellTimer?.cancel();
    this.#tellTimer = undefined;
    if (this.#telling || this.#stopped || this.#streak.points === 0) return;
    this.#telling = true;
    void this.#guarded(() => this.#share()).finally(() => (this.#telling = false));
  }
  async #share(): Promise<void> {
    const { world } = this.#runner;
    await world.settler.flush();
    const done = await this.#doneSoFar();
    if (this.#state !== undefined) {
      // Somebody else may get through: that is told within a checkpoint.
      this.#listening = true;
      await pause(world.env, limits.outageShareMs);
      this.#listening = false;
      if ((await this.#doneSoFar()) !== done) return this.#falseAlarm();
    }
    const mine = { session: world.session(), points: this.#streak.points };
    if (mine.points === 0) return;
    let on: OutageState | undefined;
    let othersSucceeded = false;
    await this.#move((known) => {
      othersSucceeded = false;
      on = isOn(known) ? known : undefined;
      if (on !== undefined) return undefined;
      const before = isOn(known) ? undefined : known;
      othersSucceeded = before?.points[mine.session] !== undefined && before.done !== done;
      const points: Record<string, number> = {
        ...(before?.done === done ? before.points : {}),
        [mine.session]: mine.points,
      };
      const sum = Object.values(points).reduce((total, each) => total + each, 0);
      if (sum >= limits.outageFailures && !othersSucceeded) on = this.#state ?? this.#begun();
      return on ?? { done, points };
    });
    if (othersSucceeded) return this.#falseAlarm();
    if (on === undefined) return;
    if (this.#state === undefined) this.#enter(on);
    else this.#adopt(on);
    this.#giveBack();
  }
  #begun(): OutageState {
    const nowMs = this.#runner.world.env.now();
    const error = "failures over several processes";
    return { sinceMs: nowMs, error, probes: 0, nextMs: nowMs + intervalMs(0), busy: false };
  }
  /** Others get through: what fails here is no outage. */
  #falseAlarm(): void {
    if (this.#state === undefined) this.#streak = noStreak();
    else this.#leave();
  }
  async #doneSoFar(): Promise<number> {
    const { world, enrolment } = this.#runner;
    const tallies = (await world.ledger.tally()).filter(({ sub }) => sub === enrolment.sub);
    return tallies.flatMap(({ slots }) => slots).reduce((sum, { outcomes }) => sum + outcomes.done, 0);
  }
  /** The attempts that the streak has charged. */
  #giveBack(): void {
    for (const { delivery, failures } of this.#streak.members.values()) {
      void this.#guarded(async () => {
        const ref = refOf(delivery);
        const [row] = await this.#runner.world.ledger.deliveries({ kind: "one", delivery: ref });
        if (row?.state === "retrying" && row.failures > failures) this.#runner.due.uncharge(delivery, row, failures);
      });
    }
  }
  /** Moves the entry on, and looks: what was seen before that is old. */
  #move(to: (known: OutageState | Counted | undefined) => OutageState | Counted | "over" | undefined): Promise<void> {
    const { world, enrolment } = this.#runner;
    return this.#guarded(async () => {
      await moveEntry(world.ledger, outageKind, outageName(enrolment.sub), (seen) => {
        const next = to(readOutage(seen));
        if (next === undefined) return undefined;
        return { body: next === "over" ? undefined : storedOutage(enrolment.sub, next), events: [] };
      });
      await world.lookAtPauses();
    });
  }
  /** A busy store is asked again with the next failure, or the next look. */
  async #guarded(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!mayPass(error) && !this.#stopped) this.#runner.world.fail(error);
    }
  }
}

/** From the end of one probe to the next, of which so many came before. */
const intervalMs = (probes: number): number =>
  Math.min(limits.outageProbeMaxMs, limits.outageProbeFirstMs * 2 ** Math.min(probes, 20));

const laneOf = ({ key, event }: Delivery): string => (key === undefined ? `@${event.position}` : `=${key}`);

const connectionCodes = new Set(
  "ECONNREFUSED ECONNRESET ECONNABORTED ETIMEDOUT EHOSTUNREACH ENETUNREACH EAI_AGAIN ENOTFOUND EPIPE".split(" "),
);

/** Ten ordinary failures make an outage, three of a connection, one `Unavailable`. */
function pointsOf(outcome: Outcome & { readonly error: unknown }): number {
  if (outcome.kind === "unavailable") return limits.outageFailures;
  return isOfConnection(outcome.error, 4) ? Math.ceil(limits.outageFailures / limits.outageConnections) : 1;
}
/** By the code of an error or of what caused it. Never throws. */
function isOfConnection(error: unknown, depth: number): boolean {
  try {
    if (typeof error !== "object" || error === null || depth === 0) return false;
    const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
    if (typeof code === "string" && (connectionCodes.has(code) || code.startsWith("UND_ERR_"))) return true;
    return isOfConnection(cause, depth - 1);
  } catch {
    return false;
  }
}
