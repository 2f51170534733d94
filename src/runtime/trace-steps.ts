import type { StepRecord, Wait } from "../engine/journal.ts";
import type { DeliveryRef, Ledger } from "../engine/ledger.ts";
import { limits } from "../limits.ts";

/** A remembered part of a handler, or a wait, as the journal has it. */
export interface TraceStep {
  readonly name: string;
  readonly state: "started" | "done" | "failed" | "waiting";
  /** Runs begun so far; 0 for a wait. */
  readonly runs: number;
  /** When it came to this state. */
  readonly at: Date;
  /** Of a model or tool call of `factlog/agent`, all its runs together. */
  readonly used: StepUsage | undefined;
  /** Of one that waits: for a person, a fact, or time. */
  readonly waitsFor:
    | { readonly kind: Wait["kind"]; readonly what: string; readonly until: Date | undefined }
    | undefined;
}
export interface StepUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** "unknown" where an answer has no price: never 0 in its place. */
  readonly usd: number | "unknown";
  readonly ms: number;
}

/** The steps of a delivery in its newest scope, in the order in which they came to their state. */
export async function stepsOf(
  ledger: Ledger,
  delivery: DeliveryRef,
  scope: number | undefined,
): Promise<readonly TraceStep[]> {
  const steps = scope === undefined ? await newestOf(ledger, delivery) : await ledger.steps(delivery, scope);
  return steps
    .toSorted((a, b) => a.atMs - b.atMs)
    .slice(0, limits.traceStepsMax)
    .map(shown);
}

/** Of what is closed nobody keeps the scope: the last one in which there were steps. */
async function newestOf(ledger: Ledger, delivery: DeliveryRef): Promise<readonly StepRecord[]> {
  let newest: readonly StepRecord[] = [];
  for (let scope = 0; ; scope++) {
    const steps = await ledger.steps(delivery, scope);
    if (steps.length === 0) return newest;
    newest = steps;
  }
}

function shown({ name, state, attempts, atMs, usage, wait }: StepRecord): TraceStep {
  return {
    name,
    state,
    runs: attempts,
    at: new Date(atMs),
    used: usage === undefined ? undefined : usageIn(usage),
    waitsFor:
      wait === undefined || state !== "waiting"
        ? undefined
        : {
            kind: wait.kind,
            what: whatOf(wait),
            until: wait.dueMs === undefined ? undefined : new Date(wait.dueMs),
          },
  };
}

function usageIn(text: string): StepUsage | undefined {
  const used = JSON.parse(text) as Partial<Record<"inputTokens" | "outputTokens" | "usd" | "unpriced" | "ms", number>>;
  if (used.inputTokens === undefined || used.outputTokens === undefined) return undefined;
  return {
    inputTokens: used.inputTokens,
    outputTokens: used.outputTokens,
    usd: used.usd === undefined || (used.unpriced ?? 0) > 0 ? "unknown" : used.usd,
    ms: Math.round(used.ms ?? 0),
  };
}

function whatOf({ kind, types, key, about }: Wait): string {
  if (kind === "event") return `${types.join(" or ")} of ${key ?? ""}`;
  if (kind === "approval") return (JSON.parse(about ?? "{}") as { readonly summary?: string }).summary ?? "";
  return "";
}
