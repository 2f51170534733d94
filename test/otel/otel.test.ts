/** What OpenTelemetry is told, by its own SDK: spans that are linked over the log, and metrics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { context, metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { tool } from "ai";
import { z } from "zod";
import {
  defineApp,
  defineEvent,
  defineSubscription,
  type FactlogError,
  NonRetryable,
  type RecordedEvent,
} from "../../src/index.ts";
import { deliveryStage, type HandleBeginning, handleBeginning, publishBeginning } from "../../src/observe/channels.ts";
import { defineAgent } from "../../src/agent/index.ts";
import { instrument } from "../../src/otel/index.ts";
import { engines, eventually, open } from "../runtime/support.ts";
import { ModelServer } from "../support/model-server.ts";

const schema = z.object({ id: z.string() });
const Placed = defineEvent("Placed", { schema, key: ({ id }) => id, id: ({ id }) => id });
const Packed = defineEvent("Packed", { schema, key: ({ id }) => id });

const spans = new InMemorySpanExporter();
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }));
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const finished = (name: string): ReadableSpan[] => spans.getFinishedSpans().filter((span) => span.name === name);
const one = (name: string): ReadableSpan => {
  const [span, ...others] = finished(name);
  assert.ok(span !== undefined && others.length === 0, `one span ${name}`);
  return span;
};
const fresh = engines[0]!.fresh;

test("a handler's span is linked to the publisher's, and what it does hangs from it", async () => {
  spans.reset();
  using _ = instrument({ metrics: false });
  await using log = await open(fresh());
  const tracer = trace.getTracer("test");
  const pack = defineSubscription("pack", { on: Placed }, async ({ data }, ctx) => {
    tracer.startSpan("look at the shelf").end();
    await log.publish(Packed({ id: `${data.id}-published` }));
    ctx.emit(Packed({ id: data.id }));
  });
  const send = defineSubscription("send", { on: Packed }, () => {});
  const app = defineApp({ name: "test", subscriptions: [pack, send] });
  await log.drain(app);
  await tracer.startActiveSpan("request", async (request) => {
    await log.publish(Placed({ id: "a" }));
    request.end();
  });
  await log.drain(app);

  const [request, publish, process] = [one("request"), one("publish Placed"), one("process Placed")];
  assert.equal(publish.kind, SpanKind.PRODUCER);
  assert.equal(publish.parentSpanContext?.spanId, request.spanContext().spanId);
  assert.equal(process.kind, SpanKind.CONSUMER);
  assert.equal(process.parentSpanContext, undefined);
  assert.deepEqual(
    process.links.map(({ context: { traceId, spanId, isRemote } }) => [traceId, spanId, isRemote]),
    [[publish.spanContext().traceId, publish.spanContext().spanId, true]],
  );
  const own = process.spanContext().spanId;
  assert.equal(one("look at the shelf").parentSpanContext?.spanId, own);
  assert.equal(one("publish Packed").parentSpanContext?.spanId, own);
  const linked = finished("process Packed").map((span) => span.links[0]?.context.spanId);
  assert.deepEqual(
    new Set(linked),
    new Set([own, one("publish Packed").spanContext().spanId]),
    "emitted and published",
  );
  const { "factlog.event.position": position, ...attributes } = process.attributes;
  assert.equal(typeof position, "string");
  assert.deepEqual(attributes, {
    "messaging.system": "factlog",
    "messaging.system.name": "factlog",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": "Placed",
    "messaging.destination.subscription.name": "pack",
    "messaging.consumer.group.name": "pack",
    "messaging.message.id": "a",
    "messaging.message.conversation_id": "a",
    "factlog.event.key": "a",
    "factlog.delivery.attempt": 1,
    "factlog.delivery.outcome": "done",
  });
});

test("a trace context that the event brings itself stays, also where spans are made", async () => {
  spans.reset();
  using _ = instrument({ metrics: false });
  await using log = await open(fresh());
  const theirs = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const app = defineApp({ name: "test", subscriptions: [defineSubscription("work", { on: Placed }, () => {})] });
  await log.drain(app);
  await log.publish(Placed({ id: "a" }, { traceparent: theirs, tracestate: "vendor=1" }));
  await log.drain(app);
  const [link] = one("process Placed").links;
  assert.deepEqual([link?.context.spanId, link?.context.traceState?.get("vendor")], ["b".repeat(16), "1"]);
});

test("failures: of a publish by code, of a handler with what was decided; a batch is one span", async () => {
  spans.reset();
  using _ = instrument({ metrics: false });
  await using log = await open(fresh());
  let first = true;
  const work = defineSubscription("work", { on: Placed, retry: { backoff: [1] } }, async ({ data }) => {
    if (data.id === "dead") throw new NonRetryable("never");
    if (first) {
      first = false;
      await Promise.reject(new TypeError("once"));
    }
  });
  const app = defineApp({ name: "test", subscriptions: [work] });
  await log.drain(app);
  await log.publishAll([Placed({ id: "a" }), Packed({ id: "b" }), Placed({ id: "dead" })]);
  await assert.rejects(log.publish(Placed({ id: 1 } as never)), ({ code }: FactlogError) => code === "INVALID_DATA");
  await using worker = await log.work(app);
  await eventually("three runs", () => finished("process Placed").length === 3);
  await worker.stop();
  const batch = one("publish");
  assert.deepEqual([batch.attributes["messaging.batch.message_count"], batch.status.code], [3, SpanStatusCode.UNSET]);
  const refused = one("publish Placed");
  assert.deepEqual([refused.attributes["error.type"], refused.status.code], ["INVALID_DATA", SpanStatusCode.ERROR]);
  const runs = finished("process Placed").map(({ attributes, status, events }) => [
    attributes["messaging.message.id"],
    attributes["factlog.delivery.attempt"],
    attributes["factlog.delivery.outcome"],
    attributes["error.type"],
    status.code === SpanStatusCode.ERROR,
    events.length,
  ]);
  assert.deepEqual(
    new Set(runs.map((run) => JSON.stringify(run))),
    new Set(
      [
        ["a", 1, "retry", "TypeError", true, 1],
        ["dead", 1, "dead", "NonRetryable", true, 1],
        ["a", 2, "done", undefined, false, 0],
      ].map((run) => JSON.stringify(run)),
    ),
  );
});

test("metrics: what was published and handled, and what subscriptions owe when somebody collects", async () => {
  await using log = await open(fresh());
  using _ = instrument({ traces: false, logs: [log] });
  const work = defineSubscription("work", { on: Placed }, ({ data }) => {
    if (data.id === "dead") throw new NonRetryable("never");
  });
  const app = defineApp({ name: "test", subscriptions: [work] });
  await log.drain(app);
  await log.publishAll([Placed({ id: "a" }), Placed({ id: "dead" })]);
  await log.drain(app);
  await log.publish(Placed({ id: "open" }));
  await reader.forceFlush();
  const collected =
    exporter
      .getMetrics()
      .at(-1)
      ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
  const points = (name: string): unknown[] =>
    collected.find(({ descriptor }) => descriptor.name === name)?.dataPoints.map(({ value }) => value) ?? [];
  const counts = (name: string): number[] => points(name).map((value) => (value as { count: number }).count);
  assert.deepEqual(points("messaging.client.sent.messages"), [3]);
  assert.deepEqual(counts("messaging.client.operation.duration"), [2]);
  assert.deepEqual(points("messaging.client.consumed.messages"), [1, 1]);
  assert.deepEqual(counts("messaging.process.duration"), [1, 1]);
  assert.deepEqual(points("factlog.subscription.depth"), [1]);
  assert.deepEqual(points("factlog.subscription.dead"), [1]);
  assert.ok(Number(points("factlog.subscription.lag")[0]) >= 0);
});

test("a handler that returned and was never decided upon ends its span all the same", async () => {
  spans.reset();
  using _ = instrument({ metrics: false });
  const event = { type: "Placed", id: "a", correlationId: "a", position: "1.0.1" } as unknown as RecordedEvent;
  const message: HandleBeginning = { delivery: {}, subscription: "work", event, attempt: 1 };
  handleBeginning.publish(message);
  assert.equal(
    message.around?.(() => "given"),
    "given",
  );
  await eventually("it ends", () => finished("process Placed").length === 1);
  assert.equal(one("process Placed").attributes["factlog.delivery.outcome"], undefined);
});

test("nothing listens before it is asked for, nor afterwards", () => {
  const listening = (): boolean[] =>
    [publishBeginning, handleBeginning, deliveryStage].map((stage) => stage.hasSubscribers);
  assert.deepEqual(listening(), [false, false, false]);
  const instrumented = instrument();
  assert.deepEqual(listening(), [true, true, true]);
  instrumented[Symbol.dispose]();
  instrumented[Symbol.dispose]();
  assert.deepEqual(listening(), [false, false, false]);
});

test("calls of a model and of a tool hang from the handler's span, by the names of generative AI; what is remembered has none", async () => {
  spans.reset();
  using _ = instrument({ metrics: false });
  await using server = await ModelServer.start((messages) =>
    messages.at(-1)?.role === "tool"
      ? { text: "done", tokens: [20, 3] }
      : { tools: [{ name: "look", input: {} }], tokens: [10, 5] },
  );
  const look = tool({ inputSchema: z.object({}), execute: () => "seen" });
  const agent = defineAgent(
    "agent",
    { on: Placed, model: server.model(), tools: { look }, policy: { look: "pure" }, retry: { backoff: [1] } },
    async (_, agent) => {
      await agent.generate({ prompt: "look" });
      if (agent.attempt < 2) throw new Error("once more");
    },
  );
  await using log = await open(fresh());
  const app = defineApp({ name: "test", subscriptions: [agent] });
  await log.drain(app);
  await log.publish(Placed({ id: "a" }));
  while ((await log.drain(app)).dueNext !== undefined);
  const [first] = finished("process Placed");
  const chats = finished("chat test-model");
  const called = one("execute_tool look");
  assert.deepEqual(
    chats.map(({ kind, attributes }) => [kind, attributes]),
    [
      [10, 5],
      [20, 3],
    ].map(([input, output]) => [
      SpanKind.CLIENT,
      {
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "agent",
        "gen_ai.request.model": "test-model",
        "gen_ai.provider.name": "test.chat",
        "gen_ai.usage.input_tokens": input,
        "gen_ai.usage.output_tokens": output,
      },
    ]),
  );
  assert.deepEqual(called.attributes, {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.agent.name": "agent",
    "gen_ai.tool.name": "look",
  });
  for (const span of [...chats, called]) {
    assert.equal(span.parentSpanContext?.spanId, first?.spanContext().spanId);
  }
});
