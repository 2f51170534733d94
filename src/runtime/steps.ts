import { AsyncLocalStorage } from "node:async_hooks";
import type { StepContext, StepOptions } from "../app/steps.ts";
import { NonRetryable } from "../app/verdicts.ts";
import { backoffMs, type ResolvedRetryPolicy, resolveRetryPolicy } from "../delivery/retry-policy.ts";
import { durationMs } from "../duration.ts";
import type { StepChange, StepRecord } from "../engine/journal.ts";
import type { Register } from "../engine/register.ts";
import { type Env, pause } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";

/** What steps need of the runtime around them. Everything rejects with LEASE_LOST where another holds the delivery. */
export interface StepHost {
  readonly env: Env;
  readonly subscription: string;
  /** What the ledger keeps by name. */
  readonly register: Register;
  /** The delivery has a running row from now on, and these are its steps. */
  load(): Promise<readonly StepRecord[]>;
  value(name: string): Promise<string | undefined>;
  /** Gives the value that stood there already. */
  record(name: string, to: StepChange["to"]): Promise<string | undefined>;
  idempotencyKey(name: string): string;
  readonly signal: AbortSignal;
  /** The run is left behind; `dueMs`: wall clock, undefined = until it is woken. */
  suspend(dueMs: number | undefined): void;
}

interface Running {
  readonly steps: Steps;
  readonly path: string;
  readonly step: StepContext;
}
const running: AsyncLocalStorage<Running> = new AsyncLocalStorage();

/** The step that is running now, for code that gets no `ctx`. Throws NOT_IN_STEP outside one. */
export function currentStep(): StepContext {
  const step = running.getStore()?.step;
  if (step !== undefined) return step;
  throw new FactlogError("NOT_IN_STEP", "no step is running here: call it inside the function given to ctx.step.");
}

/** A run left behind: the promise of its wait never settles. */
const never = new Promise<never>(() => {});

/** The steps and waits of one attempt. Made with the first of them. */
export class Steps {
  readonly host: StepHost;
  #loaded: Promise<Map<string, StepRecord>> | undefined;
  /** How often each path was asked for in this run, and which are at it. */
  readonly #counts = new Map<string, number>();
  readonly #open = new Set<string>();
  /** What keeps the run from being left: steps, and writes to the journal. */
  #busy = 0;
  /** Times at which waits of this run are due. */
  readonly #waits: (number | undefined)[] = [];
  /** Waits that were begun or found in this run and are not over. */
  readonly pending: Set<string> = new Set();

  constructor(host: StepHost) {
    this.host = host;
  }

  /** Whether the code that asks runs inside a step of this attempt. */
  get isInside(): boolean {
    return running.getStore()?.steps === this;
  }

  async step(name: string, fn: (step: StepContext) => unknown, options: InnerStepOptions = {}): Promise<unknown> {
    const plan = planOf(name, options);
    return this.named(name, async (path) => {
      const known = await this.find(path, plan.version);
      if (known?.state === "done") return this.#remembered(known);
      if (known?.state === "started") await this.#ambiguous(path, plan);
      return this.#run(path, plan, fn, known?.attempts ?? 0);
    });
  }

  /** Takes a name for as long as `act` is at it. Two at one time under one name could not be told apart in a later run. */
  async named<T>(name: string, act: (path: string) => Promise<T>): Promise<T> {
    checkName(name);
    const within = running.getStore();
    const full = within?.steps === this ? `${within.path}/${name}` : name;
    if (this.#open.has(full)) {
      throw new FactlogError(
        "STEP_NAME_TAKEN",
        `${this.host.subscription}: two steps named ${full} run at one time: give each a name of its own, such as ${full}-1.`,
      );
    }
    const occurrence = (this.#counts.get(full) ?? 0) + 1;
    this.#counts.set(full, occurrence);
    this.#open.add(full);
    try {
      return await this.busy(() => act(occurrence === 1 ? full : `${full}#${occurrence}`));
    } finally {
      this.#open.delete(full);
    }
  }

  async busy<T>(act: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await act();
    } finally {
      this.#busy--;
      this.#leaveSoon();
    }
  }

  async find(path: string, version: string): Promise<StepRecord | undefined> {
    const known = (await this.#load()).get(path);
    return known?.version === version ? known : undefined;
  }
  /** What was there when the run first asked, and what is done since. */
  records(): Promise<readonly StepRecord[]> {
    return this.busy(async () => [...(await this.#load()).values()]);
  }
  #load(): Promise<Map<string, StepRecord>> {
    this.#loaded ??= this.host.load().then((steps) => new Map(steps.map((step) => [step.name, step])));
    return this.#loaded;
  }

  /** The run is left here, as soon as nothing else of it is under way. Never settles. */
  async wait(dueMs: number | undefined): Promise<never> {
    this.#waits.push(dueMs);
    this.#busy--;
    this.#leaveSoon();
    return never;
  }

  /** What is under way may go on to its next step: the run is left when nothing is, after a turn of the event loop. */
  #leaveSoon(): void {
    if (this.#busy > 0 || this.#waits.length === 0) return;
    this.host.env.soon(() => {
      if (this.#busy > 0) return;
      const times = this.#waits.map((dueMs) => dueMs ?? Number.POSITIVE_INFINITY);
      const dueMs = Math.min(...times);
      this.host.suspend(Number.isFinite(dueMs) ? dueMs : undefined);
    });
  }

  async #remembered(step: StepRecord): Promise<unknown> {
    return parse(step.value ?? (await this.host.value(step.name)) ?? "");
  }

  /** A crash left it begun: it may have taken effect. */
  async #ambiguous(path: string, { onAmbiguous, ask }: Plan): Promise<void> {
    if (onAmbiguous === "retry") return;
    const question = `step ${path} was begun when its process died, and may have taken effect`;
    if (onAmbiguous === "fail") throw new NonRetryable(`${question}: look, then redrive.`);
    if (!(await ask(this, path, question))) throw new NonRetryable(`${question}; running it again was rejected.`);
  }

  /** Records a move of a step. Gives the value that stood there already. */
  async record(path: string, to: StepChange["to"]): Promise<string | undefined> {
    const stood = await this.host.record(path, to);
    const value = stood ?? (to.state === "done" ? to.value : undefined);
    const known = (await this.#loaded)?.get(path);
    if (value !== undefined) {
      (await this.#loaded)?.set(path, { ...(known ?? blank(path, this.host.env.now())), state: "done", value });
    }
    return stood;
  }

  async #run(path: string, plan: Plan, fn: (step: StepContext) => unknown, before: number): Promise<unknown> {
    const attempt = before + 1;
    await this.record(path, { state: "started", version: plan.version, attempts: attempt });
    try {
      return await this.#done(path, plan, await this.#call(path, plan, fn, attempt));
    } catch (error) {
      if (this.host.signal.aborted) throw error;
      const tries = ((attempt - 1) % plan.retry.attemptsMax) + 1;
      const isLast = tries >= plan.retry.attemptsMax || error instanceof NonRetryable;
      const instead = isLast ? plan.failure?.(error) : undefined;
      if (instead !== undefined) return this.#done(path, plan, instead);
      await this.record(path, { state: "failed", ...usageOf(undefined, plan) });
      if (isLast) throw error;
      const waitMs = backoffMs(plan.retry, tries, this.host.env.random());
      if (!this.isInside) return this.wait(this.host.env.now() + waitMs);
      await pause(this.host.env, waitMs, this.host.signal);
      this.host.signal.throwIfAborted();
      return this.#run(path, plan, fn, attempt);
    }
  }

  async #done(path: string, plan: Plan, value: unknown): Promise<unknown> {
    const text = textOf(path, value);
    const stood = await this.record(path, { state: "done", value: text, ...usageOf(value, plan) });
    return parse(stood ?? text);
  }

  async #call(path: string, plan: Plan, fn: (step: StepContext) => unknown, attempt: number): Promise<unknown> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.host.signal, over.signal]);
    const step: StepContext = { idempotencyKey: this.host.idempotencyKey(`step:${path}`), signal, attempt };
    const late = Promise.withResolvers<never>();
    const timer =
      plan.timeoutMs === undefined
        ? undefined
        : this.host.env.after(plan.timeoutMs, () => {
            const error = new FactlogError(
              "STEP_TIMEOUT",
              `step ${path} ran past its timeout of ${plan.timeoutMs} ms.`,
            );
            over.abort(error);
            late.reject(error);
          });
    const aborted = (): void => late.reject(this.host.signal.reason as Error);
    this.host.signal.addEventListener("abort", aborted, { once: true });
    late.promise.catch(() => {});
    try {
      const ran = running.run({ steps: this, path, step }, async () => fn(step));
      return await Promise.race([ran, late.promise]);
    } finally {
      timer?.cancel();
      this.host.signal.removeEventListener("abort", aborted);
    }
  }
}

const blank = (name: string, atMs: number): StepRecord => ({
  name,
  state: "done",
  version: "",
  attempts: 0,
  atMs,
  value: undefined,
  bytes: 0,
  usage: undefined,
  wait: undefined,
  found: [],
});

interface Plan {
  readonly version: string;
  readonly onAmbiguous: "retry" | "ask" | "fail";
  readonly retry: ResolvedRetryPolicy;
  readonly timeoutMs: number | undefined;
  readonly usage: InnerStepOptions["usage"];
  readonly failure: InnerStepOptions["failure"];
  readonly ask: Ask;
}
/** Raises an approval; whether it was given. */
export type Ask = (steps: Steps, path: string, question: string) => Promise<boolean>;

/** What only the code of this package may say of a step. */
export interface InnerStepOptions extends StepOptions {
  /** What its runs used so far: tokens, money. Asked with the value of a run, or with undefined where it failed. */
  readonly usage?: ((value: unknown) => unknown) | undefined;
  /** The value that is remembered in place of a failure; undefined: it failed. */
  readonly failure?: ((error: unknown) => unknown) | undefined;
}
let askForApproval: Ask = async () => false;
/** Approvals are waits, which are made of steps. */
export function answerAmbiguousBy(ask: Ask): void {
  askForApproval = ask;
}

function planOf(name: string, options: InnerStepOptions): Plan {
  const { onAmbiguous = "retry", version, timeout, retry, usage, failure } = options;
  if (!["retry", "ask", "fail"].includes(onAmbiguous)) {
    throw new FactlogError(
      "INVALID_OPTION",
      `step ${name}: onAmbiguous is ${String(onAmbiguous)}: give "retry", "ask" or "fail".`,
    );
  }
  return {
    version: version === undefined ? "" : String(version),
    onAmbiguous,
    retry: resolveRetryPolicy(retry ?? { attemptsMax: 1 }),
    timeoutMs: timeout === undefined ? undefined : durationMs(timeout, "timeout"),
    usage,
    failure,
    ask: askForApproval,
  };
}

function usageOf(value: unknown, { usage }: Plan): { readonly usage?: string } {
  const used = usage?.(value);
  return used === undefined ? {} : { usage: JSON.stringify(used) };
}

function checkName(name: unknown): void {
  const fits =
    typeof name === "string" &&
    name.length > 0 &&
    name.length <= limits.nameLengthMax &&
    name.isWellFormed() &&
    !/[\p{Cc}/#]/u.test(name);
  if (fits) return;
  throw new FactlogError(
    "INVALID_OPTION",
    `${JSON.stringify(name)} names no step: give 1 to ${limits.nameLengthMax} characters without "/", "#" and control characters.`,
  );
}

/** JSON text; "" for undefined, which no JSON is. */
function textOf(path: string, value: unknown): string {
  if (value === undefined) return "";
  const refuse = (why: string, cause?: unknown): never => {
    throw new FactlogError("STEP_INVALID", `the value of step ${path} cannot be remembered: ${why}.`, { cause });
  };
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (cause) {
    refuse((cause as Error).message, cause);
  }
  if (text === undefined) return refuse("it is no JSON");
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.stepBytesMax) {
    refuse(`it is ${bytes} bytes, the limit is ${limits.stepBytesMax}: store it elsewhere, and remember where`);
  }
  return text;
}
const parse = (text: string): unknown => (text === "" ? undefined : (JSON.parse(text) as unknown));
