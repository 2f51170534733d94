import { type Channel, channel } from "node:diagnostics_channel";
import type { Position } from "../event/position.ts";

/**
 * Where each stage speaks, once: subscribe with `node:diagnostics_channel` by these names. A message is made only while
 * somebody listens. Listeners run inside the stage: they must be quick, and what they throw becomes an uncaught exception.
 */

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

interface Stage<M extends object> {
  readonly hasSubscribers: boolean;
  publish(message: M): void;
  subscribe(listener: (message: M) => void): void;
}

const stage = <M extends object>(name: string): Stage<M> => channel(name) as Channel as unknown as Stage<M>;

export const publishStage: Stage<PublishMessage> = stage("factlog:publish");
export const deliveryStage: Stage<DeliveryMessage> = stage("factlog:delivery");
export const workerStage: Stage<WorkerMessage> = stage("factlog:worker");
