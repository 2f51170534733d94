import type { Approval, ApprovalRequest, WaitForOptions } from "../app/steps.ts";
import { type Duration, durationMs } from "../duration.ts";
import type { StepRecord, Wait } from "../engine/journal.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, RecordedEvent } from "../event/define.ts";
import type { PositionNumber } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import { answerAmbiguousBy, type Steps } from "./steps.ts";

/** What waits for facts need of the runtime around them. */
export interface WaitHost {
  /** Position of the delivered event. */
  readonly position: PositionNumber;
  /** Throws NOT_SUPPORTED where the log cannot be waited on. */
  requireOrder(): void;
  /** Facts of these types and this key behind a position, up to the head, and how far that was. */
  scan(
    types: readonly string[],
    key: string,
    after: PositionNumber,
  ): Promise<{ readonly positions: readonly PositionNumber[]; readonly scannedTo: PositionNumber }>;
  decode(types: readonly AnyEventType[], positions: readonly PositionNumber[]): Promise<readonly RecordedEvent[]>;
  /** Somebody waits for facts from now on. */
  awaiting(): void;
}

const nothing: Omit<Wait, "kind"> = { dueMs: undefined, types: [], key: undefined, after: 0, about: undefined };
const outcome = Symbol("the wait goes on");
type GoesOn = { readonly [outcome]: true; readonly dueMs: number | undefined };
const goesOn = (dueMs: number | undefined): GoesOn => ({ [outcome]: true, dueMs });
const isGoingOn = (value: unknown): value is GoesOn => typeof value === "object" && value !== null && outcome in value;

/** One wait under its name: where it goes on, the run is left. */
async function waiting<T>(steps: Steps, name: string, act: (path: string) => Promise<T | GoesOn>): Promise<T> {
  if (steps.isInside) {
    throw new FactlogError(
      "WAIT_IN_STEP",
      `${steps.host.subscription}: ${name} waits inside a step, which has to end in one go: wait in the handler.`,
    );
  }
  return steps.named(name, async (path) => {
    const found = await act(path);
    return isGoingOn(found) ? steps.wait(found.dueMs) : found;
  });
}

export function sleep(steps: Steps, name: string, duration: Duration | Date): Promise<void> {
  const { env } = steps.host;
  return waiting(steps, name, async (path) => {
    const known = await steps.find(path, "");
    const dueMs = known?.wait?.dueMs ?? timeOf(duration, env.now());
    const restMs = dueMs - env.now();
    if (known === undefined && restMs > 0) {
      await steps.record(path, { state: "waiting", version: "", wait: { ...nothing, kind: "sleep", dueMs } });
    }
    return restMs > 0 ? goesOn(dueMs) : undefined;
  });
}

function timeOf(duration: Duration | Date, nowMs: number): number {
  if (!(duration instanceof Date)) return nowMs + durationMs(duration, "duration");
  if (!Number.isNaN(duration.getTime())) return duration.getTime();
  throw new FactlogError("INVALID_OPTION", "the time to sleep until is no valid Date.");
}

export async function waitFor(
  steps: Steps,
  host: WaitHost,
  name: string,
  types: readonly AnyEventType[],
  options: WaitForOptions<AnyEventType>,
): Promise<RecordedEvent | null> {
  host.requireOrder();
  return waiting(steps, name, (path) => new Awaited(steps, host, path, types, options).look());
}

/** One wait for a fact. What it found is its value: a position, or null. */
class Awaited {
  readonly #steps: Steps;
  readonly #host: WaitHost;
  readonly #path: string;
  readonly #types: readonly AnyEventType[];
  readonly #options: WaitForOptions<AnyEventType>;

  constructor(
    steps: Steps,
    host: WaitHost,
    path: string,
    types: readonly AnyEventType[],
    options: WaitForOptions<AnyEventType>,
  ) {
    this.#steps = steps;
    this.#host = host;
    this.#path = path;
    this.#types = types;
    this.#options = options;
  }

  async look(): Promise<RecordedEvent | null | GoesOn> {
    const known = await this.#steps.find(this.#path, "");
    if (known?.state === "done") return this.#remembered(known.value ?? "null");
    const wait = known?.wait ?? (await this.#begin());
    this.#steps.pending.add(this.#path);
    this.#host.awaiting();
    const early = await this.#first(known?.found ?? []);
    if (early !== undefined) return this.#end(early);
    const { positions, scannedTo } = await this.#host.scan(wait.types, this.#options.key, wait.after);
    const found = await this.#first(positions);
    if (found !== undefined) return this.#end(found);
    if (this.#steps.host.env.now() >= (wait.dueMs ?? Number.POSITIVE_INFINITY)) return this.#end(null);
    if (scannedTo - wait.after > limits.pageEvents) await this.#register({ ...wait, after: scannedTo });
    return goesOn(wait.dueMs);
  }

  /** Behind the delivered event, or behind what was found last under this name. */
  async #begin(): Promise<Wait> {
    const { env } = this.#steps.host;
    const wait: Wait = {
      kind: "event",
      dueMs: env.now() + durationMs(this.#options.timeout, "timeout"),
      types: this.#types.map(({ type }) => type),
      key: this.#options.key,
      after: Math.max(this.#host.position, await this.#lastFound()),
      about: undefined,
    };
    await this.#register(wait);
    return wait;
  }
  async #lastFound(): Promise<PositionNumber> {
    const [, base = this.#path, occurrence = "1"] = /^(.*)#(\d+)$/su.exec(this.#path) ?? [];
    const before = Number(occurrence) - 1;
    if (before === 0) return 0;
    const last = await this.#steps.find(before === 1 ? base : `${base}#${before}`, "");
    return last?.state === "done" ? Number(JSON.parse(last.value ?? "null") ?? 0) : 0;
  }
  async #register(wait: Wait): Promise<void> {
    await this.#steps.record(this.#path, { state: "waiting", version: "", wait });
  }

  async #first(positions: readonly PositionNumber[]): Promise<RecordedEvent | undefined> {
    if (positions.length === 0) return undefined;
    const events = await this.#host.decode(this.#types, positions);
    return events.find((event) => this.#options.where?.(event) ?? true);
  }
  async #end(found: RecordedEvent | null): Promise<RecordedEvent | null> {
    const value = found === null ? "null" : String(placeOf(found));
    const stood = await this.#steps.record(this.#path, { state: "done", value });
    this.#steps.pending.delete(this.#path);
    return stood === undefined ? found : this.#remembered(stood);
  }
  async #remembered(value: string): Promise<RecordedEvent | null> {
    const position = JSON.parse(value) as PositionNumber | null;
    if (position === null) return null;
    const [event] = await this.#host.decode(this.#types, [position]);
    if (event !== undefined) return event;
    throw new FactlogError("NOT_FOUND", `the fact that ${this.#path} waited for is not in the log any more.`);
  }
}

/** Positions are opaque outside the process; their last part is the number. */
const placeOf = (event: RecordedEvent): PositionNumber => Number(event.position.split(".").at(-1));

interface AnswerText {
  readonly approved: boolean;
  readonly reason?: "rejected" | "expired";
  readonly by?: string;
  readonly comment?: string;
  readonly atMs: number;
}

export function approval(steps: Steps, name: string, request: ApprovalRequest): Promise<Approval> {
  const about = aboutOf(name, request);
  const timeoutMs = request.timeout === undefined ? undefined : durationMs(request.timeout, "timeout");
  return waiting(steps, name, (path) => ask(steps, path, about, timeoutMs));
}

async function ask(
  steps: Steps,
  path: string,
  about: string,
  timeoutMs: number | undefined,
): Promise<Approval | GoesOn> {
  const { env } = steps.host;
  const known: StepRecord | undefined = await steps.find(path, "");
  if (known?.state === "done") return approvalOf(known.value);
  const dueMs = known?.wait?.dueMs ?? (timeoutMs === undefined ? undefined : env.now() + timeoutMs);
  if (known === undefined) {
    await steps.record(path, { state: "waiting", version: "", wait: { ...nothing, kind: "approval", dueMs, about } });
  }
  steps.pending.add(path);
  if (dueMs === undefined || env.now() < dueMs) return goesOn(dueMs);
  const expired: AnswerText = { approved: false, reason: "expired", atMs: dueMs };
  const value = JSON.stringify(expired);
  const stood = await steps.record(path, { state: "done", value });
  steps.pending.delete(path);
  return approvalOf(stood ?? value);
}

function aboutOf(name: string, request: ApprovalRequest): string {
  const { summary, details, assignee } = request;
  if (typeof summary !== "string" || summary === "") {
    throw new FactlogError("INVALID_OPTION", `approval ${name}: give a summary of what is asked.`);
  }
  const about = JSON.stringify({ summary, details, assignee });
  if (Buffer.byteLength(about) <= limits.stepInlineBytes) return about;
  throw new FactlogError(
    "INVALID_OPTION",
    `approval ${name}: what is asked is more than ${limits.stepInlineBytes} bytes: put a reference into the details.`,
  );
}

function approvalOf(text: string | undefined): Approval {
  const { approved, reason, by, comment, atMs } = JSON.parse(text ?? "{}") as AnswerText;
  const at = new Date(atMs);
  if (approved) return { approved, by: by ?? "", at, comment };
  return { approved: false, reason: reason ?? "rejected", by, at, comment };
}

answerAmbiguousBy(async (steps, path, question) => {
  const answer = await ask(steps, `${path}?`, JSON.stringify({ summary: `${question}. Run it again?` }), undefined);
  return isGoingOn(answer) ? steps.wait(answer.dueMs) : answer.approved;
});
