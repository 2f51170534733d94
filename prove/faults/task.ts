import type { StandardSchemaV1 } from "@standard-schema/spec";
import { defineEvent } from "../../src/index.ts";

export interface TaskData {
  readonly key: string;
  readonly n: number;
  /** When it was stated: see `sharedNowMs`. */
  readonly t: number;
  /**
   * What its handler does: its work; throws at the first attempt; throws always; waits until its time is
   * over; ends the process.
   */
  readonly kind: "plain" | "flaky" | "poison" | "hang" | "killer";
  readonly waitMs: number;
}
const schema: StandardSchemaV1<TaskData, TaskData> = {
  "~standard": { version: 1, vendor: "prove", validate: (value) => ({ value: value as TaskData }) },
};
export const Task = defineEvent("Task", { schema, key: (task) => task.key, id: (task) => `task-${task.n}` });

export const subscriptionName = "crew";
export const backoffMs = 300;
export const attemptsMax = 3;

/** Monotonic milliseconds that all processes of this machine share. */
export const sharedNowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** What a worker of the crew says. */
export type Said =
  | { readonly up: number }
  | { readonly failed: number; readonly at: number }
  | { readonly again: number; readonly at: number }
  | { readonly done: number; readonly at: number }
  | { readonly lost: number }
  | { readonly replaced: true };
