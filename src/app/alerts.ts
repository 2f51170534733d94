import { type Duration, durationMs } from "../duration.ts";
import { FactlogError } from "../errors.ts";
import { checkName } from "../event/envelope.ts";
import { limits } from "../limits.ts";
import { checkWebhook, type Webhook } from "../webhook/target.ts";

export type AlertTarget = "stderr" | "log" | Webhook;

/** Looked at about once a second by the processes that work on the app; one of them speaks. */
export interface AlertRule {
  readonly name: string;
  /**
   * "lag": the oldest open delivery is older than `above`, a duration. "depth": more are open than `above`. "dead": more
   * dead letters than `above` (default 0). "blocked": more keys are blocked by a dead letter than `above` (default 0).
   * "error-rate": a larger part of the last minute's deliveries failed than `above`, 0 to 1. "stalled": something is
   * pending, and nothing of it was begun or settled. "degraded": what it depends on is down for longer than `above`, a duration
   * (default 0), so it only probes.
   */
  readonly when: "lag" | "depth" | "dead" | "blocked" | "error-rate" | "stalled" | "degraded";
  /** Default: every subscription of the app, each by itself. */
  readonly subscription?: string;
  readonly above?: number | Duration;
  /** It has to hold for so long. Default 0; of "stalled" 1m. */
  readonly for?: Duration;
  /** Default `["log"]`: a warning of the app's logger. */
  readonly to?: readonly AlertTarget[];
}

/** A rule, resolved. `above`: milliseconds of "lag" and "degraded"; undefined of "stalled". */
export interface AlertSpec {
  readonly name: string;
  readonly when: AlertRule["when"];
  readonly subscription: string | undefined;
  readonly above: number | undefined;
  readonly forMs: number;
  readonly to: readonly AlertTarget[];
}

/** What holds where an app says nothing of alerts. */
const defaults: readonly AlertRule[] = [
  { name: "dead-letters", when: "dead" },
  { name: "outage", when: "degraded" },
];

const conditions: readonly string[] = ["lag", "depth", "dead", "blocked", "error-rate", "stalled", "degraded"];
const options = "name when subscription above for to".split(" ");

/** Throws INVALID_DEFINITION naming rule and option. Secrets are never shown. */
export function resolveAlerts(app: string, rules: unknown, subscriptions: readonly string[]): readonly AlertSpec[] {
  if (rules === undefined) return resolveAlerts(app, defaults, subscriptions);
  if (!Array.isArray(rules)) throw refusal(app, "alerts is no list");
  if (rules.length > limits.alertsMax) throw refusal(app, `alerts holds more than ${limits.alertsMax} rules`);
  const names = new Set<string>();
  return Object.freeze(
    rules.map((rule: unknown) => {
      if (typeof rule !== "object" || rule === null) throw refusal(app, "alerts holds something that is no rule");
      const spec = resolve(app, rule as AlertRule, subscriptions);
      if (names.has(spec.name)) throw refusal(app, `two alerts are named ${spec.name}`);
      names.add(spec.name);
      return spec;
    }),
  );
}

function resolve(app: string, rule: AlertRule, subscriptions: readonly string[]): AlertSpec {
  checkName("alert name", rule.name);
  const refuse = (message: string, cause?: unknown): FactlogError =>
    refusal(app, `alert ${rule.name}: ${message}`, cause);
  for (const option of Object.keys(rule)) {
    if (!options.includes(option)) throw refuse(`${option} is no option; choose among ${options.join(", ")}`);
  }
  const { when, subscription } = rule;
  if (!conditions.includes(when)) throw refuse(`when is ${shown(when)}: choose among ${conditions.join(", ")}`);
  if (subscription !== undefined && !subscriptions.includes(subscription))
    throw refuse(`the app has no subscription ${shown(subscription)}: it has ${subscriptions.join(", ")}`);
  return Object.freeze({
    name: rule.name,
    when,
    subscription,
    above: aboveOf(rule, refuse),
    forMs: forOf(rule, refuse),
    to: targetsOf(rule, refuse),
  });
}

type Refuse = (message: string, cause?: unknown) => FactlogError;

function aboveOf({ when, above }: AlertRule, refuse: Refuse): number | undefined {
  if (when === "stalled") {
    if (above === undefined) return undefined;
    throw refuse('above means nothing for "stalled": say how long with `for`');
  }
  if (when === "lag") {
    if (above === undefined) throw refuse('above is missing: give a duration, such as "5m"');
    return durationOf("above", above as Duration, refuse);
  }
  if (when === "degraded") return above === undefined ? 0 : durationOf("above", above as Duration, refuse);
  const value = above ?? (when === "dead" || when === "blocked" ? 0 : undefined);
  if (when === "error-rate") {
    if (typeof value === "number" && value >= 0 && value < 1) return value;
    throw refuse(`above is ${shown(value)}: give a part from 0 to below 1, such as 0.1`);
  }
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw refuse(`above is ${shown(value)}: give a whole number of at least 0`);
}

function forOf({ when, for: duration }: AlertRule, refuse: Refuse): number {
  if (duration === undefined) return when === "stalled" ? limits.alertStalledMs : 0;
  const ms = durationOf("for", duration, refuse);
  if (when === "stalled" && ms < limits.alertEveryMs) throw refuse("for is too short: a busy second is no standstill");
  return ms;
}

function durationOf(option: string, duration: Duration, refuse: Refuse): number {
  try {
    return durationMs(duration, option);
  } catch (cause) {
    throw refuse(messageOf(cause), cause);
  }
}

function targetsOf({ to }: AlertRule, refuse: Refuse): readonly AlertTarget[] {
  if (to === undefined) return ["log"];
  if (!Array.isArray(to) || to.length === 0 || to.length > limits.alertTargetsMax)
    throw refuse(`to is no list of 1 to ${limits.alertTargetsMax} targets`);
  return Object.freeze(
    to.map((target: unknown) => {
      if (target === "log" || target === "stderr") return target;
      if (typeof target !== "object" || target === null)
        throw refuse(`to holds ${shown(target)}: give "log", "stderr" or { webhook, secret }`);
      try {
        checkWebhook(target as Webhook);
      } catch (cause) {
        throw refuse(messageOf(cause), cause);
      }
      return Object.freeze({ ...(target as Webhook) });
    }),
  );
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message.replace(/\.$/, "") : String(error);

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : `of type ${typeof value}`;
}

function refusal(app: string, message: string, cause?: unknown): FactlogError {
  const details = { app, option: "alerts" };
  return new FactlogError("INVALID_DEFINITION", `app ${app}: ${message}.`, {
    details,
    ...(cause === undefined ? {} : { cause }),
  });
}
