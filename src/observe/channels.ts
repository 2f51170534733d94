import { type Channel, channel } from "node:diagnostics_channel";
import type { RecordedEvent } from "../event/define.ts";
import type { Alert } from "./alerts.ts";
import type { Position } from "../event/position.ts";

/**
 * Where each stage speaks, once: subscribe with `node:diagnostics_channel` by these names. A message is made only while
 * somebody listens. Listeners run inside the stage: they must be quick, and what they throw becomes an uncaught exception.
 */

/**
 * What a listener may do about something that begins: run it in surroundings of its own. One that finds `around` set
 * wraps it. It has to call `run` once, at once, and to answer what it answers.
 */
export interface Beginning {
  around?: (run: () => unknown) => unknown;
  /** Set by a listener: the trace context for events that bring none of their own. */
  traceparent?: string;
  tracestate?: string;
}

/** `factlog:publish:begin`: a call of `publish` or `publishAll`; `run` gives a promise of its receipts. */
export interface PublishBeginning extends Beginning {
  /** Event types, each once. */
  readonly types: readonly string[];
  readonly events: number;
}

/** `factlog:handle:begin`: a handler is about to be called; `run` gives what it gives. */
export interface HandleBeginning extends Beginning {
  /** The same object as in the `factlog:delivery` that follows, if one follows. */
  readonly delivery: object;
  readonly subscription: string;
  readonly event: RecordedEvent;
  readonly attempt: number;
}

/**
 * `factlog:call:begin`: an agent calls a model or a tool; `run` gives a promise of the answer. What is remembered is not called
 * again, and says nothing.
 */
export interface CallBeginning extends Beginning {
  readonly operation: "chat" | "execute_tool";
  /** The model's id, or the tool's name. */
  readonly name: string;
  /** Of a model. */
  readonly provider: string | undefined;
  readonly subscription: string;
  /** Of a model's answer, when it has come; undefined where it did not say. */
  tokens?: { readonly input: number | undefined; readonly output: number | undefined };
}

/** `factlog:publish`: one event was appended, or was there before. Events that handlers emit are not published. */
export interface PublishMessage {
  readonly type: string;
  readonly id: string;
  readonly key: string | undefined;
  readonly position: Position;
  readonly duplicate: boolean;
  /** From the call to durable. */
  readonly durationMs: number;
}

/** `factlog:delivery`: an attempt has ended, and this was decided. It is recorded at the next checkpoint, if not at once. */
export interface DeliveryMessage {
  /** Stands for the delivery in this process: one object over all its attempts here, as far as they follow closely. */
  readonly delivery: object;
  readonly subscription: string;
  readonly type: string;
  readonly id: string;
  readonly key: string | undefined;
  /** "deferred" and "await-deploy" are retries that charge no attempt. */
  readonly outcome: "done" | "skipped" | "retry" | "deferred" | "await-deploy" | "waiting" | "dead";
  /** 1 for the first. */
  readonly attempt: number;
  readonly attemptsMax: number;
  readonly durationMs: number;
  /** Until the next attempt. */
  readonly dueInMs: number | undefined;
  /** What was thrown, as safe text without secrets. */
  readonly error: string | undefined;
  /** A worker died that may have been running this delivery: this attempt may be a repetition. */
  readonly again: boolean;
}

/** `factlog:worker`: this process as a worker among others. */
export type WorkerMessage =
  | { readonly kind: "joined"; readonly session: number; readonly others: number }
  /** A worker was found dead, and these slots of a subscription came here; what it may have been running runs again. */
  | { readonly kind: "took-over"; readonly subscription: string; readonly slots: number }
  /** It stood still for longer than its lease; others have its slots now. It joins anew. */
  | { readonly kind: "taken-for-dead"; readonly session: number }
  | { readonly kind: "left"; readonly session: number };

/** `factlog:alert`: told by the one process that speaks, whatever the alert's targets. */
export type AlertMessage = Alert;

interface Stage<M extends object> {
  readonly hasSubscribers: boolean;
  publish(message: M): void;
  subscribe(listener: (message: M) => void): void;
  unsubscribe(listener: (message: M) => void): void;
}

const stage = <M extends object>(name: string): Stage<M> => channel(name) as Channel as unknown as Stage<M>;

export const publishBeginning: Stage<PublishBeginning> = stage("factlog:publish:begin");
export const handleBeginning: Stage<HandleBeginning> = stage("factlog:handle:begin");
export const callBeginning: Stage<CallBeginning> = stage("factlog:call:begin");
export const publishStage: Stage<PublishMessage> = stage("factlog:publish");
export const deliveryStage: Stage<DeliveryMessage> = stage("factlog:delivery");
export const workerStage: Stage<WorkerMessage> = stage("factlog:worker");
export const alertStage: Stage<AlertMessage> = stage("factlog:alert");
