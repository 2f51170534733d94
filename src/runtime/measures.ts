import type { Engine } from "../engine/engine.ts";
import type { Ledger, Outcomes, SubscriptionTally } from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import { limits } from "../limits.ts";
import { OldestOpen, pendingOf } from "./lag.ts";
import { allotments } from "./limit-entries.ts";
import { notPaused, type Paused, type Pauses, pausesOf } from "./pauses.ts";
import { relayName } from "./relay.ts";
import type { SharedStore } from "./store.ts";
import { type WaitsFor, waitsFor } from "./waits-for.ts";

/** Read from what is stored when it is asked for: it moves on while no worker runs. */
export interface SubscriptionStatus {
  readonly name: string;
  /** "replaying": tables of a projection that are being filled beside the live ones. */
  readonly state: "active" | "paused" | "degraded" | "stopped" | "replaying" | "unknown-to-this-app";
  /** Open deliveries but dead ones. */
  readonly depth: number;
  /** Age of the oldest of these. */
  readonly lagMs: number;
  /** Not looked at yet; part of `depth`. */
  readonly pending: number;
  /** A gauge, as of the workers' last beats. */
  readonly inFlight: number;
  readonly retrying: number;
  /** Left waiting in the middle of a handler: for a time, a fact or a person. */
  readonly waiting: number;
  readonly dead: number;
  readonly blockedKeys: number;
  readonly held: number;
  /** Of groups beyond their share: they wait for the turn of their group. */
  readonly deferred: number;
  /** Keys and groups that an operator has paused. */
  readonly pausedKeys: number;
  readonly pausedGroups: number;
  /** Whom it waits for, as of now; the first 20. */
  readonly waitsFor: readonly WaitsFor[];
  /** While it is degraded: since when, by what error (its first line), the probes so far, and when the next is due. */
  readonly outage:
    | { readonly since: Date; readonly error: string; readonly probes: number; readonly nextProbe: Date }
    | undefined;
  /** Worker processes that hold slots of it. */
  readonly workers: number;
  readonly closed: number;
  readonly outcomes: Outcomes;
  /**
   * Deliveries closed a second, over the last 10 s that this process has looked. Undefined at its first look, and where
   * the last look is less than 100 ms ago.
   */
  readonly ratePerSecond: number | undefined;
  /**
   * Of the deliveries that were closed, failed or died in the last minute that this process has looked, the part that
   * failed or died, 0 to 1. Undefined where there were none.
   */
  readonly errorRate: number | undefined;
  /** Until `depth` is 0 at the speed of the last 10 s. Undefined where it is not known, or does not shrink. */
  readonly drainMs: number | undefined;
  readonly sampledAt: Date;
}

/** What one look has seen of one subscription; rates come from two. */
interface Sample {
  readonly atMs: number;
  readonly wallMs: number;
  readonly closed: number;
  readonly depth: number;
  readonly dead: number;
}

/** Looks at what subscriptions owe: a few counters each, however long the log. One per store and process. */
export class Measures {
  readonly #env: Env;
  readonly #engine: Engine;
  readonly #pauses: Pauses;
  readonly #oldest: OldestOpen;
  readonly #samples = new Map<string, Sample[]>();

  constructor({ env, engine }: Pick<SharedStore, "env" | "engine">, pauses: Pauses) {
    this.#env = env;
    this.#engine = engine;
    this.#pauses = pauses;
    this.#oldest = new OldestOpen(engine.log);
  }

  /** `known`: names of the app's subscriptions, where an app is known. */
  async look(known?: ReadonlySet<string>): Promise<readonly SubscriptionStatus[]> {
    return (await this.lookAll(known)).map(({ status }) => status);
  }
  async lookAll(
    known?: ReadonlySet<string>,
  ): Promise<readonly { readonly sub: number; readonly status: SubscriptionStatus }[]> {
    const { log, ledger } = this.#engine;
    const subscriptions = (await ledger.tally()).filter((each) => each.name !== relayName && each.state !== "retired");
    const paused = await this.#pauses.look();
    const allotted = await allotments(ledger);
    const types = [...new Set(subscriptions.flatMap((each) => each.definition.types))];
    const appended = types.length === 0 ? new Map<string, number>() : (await log.count(types)).appended;
    const filling = new Set((await ledger.projections()).flatMap((one) => (one.live ? [] : [one.sub])));
    const present = new Set(subscriptions.map(nameOf));
    for (const name of this.#samples.keys()) if (!present.has(name)) this.#samples.delete(name);
    return Promise.all(
      subscriptions.map(async (each) => ({
        sub: each.sub,
        status: await this.#statusOf(each, pendingOf(each, appended), known, {
          isFilling: filling.has(each.sub),
          paused: paused.get(each.sub) ?? notPaused,
          allotted: allotted.get(each.sub) ?? [],
        }),
      })),
    );
  }
  async #statusOf(
    subscription: SubscriptionTally,
    pending: number,
    known: ReadonlySet<string> | undefined,
    standing: StandingOf,
  ): Promise<SubscriptionStatus> {
    const { rows, name } = subscription;
    const oldestMs = await this.#oldest.timeMs(subscription, pending);
    const wallMs = this.#env.now();
    const outcomes = outcomesOf(subscription);
    const closed = Object.values(outcomes).reduce((sum, each) => sum + each, 0);
    const depth = pending + rows.held + rows.ready + rows.running + rows.retrying + rows.deferred;
    const sample = { atMs: this.#env.monotonic(), wallMs, closed, depth, dead: rows.dead };
    return {
      name,
      state: stateOf(subscription, known, standing),
      depth,
      lagMs: oldestMs === undefined ? 0 : Math.max(0, wallMs - oldestMs),
      pending,
      inFlight: subscription.inFlight,
      retrying: rows.retrying + rows.ready - subscription.waiting,
      waiting: subscription.waiting,
      dead: rows.dead,
      blockedKeys: subscription.blockedKeys,
      held: rows.held,
      deferred: rows.deferred,
      pausedKeys: standing.paused.keys.size,
      pausedGroups: standing.paused.groups.size,
      waitsFor: waitsFor(standing.paused, standing.allotted, { depth, nowMs: wallMs }),
      outage: outageOf(standing.paused),
      workers: new Set(subscription.slots.map((slot) => slot.session).filter((session) => session !== undefined)).size,
      closed,
      outcomes,
      ...(await this.#rates(subscription, sample)),
      sampledAt: new Date(wallMs),
    };
  }

  async #rates(
    subscription: SubscriptionTally,
    sample: Sample,
  ): Promise<Pick<SubscriptionStatus, "ratePerSecond" | "errorRate" | "drainMs">> {
    const samples = this.#samples.get(nameOf(subscription)) ?? [];
    this.#samples.set(nameOf(subscription), samples);
    const from = sample.atMs - limits.rateWindowMs;
    const before = samples.find((each) => each.atMs >= from) ?? samples.at(-1);
    const errorsSince = samples.find((each) => each.atMs >= sample.atMs - limits.errorWindowMs) ?? samples.at(-1);
    const last = samples.at(-1);
    if (last === undefined || sample.atMs - last.atMs >= limits.sampleMinMs) samples.push(sample);
    while ((samples[0]?.atMs ?? Number.POSITIVE_INFINITY) < sample.atMs - limits.errorWindowMs) samples.shift();
    return {
      ...speed(before, sample),
      errorRate: errorsSince === undefined ? undefined : await this.#errorRate(subscription, errorsSince, sample),
    };
  }
  /** Failures are not counted anywhere: those that still wait for their next attempt say when they failed last. */
  async #errorRate(subscription: SubscriptionTally, since: Sample, now: Sample): Promise<number | undefined> {
    const failing = await failingSince(this.#engine.ledger, subscription, since.wallMs);
    const failed = failing + Math.max(0, now.dead - since.dead);
    const ended = failed + now.closed - since.closed;
    return ended <= 0 ? undefined : failed / ended;
  }
}

interface StandingOf {
  readonly isFilling: boolean;
  readonly paused: Paused;
  readonly allotted: Parameters<typeof waitsFor>[1];
}

function stateOf(
  { state, name }: SubscriptionTally,
  known: ReadonlySet<string> | undefined,
  { isFilling, paused }: { readonly isFilling: boolean; readonly paused: Paused },
): SubscriptionStatus["state"] {
  if (state !== "active") return "stopped";
  if (paused.all) return "paused";
  if (paused.outage !== undefined) return "degraded";
  if (isFilling) return "replaying";
  return known?.has(name) === false ? "unknown-to-this-app" : "active";
}

function outageOf({ outage }: Paused): SubscriptionStatus["outage"] {
  if (outage === undefined) return undefined;
  const { sinceMs, error, probes, nextMs } = outage;
  return { since: new Date(sinceMs), error, probes, nextProbe: new Date(nextMs) };
}

/** Retrying rows that failed after this time; of many, estimated from the first page of them. */
async function failingSince(ledger: Ledger, { sub, rows }: SubscriptionTally, sinceMs: number): Promise<number> {
  if (rows.retrying === 0) return 0;
  const page = await ledger.deliveries({ kind: "state", state: "retrying", sub, limit: limits.duePageRows });
  if (page.length === 0) return 0;
  const failing = page.filter((row) => (row.failure?.atMs ?? 0) > sinceMs).length;
  return Math.round((failing / page.length) * Math.max(page.length, rows.retrying));
}

function speed(before: Sample | undefined, now: Sample): Pick<SubscriptionStatus, "ratePerSecond" | "drainMs"> {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1000;
  if (before === undefined || seconds * 1000 < limits.sampleMinMs)
    return { ratePerSecond: undefined, drainMs: now.depth === 0 ? 0 : undefined };
  const shrinking = (before.depth - now.depth) / seconds;
  return {
    ratePerSecond: Math.max(0, (now.closed - before.closed) / seconds),
    drainMs: now.depth === 0 ? 0 : shrinking > 0 ? Math.round((now.depth / shrinking) * 1000) : undefined,
  };
}

function outcomesOf({ slots }: SubscriptionTally): Outcomes {
  const sum = { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 };
  for (const { outcomes } of slots) {
    sum.done += outcomes.done;
    sum.skipped += outcomes.skipped;
    sum.discarded += outcomes.discarded;
    sum.expired += outcomes.expired;
    sum.duplicate += outcomes.duplicate;
  }
  return sum;
}

const nameOf = ({ sub, gen }: SubscriptionTally): string => `${sub}.${gen}`;

const partName = "measures";

/** The measures of a store, made when they are first asked for: looks of all its users in this process make its rates. */
export function measuresOf(store: SharedStore): Measures {
  const known = (store.parts.get(partName) as Measures | undefined) ?? new Measures(store, pausesOf(store));
  store.parts.set(partName, known);
  return known;
}
