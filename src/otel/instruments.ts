import type { Meter, ObservableGauge } from "@opentelemetry/api";
import { realEnv } from "../env.ts";
import type { Log } from "../runtime/log.ts";
import type { SubscriptionStatus } from "../runtime/measures.ts";
import type { DeliveryMessage, PublishBeginning } from "../observe/channels.ts";
import { attribute, durationBoundaries, metric, operation, system } from "./names.ts";
import { errorTypeOf } from "./spans.ts";

const common = { [attribute.system]: system, [attribute.systemName]: system } as const;

/** What this process has published and handled, counted as it happens. */
export class Instruments {
  readonly #sent;
  readonly #publishDuration;
  readonly #consumed;
  readonly #processDuration;

  constructor(meter: Meter) {
    const seconds = { unit: "s", advice: { explicitBucketBoundaries: durationBoundaries } };
    this.#sent = meter.createCounter(metric.sent, { unit: "{message}", description: "Events published." });
    this.#publishDuration = meter.createHistogram(metric.publishDuration, {
      ...seconds,
      description: "From the call of publish to durable.",
    });
    this.#consumed = meter.createCounter(metric.consumed, {
      unit: "{message}",
      description: "Attempts of deliveries, by outcome.",
    });
    this.#processDuration = meter.createHistogram(metric.processDuration, {
      ...seconds,
      description: "Time in the handler.",
    });
  }

  readonly publishing = (message: PublishBeginning): void => {
    const [type = ""] = message.types;
    const attributes = {
      ...common,
      ...operation.publish,
      ...(message.types.length === 1 ? { [attribute.destination]: type } : {}),
    };
    const startMs = realEnv.monotonic();
    const inner = message.around;
    const told = (error?: unknown): void => {
      const all = error === undefined ? attributes : { ...attributes, [attribute.errorType]: errorTypeOf(error) };
      this.#sent.add(message.events, all);
      this.#publishDuration.record((realEnv.monotonic() - startMs) / 1000, all);
    };
    message.around = (run) => {
      const result = (inner === undefined ? run() : inner(run)) as Promise<unknown>;
      result.then(() => told(), told);
      return result;
    };
  };

  readonly decided = ({ subscription, type, outcome, durationMs }: DeliveryMessage): void => {
    const attributes = {
      ...common,
      ...operation.process,
      [attribute.destination]: type,
      [attribute.subscription]: subscription,
      [attribute.consumerGroup]: subscription,
      [attribute.outcome]: outcome,
    };
    this.#consumed.add(1, attributes);
    this.#processDuration.record(durationMs / 1000, attributes);
  };
}

const gauges: readonly (readonly [
  name: string,
  unit: string,
  description: string,
  value: (status: SubscriptionStatus) => number,
])[] = [
  [metric.depth, "{delivery}", "Open deliveries but dead ones.", (status) => status.depth],
  [metric.lag, "s", "Age of the oldest open delivery.", (status) => status.lagMs / 1000],
  [metric.inFlight, "{delivery}", "In the hands of handlers.", (status) => status.inFlight],
  [metric.retrying, "{delivery}", "Waiting for another attempt.", (status) => status.retrying],
  [metric.held, "{delivery}", "Waiting behind another of their key.", (status) => status.held],
  [metric.dead, "{delivery}", "Dead letters.", (status) => status.dead],
  [metric.blockedKeys, "{key}", "Keys that a dead letter blocks.", (status) => status.blockedKeys],
];

/** What the log's subscriptions owe, read from what is stored whenever somebody collects. Answers how to end it. */
export function observe(meter: Meter, log: Log): () => void {
  const made: ReadonlyMap<ObservableGauge, (status: SubscriptionStatus) => number> = new Map(
    gauges.map(([name, unit, description, value]) => [meter.createObservableGauge(name, { unit, description }), value]),
  );
  const look: Parameters<Meter["addBatchObservableCallback"]>[0] = async (result) => {
    for (const status of await log.operator.status()) {
      const attributes = { ...common, [attribute.subscription]: status.name };
      for (const [gauge, value] of made) result.observe(gauge, value(status), attributes);
    }
  };
  meter.addBatchObservableCallback(look, [...made.keys()]);
  return () => meter.removeBatchObservableCallback(look, [...made.keys()]);
}
