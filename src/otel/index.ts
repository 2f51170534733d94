import { metrics, trace } from "@opentelemetry/api";
import { callBeginning, deliveryStage, handleBeginning, publishBeginning } from "../observe/channels.ts";
import type { Log } from "../runtime/log.ts";
import { Instruments, observe } from "./instruments.ts";
import { scope } from "./names.ts";
import { Spans } from "./spans.ts";

export interface InstrumentOptions {
  /** Default true. */
  readonly traces?: boolean;
  /** Default true. */
  readonly metrics?: boolean;
  /** Logs whose subscriptions are measured whenever metrics are collected: depth, lag, dead letters and so on. */
  readonly logs?: readonly Log[];
}

/**
 * Tells OpenTelemetry of everything that this process publishes and handles: spans and metrics by the conventions for
 * messaging. Set up the SDK first: the providers are taken when this is called. Until it is called, and after it was
 * disposed of, nothing is made.
 */
export function instrument(options: InstrumentOptions = {}): Disposable {
  const undo: (() => void)[] = [];
  const meter = metrics.getMeter(scope);
  if (options.metrics !== false) {
    const instruments = new Instruments(meter);
    publishBeginning.subscribe(instruments.publishing);
    deliveryStage.subscribe(instruments.decided);
    undo.push(() => publishBeginning.unsubscribe(instruments.publishing));
    undo.push(() => deliveryStage.unsubscribe(instruments.decided));
  }
  if (options.traces !== false) {
    const spans = new Spans(trace.getTracer(scope));
    publishBeginning.subscribe(spans.publishing);
    handleBeginning.subscribe(spans.handling);
    deliveryStage.subscribe(spans.decided);
    callBeginning.subscribe(spans.calling);
    undo.push(() => callBeginning.unsubscribe(spans.calling));
    undo.push(() => publishBeginning.unsubscribe(spans.publishing));
    undo.push(() => handleBeginning.unsubscribe(spans.handling));
    undo.push(() => deliveryStage.unsubscribe(spans.decided));
  }
  if (options.metrics !== false) for (const log of options.logs ?? []) undo.push(observe(meter, log));
  return {
    [Symbol.dispose]: () => {
      for (const each of undo.splice(0)) each();
    },
  };
}
