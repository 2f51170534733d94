import type { Engine } from "../engine/engine.ts";
import { exposition, type Family } from "../observe/exposition.ts";
import type { Measures, SubscriptionStatus } from "./measures.ts";

type Gauge = readonly [name: string, help: string, value: (status: SubscriptionStatus) => number | undefined];

const gauges: readonly Gauge[] = [
  ["depth", "Open deliveries but dead ones.", ({ depth }) => depth],
  ["pending", "Matching events that no worker has looked at yet; part of depth.", ({ pending }) => pending],
  ["lag_seconds", "Age of the oldest open delivery that is not dead.", ({ lagMs }) => lagMs / 1000],
  ["in_flight", "Deliveries in the hands of handlers, as of the last beats.", ({ inFlight }) => inFlight],
  ["retrying", "Deliveries that wait for another attempt.", ({ retrying }) => retrying],
  ["waiting", "Deliveries that wait in the middle of their handler.", ({ waiting }) => waiting],
  ["held", "Deliveries that wait behind another of their key.", ({ held }) => held],
  ["deferred", "Deliveries that wait for the turn of their group.", ({ deferred }) => deferred],
  ["dead", "Dead letters.", ({ dead }) => dead],
  ["blocked_keys", "Keys that a dead letter blocks.", ({ blockedKeys }) => blockedKeys],
  ["workers", "Worker processes that hold slots.", ({ workers }) => workers],
  [
    "stopped",
    "1 where the subscription has stopped until an operator acts.",
    ({ state }) => (state === "stopped" ? 1 : 0),
  ],
  [
    "degraded",
    "1 where it only probes: what it depends on seems to be down.",
    ({ outage }) => (outage === undefined ? 0 : 1),
  ],
  ["error_ratio", "Part of the last minute's deliveries that failed, 0 to 1.", ({ errorRate }) => errorRate],
  [
    "drain_seconds",
    "Until depth is 0 at the present speed.",
    ({ drainMs }) => (drainMs === undefined ? undefined : drainMs / 1000),
  ],
];

/**
 * The measures of a log as Prometheus reads them. They are of what is stored: the same in every process, so of several
 * that are scraped take `max by (subscription)`, not a sum.
 */
export async function metricsText({ log }: Engine, measures: Measures): Promise<string> {
  const [statuses, { appended }] = [await measures.look(), await log.count([])];
  const ofSubscriptions = gauges.map(([name, help, value]): Family => ({
    name: `factlog_subscription_${name}`,
    type: "gauge",
    help,
    samples: statuses.flatMap((status) => {
      const known = value(status);
      return known === undefined ? [] : [{ labels: { subscription: status.name }, value: known }];
    }),
  }));
  const closed: Family = {
    name: "factlog_subscription_closed_total",
    type: "counter",
    help: "Deliveries closed for good, by outcome.",
    samples: statuses.flatMap(({ name, outcomes }) =>
      Object.entries(outcomes).map(([outcome, value]) => ({ labels: { subscription: name, outcome }, value })),
    ),
  };
  const events: Family = {
    name: "factlog_events_appended_total",
    type: "counter",
    help: "Events ever appended, by type.",
    samples: [...appended].map(([type, value]) => ({ labels: { type }, value })),
  };
  const sampled: Family = {
    name: "factlog_sample_timestamp_seconds",
    type: "gauge",
    help: "When the store was looked at for these measures.",
    samples: statuses.slice(0, 1).map(({ sampledAt }) => ({ labels: {}, value: sampledAt.getTime() / 1000 })),
  };
  return exposition([...ofSubscriptions, closed, events, sampled]);
}
