import { createTraceState, isSpanContextValid, type Link, type Span } from "@opentelemetry/api";

/** The context of a span as an event carries it (W3C Trace Context), whatever propagator the application has chosen. */
export function traceContextOf(
  span: Span,
): { readonly traceparent: string; readonly tracestate: string | undefined } | undefined {
  const context = span.spanContext();
  if (!isSpanContextValid(context)) return undefined;
  const { traceId, spanId, traceFlags, traceState } = context;
  const state = traceState?.serialize();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`,
    tracestate: state === "" ? undefined : state,
  };
}

/** A link to the span that an event names, if it names one. */
export function linkTo(traceparent: string | undefined, tracestate: string | undefined): Link[] {
  const [, traceId, spanId, flags] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return [];
  const context = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
  };
  return isSpanContextValid(context) ? [{ context }] : [];
}
