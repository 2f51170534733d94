import {
  type Attributes,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { realEnv } from "../env.ts";
import { FactlogError } from "../errors.ts";
import type {
  Beginning,
  CallBeginning,
  DeliveryMessage,
  HandleBeginning,
  PublishBeginning,
} from "../observe/channels.ts";
import { attribute, genAi, operation, system } from "./names.ts";
import { linkTo, traceContextOf } from "./trace-context.ts";

const systems = { [attribute.system]: system, [attribute.systemName]: system } as const;

/** Where one decision belongs to one handler that has returned, it follows within this; else its span ends without it. */
const decisionMaxMs = 1_000;

/** A span per call of publish and per run of a handler; the latter is linked to the span that its event names. */
export class Spans {
  readonly #tracer: Tracer;
  /** Spans of handlers whose delivery has not been decided yet. */
  readonly #open = new WeakMap<object, HandlerSpan>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** The events carry this span's context: what handles them is linked to it. */
  readonly publishing = (message: PublishBeginning): void => {
    const [type = ""] = message.types;
    const single = message.types.length === 1;
    const span = this.#tracer.startSpan(single ? `publish ${type}` : "publish", {
      kind: SpanKind.PRODUCER,
      attributes: {
        ...systems,
        ...operation.publish,
        ...(single ? { [attribute.destination]: type } : {}),
        ...(message.events === 1 ? {} : { [attribute.batchCount]: message.events }),
      },
    });
    const end = (error: unknown): void => {
      if (error !== undefined) failed(span, error);
      span.end();
    };
    enter(message, span, end);
  };

  readonly handling = (message: HandleBeginning): void => {
    const { subscription, event, attempt, delivery } = message;
    const attributes: Attributes = {
      ...systems,
      ...operation.process,
      [attribute.destination]: event.type,
      [attribute.subscription]: subscription,
      [attribute.consumerGroup]: subscription,
      [attribute.messageId]: event.id,
      [attribute.conversationId]: event.correlationId,
      [attribute.position]: event.position,
      [attribute.attempt]: attempt,
      ...(event.key === undefined ? {} : { [attribute.key]: event.key }),
    };
    const links = linkTo(event.traceparent, event.tracestate);
    const options = { kind: SpanKind.CONSUMER, attributes, links, root: true };
    const span = this.#tracer.startSpan(`process ${event.type}`, options, ROOT_CONTEXT);
    const open = new HandlerSpan(span);
    this.#open.set(delivery, open);
    enter(message, span, (error) => open.returned(error));
  };

  /** A span per call of a model or a tool, within the handler's. */
  readonly calling = (message: CallBeginning): void => {
    const { operation: name, name: of, provider, subscription } = message;
    const isModel = name === "chat";
    const attributes: Attributes = {
      [genAi.operationName]: name,
      [genAi.agentName]: subscription,
      [isModel ? genAi.requestModel : genAi.toolName]: of,
      ...(provider === undefined ? {} : { [genAi.provider]: provider }),
    };
    const kind = isModel ? SpanKind.CLIENT : SpanKind.INTERNAL;
    const span = this.#tracer.startSpan(`${name} ${of}`, { kind, attributes });
    enter(message, span, (error) => {
      const { input, output } = message.tokens ?? { input: undefined, output: undefined };
      if (input !== undefined) span.setAttribute(genAi.inputTokens, input);
      if (output !== undefined) span.setAttribute(genAi.outputTokens, output);
      if (error !== undefined) failed(span, error);
      span.end();
    });
  };

  readonly decided = ({ delivery, outcome }: DeliveryMessage): void => {
    this.#open.get(delivery)?.decided(outcome);
    this.#open.delete(delivery);
  };
}

/** Ends when its delivery is decided; where no decision follows (a lost lease, shutdown), as of when the handler returned. */
class HandlerSpan {
  readonly #span: Span;
  #returnedMs: number | undefined;
  #ended = false;

  constructor(span: Span) {
    this.#span = span;
  }
  returned(error: unknown): void {
    this.#returnedMs = realEnv.now();
    if (error !== undefined) failed(this.#span, error);
    realEnv.soon(() => {
      if (!this.#ended) realEnv.after(decisionMaxMs, () => this.#end());
    });
  }
  decided(outcome: DeliveryMessage["outcome"]): void {
    this.#span.setAttribute(attribute.outcome, outcome);
    // A handler that ran past its timeout was decided upon although it has not returned.
    if (outcome === "dead" || outcome === "retry") this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#end();
  }
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#span.end(this.#returnedMs);
  }
}

/** Runs what begins inside the span, and hears of its end. */
function enter(message: Beginning, span: Span, end: (error: unknown) => void): void {
  Object.assign(message, traceContextOf(span));
  const inner = message.around;
  message.around = (run) => {
    const inside = inner === undefined ? run : () => inner(run);
    try {
      const result = context.with(trace.setSpan(context.active(), span), inside);
      if (!isThenable(result)) end(undefined);
      else result.then(() => end(undefined), end);
      return result;
    } catch (error) {
      end(error);
      throw error;
    }
  };
}

function failed(span: Span, error: unknown): void {
  span.setAttribute(attribute.errorType, errorTypeOf(error));
  span.setStatus({ code: SpanStatusCode.ERROR });
  if (error instanceof Error) span.recordException(error);
}

/** Of low cardinality: a code, or the name of the class. */
export function errorTypeOf(error: unknown): string {
  if (error instanceof FactlogError) return error.code;
  return error instanceof Error ? error.name : "_OTHER";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
