import type { AlertSpec } from "../app/alerts.ts";
import { limits } from "../limits.ts";

/** What the rules look at, of one subscription. */
export interface Measured {
  readonly name: string;
  readonly depth: number;
  readonly pending: number;
  readonly lagMs: number;
  readonly dead: number;
  readonly closed: number;
  readonly blockedKeys: number;
  readonly errorRate: number | undefined;
  readonly outage: { readonly since: Date; readonly error: string } | undefined;
  readonly sampledAt: Date;
}
/** An alert begins or ends. */
export interface Alert {
  readonly alert: string;
  readonly status: "firing" | "resolved";
  readonly app: string;
  readonly subscription: string;
  readonly when: AlertSpec["when"];
  /** As measured now; milliseconds of "lag" and "degraded". Of "stalled": what is pending. */
  readonly value: number;
  readonly above: number | undefined;
  /** What is wrong, in words, and where to read on. */
  readonly message: string;
  readonly runbook: string;
  readonly at: Date;
}

interface State {
  readonly rule: AlertSpec;
  readonly subscription: string;
  /** Since when the condition holds; undefined: it does not. */
  sinceMs: number | undefined;
  /** When it last held. */
  heldMs: number;
  firing: boolean;
  told: boolean;
  value: number;
  /** Of "stalled": what was begun or settled so far, and since when it is this. */
  progress: number;
}

/**
 * Which alerts fire, by what was measured. Every process that works on the app keeps this, so that none begins from
 * nothing when the one that speaks is gone; only what `tell` answers is told.
 */
export class Alerts {
  readonly #app: string;
  readonly #rules: readonly AlertSpec[];
  readonly #states = new Map<string, State>();

  constructor(app: string, rules: readonly AlertSpec[]) {
    this.#app = app;
    this.#rules = rules;
  }

  /** `nowMs`: on the monotonic clock. `subscriptions`: those of the app. */
  update(subscriptions: readonly Measured[], nowMs: number): void {
    for (const rule of this.#rules) {
      for (const measured of subscriptions) {
        if (rule.subscription === undefined || rule.subscription === measured.name)
          judge(this.#stateOf(rule, measured), measured, nowMs);
      }
    }
    for (const [name, state] of this.#states) {
      if (!subscriptions.some((each) => each.name === state.subscription)) this.#states.delete(name);
    }
  }
  #stateOf(rule: AlertSpec, measured: Measured): State {
    const name = `${rule.name}\n${measured.name}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const state: State = {
      rule,
      subscription: measured.name,
      sinceMs: undefined,
      heldMs: Number.NEGATIVE_INFINITY,
      firing: false,
      told: false,
      value: 0,
      progress: -1,
    };
    this.#states.set(name, state);
    return state;
  }

  /**
   * What is to be told by this process now. One that does not speak tells nothing, and when it begins to speak it tells
   * again what fires: whether the one before it could is not known.
   */
  tell(speaking: boolean, nowMs: number, at: Date): readonly Alert[] {
    const news: Alert[] = [];
    for (const state of this.#states.values()) {
      if (!speaking) state.told = false;
      const over = state.firing && state.sinceMs === undefined && nowMs - state.heldMs >= limits.alertResolveMs;
      if (over) {
        state.firing = false;
        if (speaking) news.push(alertOf(this.#app, state, "resolved", at));
        state.told = false;
      } else if (speaking && state.firing && !state.told) {
        state.told = true;
        news.push(alertOf(this.#app, state, "firing", at));
      }
    }
    return news;
  }
}

function judge(state: State, measured: Measured, nowMs: number): void {
  const { rule } = state;
  state.value = valueOf(rule, measured);
  const holds = rule.when === "stalled" ? stands(state, measured) : state.value > (rule.above ?? 0);
  if (!holds) {
    state.sinceMs = undefined;
    return;
  }
  state.sinceMs ??= nowMs;
  if (nowMs - state.sinceMs < rule.forMs) return;
  state.firing = true;
  state.heldMs = nowMs;
}

/** Something is pending, and since the last look nothing was settled, begun or put aside. */
function stands(state: State, { pending, depth, dead, closed }: Measured): boolean {
  const progress = closed + dead + depth - pending;
  const moved = progress !== state.progress;
  state.progress = progress;
  return pending > 0 && !moved;
}

function valueOf({ when }: AlertSpec, measured: Measured): number {
  switch (when) {
    case "lag":
      return measured.lagMs;
    case "depth":
      return measured.depth;
    case "dead":
      return measured.dead;
    case "blocked":
      return measured.blockedKeys;
    case "error-rate":
      return measured.errorRate ?? 0;
    case "stalled":
      return measured.pending;
    case "degraded":
      // At its very beginning too.
      return measured.outage === undefined
        ? 0
        : Math.max(1, measured.sampledAt.getTime() - measured.outage.since.getTime());
  }
}

function alertOf(app: string, state: State, status: Alert["status"], at: Date): Alert {
  const { rule, subscription, value } = state;
  const runbook = `docs/operating/alerts/${rule.when}.md`;
  return {
    alert: rule.name,
    status,
    app,
    subscription,
    when: rule.when,
    value,
    above: rule.above,
    message:
      status === "resolved"
        ? `${rule.name} is over: ${subscription}`
        : `${rule.name}: ${subscription} ${wordsOf(rule, value)}; see ${runbook}`,
    runbook,
    at,
  };
}

function wordsOf({ when, above = 0, forMs }: AlertSpec, value: number): string {
  const lasting = forMs === 0 ? "" : `, for ${seconds(forMs)}`;
  switch (when) {
    case "lag":
      return `is ${seconds(value)} behind (more than ${seconds(above)}${lasting})`;
    case "depth":
      return `has ${value} open deliveries (more than ${above}${lasting})`;
    case "dead":
      return `has ${value} dead letter${value === 1 ? "" : "s"} (more than ${above}${lasting})`;
    case "blocked":
      return `has ${value} blocked key${value === 1 ? "" : "s"} (more than ${above}${lasting})`;
    case "error-rate":
      return `fails in ${percent(value)} of its deliveries (more than ${percent(above)}${lasting})`;
    case "degraded":
      return `only probes: what it depends on is down for ${seconds(value)}${lasting}`;
    case "stalled":
      return `stands still with ${value} pending${lasting}`;
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
const percent = (part: number): string => `${Math.round(part * 1000) / 10} %`;
