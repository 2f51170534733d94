import type { PositionNumber } from "../event/stored-event.ts";
import type { DeliveryRef } from "./ledger.ts";

/**
 * A named part of a handler. Its identity is the delivery (whatever its generation), the delivery's scope, and its name:
 * a path with the occurrence.
 */
export type StepState = "started" | "done" | "failed" | "waiting";
export type WaitKind = "sleep" | "event" | "approval";

/** What a waiting step waits for. */
export interface Wait {
  readonly kind: WaitKind;
  /** Wall clock; undefined: for ever. */
  readonly dueMs: number | undefined;
  /** `event`: facts of one of these types and this key, behind this position. */
  readonly types: readonly string[];
  readonly key: string | undefined;
  readonly after: PositionNumber;
  /** `approval`: JSON text of what is asked. */
  readonly about: string | undefined;
}
export interface StepRecord {
  readonly name: string;
  readonly state: StepState;
  readonly version: string;
  /** Runs begun so far. */
  readonly attempts: number;
  /** When it came to this state, wall clock. */
  readonly atMs: number;
  /** JSON text; undefined where it is not done, and where it is larger than `limits.stepInlineBytes`: see `stepValue`. */
  readonly value: string | undefined;
  readonly bytes: number;
  /** JSON text of what it used (tokens, money), as the step told it. */
  readonly usage: string | undefined;
  readonly wait: Wait | undefined;
  /** `event`: positions of matching facts that came meanwhile, ascending. */
  readonly found: readonly PositionNumber[];
}

/** A step moves on, under the fence of its delivery's running row. What is done stays as it is. */
export interface StepChange {
  readonly kind: "step";
  readonly delivery: DeliveryRef;
  readonly rowToken: number;
  readonly name: string;
  readonly atMs: number;
  readonly to:
    | { readonly state: "started"; readonly version: string; readonly attempts: number }
    | { readonly state: "done"; readonly value: string; readonly usage?: string }
    | { readonly state: "failed"; readonly usage?: string }
    /** Again for a step that waits already: its wait is another now; what was found stays. */
    | { readonly state: "waiting"; readonly version: string; readonly wait: Wait }
    /** It is not waited for any more. */
    | { readonly state: "dropped" };
}

export interface WaitRecord {
  readonly delivery: DeliveryRef;
  readonly scope: number;
  readonly step: StepRecord;
}
export interface Signal {
  readonly type: string;
  readonly key: string;
  readonly position: PositionNumber;
}

/** The steps of deliveries. Written through `record` and `command`. */
export interface Journal {
  /** The steps of a delivery in a scope, by name. */
  steps(delivery: DeliveryRef, scope: number): Promise<readonly StepRecord[]>;
  /** The value of one that is done. */
  stepValue(delivery: DeliveryRef, scope: number, name: string): Promise<string | undefined>;
  /** Types of the facts that any delivery waits for. */
  awaited(): Promise<readonly string[]>;
  /**
   * A fact is there: every delivery that waits for its type and key, from behind a lower position, remembers it and is due
   * now; one that runs is due again as soon as it waits. May be called again. Answers how many there were.
   */
  signal(signal: Signal): Promise<number>;
  /** Steps that wait, of deliveries that are open, by delivery and name. */
  waits(query: {
    readonly kind: WaitKind;
    readonly after?: WaitRecord;
    readonly limit: number;
  }): Promise<readonly WaitRecord[]>;
}

/** A wait that was written down as JSON, which leaves out what is undefined. */
export function waitOf(text: string): Wait {
  const wait = JSON.parse(text) as Partial<Wait>;
  return {
    kind: wait.kind ?? "sleep",
    dueMs: wait.dueMs,
    types: wait.types ?? [],
    key: wait.key,
    after: wait.after ?? 0,
    about: wait.about,
  };
}

/** States of a step by the number that SQL engines store */
const stepStates: readonly StepState[] = ["started", "done", "failed", "waiting"];

/** A step as SQL engines store it. */
export type StepCells = [
  name: string,
  state: number,
  version: string,
  attempts: number,
  atMs: number,
  value: string | null,
  bytes: number,
  usage: string | null,
  wait: string | null,
  found: string,
];

export function stepOf(cells: StepCells): StepRecord {
  const [name, state, version, attempts, atMs, value, bytes, usage, wait, found] = cells;
  return {
    name,
    state: stepStates[state]!,
    version,
    attempts,
    atMs,
    value: value ?? undefined,
    bytes,
    usage: usage ?? undefined,
    wait: wait === null ? undefined : waitOf(wait),
    found: JSON.parse(found) as number[],
  };
}
