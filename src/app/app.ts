import { FactlogError } from "../errors.ts";
import { type AnyEventType, definitionOf, type EventDefinition, isEventType } from "../event/define.ts";
import { checkName } from "../event/envelope.ts";
import { type Schedule, type ScheduleSpec, scheduleSpecOf } from "./schedule.ts";
import { type AlertRule, type AlertSpec, resolveAlerts } from "./alerts.ts";
import { specOf, type Subscription, type SubscriptionSpec } from "./subscription.ts";

export interface AppOptions<Sub extends Subscription, E extends AnyEventType> {
  /** Also the default `source` of its events: never a host name or pid, because the source is part of identity. */
  readonly name: string;
  /** Needed only for events that nothing subscribes to or declares in `emits`. */
  readonly events?: readonly E[];
  readonly subscriptions: readonly Sub[];
  readonly schedules?: readonly Schedule[];
  /** Default: one that warns of dead letters in the log. `[]`: none. */
  readonly alerts?: readonly AlertRule[];
}

/** A pure value: defining an app opens nothing and starts nothing. Default-export it for the command line. */
export interface App<Names extends string = string, E extends AnyEventType = AnyEventType> {
  readonly name: string;
  readonly subscriptionNames: readonly Names[];
  /** Phantom. */
  readonly __events?: E;
}

/** What an app says. Internal: reached through `appSpecOf`. */
export interface AppSpec {
  readonly name: string;
  /** By type: declared, subscribed to and emitted. */
  readonly events: ReadonlyMap<string, EventDefinition>;
  readonly subscriptions: readonly SubscriptionSpec[];
  readonly schedules: readonly ScheduleSpec[];
  readonly alerts: readonly AlertSpec[];
}

/** Registered, so that an app of another copy of the package is understood. */
const appKey: unique symbol = Symbol.for("factlog.app");

/**
 * Throws DUPLICATE_SUBSCRIPTION where two have one name, INVALID_DEFINITION where one event type has two definitions or an
 * option is none, INVALID_ATTRIBUTE on a bad name.
 */
export function defineApp<Sub extends Subscription, E extends AnyEventType = never>(
  options: AppOptions<Sub, E>,
): App<Sub["name"], E> {
  checkOptions(options);
  const { name } = options;
  const subscriptions = options.subscriptions.map((subscription) => specOf(subscription));
  requireDistinct(name, subscriptions);
  const schedules = schedulesOf(name, options.schedules ?? []);
  const declared = (options.events ?? []).map((event) => {
    if (!isEventType(event)) throw refusal(name, "events holds something that defineEvent did not make.");
    return definitionOf(event);
  });
  const events = eventsByType(name, [...declared, ...subscriptions.flatMap((each) => [...each.on, ...each.emitted])]);
  const subscriptionNames: readonly Sub["name"][] = Object.freeze(subscriptions.map((each) => each.name));
  const alerts = resolveAlerts(name, options.alerts, subscriptionNames);
  const spec: AppSpec = Object.freeze({
    name,
    events,
    subscriptions: Object.freeze(subscriptions),
    schedules: Object.freeze(schedules),
    alerts,
  });
  return Object.freeze(Object.defineProperty({ name, subscriptionNames }, appKey, { value: spec }));
}

/** Throws INVALID_DEFINITION where `app` was not made by `defineApp`. */
export function appSpecOf(app: App): AppSpec {
  const spec = (app as Partial<{ readonly [appKey]: AppSpec }> | null | undefined)?.[appKey];
  if (spec !== undefined) return spec;
  throw new FactlogError("INVALID_DEFINITION", "this is no app: give what defineApp returned.");
}

function checkOptions(options: AppOptions<Subscription, AnyEventType>): void {
  if (typeof options !== "object" || options === null) {
    throw new FactlogError("INVALID_DEFINITION", "the options of defineApp are missing: give { name, subscriptions }.");
  }
  const { name, events, subscriptions, schedules } = options;
  checkName("app name", name);
  if (!Array.isArray(subscriptions)) throw refusal(name, "subscriptions is no list.");
  if (events !== undefined && !Array.isArray(events)) throw refusal(name, "events is no list.");
  if (schedules !== undefined && !Array.isArray(schedules)) throw refusal(name, "schedules is no list.");
  for (const option of Object.keys(options)) {
    if (!["name", "events", "subscriptions", "schedules", "alerts"].includes(option))
      throw refusal(name, `${option} is no option of defineApp.`);
  }
}

function refusal(app: string, message: string): FactlogError {
  return new FactlogError("INVALID_DEFINITION", `app ${app}: ${message}`, { details: { app } });
}

/** Two schedules of one name would take each other's ticks. */
function schedulesOf(app: string, schedules: readonly Schedule[]): readonly ScheduleSpec[] {
  const specs = schedules.map(
    (each) => scheduleSpecOf(each) ?? refuse(app, "schedules holds something that defineSchedule did not make."),
  );
  const twice = specs.find((spec, i) => specs.findIndex((other) => other.name === spec.name) !== i);
  if (twice !== undefined)
    throw refusal(app, `two schedules are named ${twice.name}: a name is a schedule's identity.`);
  return specs;
}
function refuse(app: string, message: string): never {
  throw refusal(app, message);
}

function requireDistinct(app: string, subscriptions: readonly SubscriptionSpec[]): void {
  const names = new Set<string>();
  for (const { name } of subscriptions) {
    if (names.has(name)) {
      throw new FactlogError(
        "DUPLICATE_SUBSCRIPTION",
        `app ${app}: two subscriptions are named ${name}: a name is a reader's identity.`,
        {
          details: { app, subscription: name },
        },
      );
    }
    names.add(name);
  }
  requireDistinctTables(app, subscriptions);
}

function requireDistinctTables(app: string, subscriptions: readonly SubscriptionSpec[]): void {
  const owners = new Map<string, string>();
  for (const { name, projection } of subscriptions) {
    for (const table of projection?.tables ?? []) {
      const owner = owners.get(table);
      if (owner !== undefined)
        throw refusal(app, `the projections ${owner} and ${name} both declare the table ${table}: rename one of them.`);
      owners.set(table, name);
    }
  }
}

function eventsByType(app: string, definitions: readonly EventDefinition[]): ReadonlyMap<string, EventDefinition> {
  const events = new Map<string, EventDefinition>();
  for (const definition of definitions) {
    const known = events.get(definition.type);
    if (known !== undefined && known !== definition) {
      throw refusal(app, `${definition.type} has two different definitions: define an event once and import it.`);
    }
    events.set(definition.type, definition);
  }
  return events;
}
