import { z } from "zod";
import {
  type App,
  Defer,
  defineApp,
  defineEvent,
  defineSubscription,
  NonRetryable,
  RetryAfter,
  sql,
  Unavailable,
} from "../src/index.ts";
import type { HandlerContext, StateContext } from "../src/app/context.ts";
import type { RecordedEvent } from "../src/event/define.ts";
import type { Deliver } from "./checker/history.ts";
import type { SubTraits } from "./plan.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

const schema = z.object({ key: z.string(), n: z.number(), kind: z.enum(["plain", "poison", "killer"]) });
export const groups: readonly string[] = ["g0", "g1", "g2"];
const Alone = defineEvent("Fact", { schema, key: (fact) => fact.key });
const Grouped = defineEvent("Fact", {
  schema,
  key: (fact) => fact.key,
  group: (fact) => groups[Number(fact.key.slice(1)) % groups.length]!,
});
export const factOf = (plan: { readonly grouped: boolean }): typeof Alone => (plan.grouped ? Grouped : Alone);
/** Without a key. */
export const Loose = defineEvent("Loose", {
  schema: z.object({ n: z.number(), kind: z.enum(["plain", "poison", "killer"]) }),
});
/** Emitted. */
export const Derived = defineEvent("Derived", {
  schema: z.object({ key: z.string(), of: z.string(), sub: z.string(), run: z.number() }),
  key: (derived) => derived.key,
});
/** Announced. */
export const Note = defineEvent("Note", { schema: z.object({ of: z.string(), sub: z.string(), run: z.number() }) });

const eventTypes = { Loose, Derived, Note } as const;
type Context = HandlerContext & Partial<StateContext<number[]>>;
interface Run {
  readonly scene: Scene;
  readonly process: Process;
  readonly traits: SubTraits;
  readonly event: RecordedEvent;
  readonly ctx: Context;
  readonly op: Deliver;
}

/** The types that a subscription reads in a version: the second adds one to `books`. */
export const typesIn = (traits: SubTraits, version: number): readonly string[] =>
  version === 2 && traits.name === "books" ? [...traits.types, "Derived"] : traits.types;

export function appOf(scene: Scene, process: Process): App {
  const subscriptions = scene.plan.subs.map((traits) =>
    defineSubscription(
      traits.name,
      {
        on: typesIn(traits, process.version).map((type) =>
          type === "Fact" ? factOf(scene.plan) : eventTypes[type as keyof typeof eventTypes],
        ),
        emits: [Derived, Note],
        from: "beginning",
        order: traits.order,
        onExhausted: traits.onExhausted,
        concurrency: traits.concurrency,
        ...(traits.limits === undefined ? {} : { limits: traits.limits }),
        timeout: traits.timeoutMs,
        retry: { attemptsMax: traits.attemptsMax, crashesMax: traits.crashesMax, backoff: [...traits.backoffMs] },
        ...(traits.filterEvery === 0 ? {} : { filter: (event) => isWanted(traits, event as RecordedEvent) }),
        ...(traits.state ? { state: { schema: z.array(z.number()), initial: [] } } : {}),
      },
      (event, ctx) => handle(scene, process, traits, event as unknown as RecordedEvent, ctx as unknown as Context),
    ),
  );
  return defineApp({ name: "sim", subscriptions });
}

export function isWanted(traits: Pick<SubTraits, "filterEvery">, event: { readonly data: unknown }): boolean {
  const { n } = event.data as { n?: number };
  return traits.filterEvery === 0 || n === undefined || n % traits.filterEvery !== 0;
}

type Mood =
  | "now"
  | "soon"
  | "slow"
  | "long"
  | "hang"
  | "kill"
  | "fail"
  | "fail-slow"
  | "non-retryable"
  | "retry-after"
  | "defer"
  | "unavailable";

function handle(scene: Scene, process: Process, traits: SubTraits, event: RecordedEvent, ctx: Context): unknown {
  const run: Run = { scene, process, traits, event, ctx, op: begin(scene, process, traits, event, ctx) };
  const mood = moodOf(run);
  if (mood !== "now" || traits.announces) return play(run, mood);
  try {
    conclude(run);
    over(run, "ok");
    return undefined;
  } catch (error) {
    over(run, "fail");
    throw error;
  }
}

function begin(scene: Scene, process: Process, traits: SubTraits, event: RecordedEvent, ctx: Context): Deliver {
  const op: Deliver = {
    op: "deliver",
    process: process.name,
    t: scene.t,
    run: ++scene.runs,
    sub: traits.name,
    id: event.id,
    type: event.type,
    key: event.key,
    position: Number(event.position.split(".").at(-1)),
    attempt: ctx.attempt,
    outcome: "unknown",
  };
  scene.ops.push(op);
  scene.count++;
  const active = scene.active.get(process) ?? new Set();
  scene.active.set(process, active);
  active.add(op);
  ctx.signal.addEventListener("abort", () => {
    const { code } = ctx.signal.reason as { code: string };
    if (op.end !== undefined || op.aborted !== undefined) return;
    op.aborted = code;
    op.abortedAt = scene.t;
  });
  return op;
}

function over({ scene, process, op }: Run, outcome: "ok" | "fail"): void {
  if (process.gone) return;
  op.outcome = outcome;
  op.end = scene.t;
  scene.active.get(process)?.delete(op);
}

function moodOf(run: Run): Mood {
  const { scene, event, traits } = run;
  const { rates, moods } = scene;
  // A killer kills until it is dead: only whom an operator brought back is mended.
  const mended = scene.healing && run.ctx.mode === "redrive";
  if (scene.killers.has(event.id) && !mended) return "kill";
  if (scene.healing) {
    const hopeless = scene.hopeless.has(event.id) && scene.plan.mend !== "cure";
    return hopeless ? "fail" : moods.chance(0.5) ? "now" : "soon";
  }
  if (scene.hopeless.has(event.id)) return moods.pick(["fail", "fail-slow", "non-retryable"]);
  const draw = (kind: Parameters<Scene["happens"]>[0], rate: number): boolean => scene.happens(kind, rate);
  const nowMs = scene.world.nowMs;
  if (draw("outage", rates.outage)) scene.downUntilMs.set(traits.name, nowMs + moods.int(100, 10_000));
  if ((scene.downUntilMs.get(traits.name) ?? 0) > nowMs) return moods.pick(["unavailable", "fail", "fail"]);
  if (draw("handler-failed", rates.fail)) return moods.pick(["fail", "fail-slow"]);
  if (draw("non-retryable", rates.nonRetryable)) return "non-retryable";
  if (draw("retry-after", rates.retryAfter)) return "retry-after";
  if (draw("defer", rates.defer)) return "defer";
  if (draw("handler-hung", rates.hang)) return "hang";
  if (traits.timeoutMs > 5_000 && draw("handler-long", rates.long)) return "long";
  if (draw("handler-slow", rates.slow)) return "slow";
  return moods.chance(0.4) ? "now" : "soon";
}

async function play(run: Run, mood: Mood): Promise<void> {
  try {
    await perform(run, mood);
    over(run, "ok");
  } catch (error) {
    over(run, "fail");
    throw error;
  }
}

async function perform(run: Run, mood: Mood): Promise<void> {
  const { scene, process, ctx, traits, event } = run;
  const { moods } = scene;
  const effectFirst = moods.chance(0.3);
  if (effectFirst) effect(run);
  if (mood === "kill") {
    scene.fault("killer-event");
    scene.crash(process);
    return new Promise(() => {});
  }
  if (mood === "hang") return new Promise(() => {});
  if (mood !== "fail") await process.sleep(waitOf(run, mood));
  if (traits.announces) await ctx.announce(Note({ of: event.id, sub: traits.name, run: run.op.run }), { name: "note" });
  if (mood === "fail" || mood === "fail-slow") throw new Error(`run fails by chance of ${event.id}`);
  if (mood === "non-retryable") throw new NonRetryable("never");
  if (mood === "retry-after") throw new RetryAfter(moods.int(1, 2_000));
  if (mood === "unavailable") throw new Unavailable("down");
  if (mood === "defer") throw new Defer(moods.int(1, 2_000));
  conclude(run);
  if (moods.chance(0.2)) await process.sleep(moods.int(0, 30));
}

function waitOf({ scene, traits }: Run, mood: Mood): number {
  if (mood === "slow") return scene.moods.int(30, 2_500);
  if (mood === "long") return scene.moods.int(5_000, Math.min(20_000, traits.timeoutMs + 3_000));
  return scene.moods.int(0, 20);
}

/** What the run does to the world; what it asks the runtime to do when it is done. */
function conclude(run: Run): void {
  const { traits, event, ctx, op } = run;
  effect(run);
  if (traits.writes)
    ctx.write(sql`INSERT INTO sim_effect(sub, id, run) VALUES (${traits.name}, ${event.id}, ${op.run})`);
  if (traits.state && ctx.state !== undefined) ctx.state.set([...ctx.state.get(), op.position]);
  if (traits.emits && event.type === "Fact")
    ctx.emit(Derived({ key: event.key ?? "", of: event.id, sub: traits.name, run: op.run }));
}

function effect({ scene, process, traits, event, ctx, op }: Run): void {
  if (process.gone) return;
  const key = ctx.idempotencyKey("mail");
  scene.ops.push({ op: "effect", process: process.name, t: scene.t, run: op.run, sub: traits.name, id: event.id, key });
}
