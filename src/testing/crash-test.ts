import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, type AppSpec, appSpecOf } from "../app/app.ts";
import type { HandlerContext } from "../app/context.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Engine, EngineHandle } from "../engine/engine.ts";
import { Database, ownPrefix } from "../engines/sqlite/database.ts";
import { sqlite } from "../engines/sqlite/index.ts";
import { memory } from "../engines/memory/index.ts";
import type { NewEvent } from "../event/define.ts";
import { limits } from "../limits.ts";
import { crashPoint, crashPointNow, DoomedProcess, doomed } from "./crash-point.ts";
import type { Effect } from "./fake-effect.ts";
import { hasProjections, openTestLog, type TestLog } from "./test-log.ts";
import { VirtualEnv } from "./virtual-env.ts";

export interface CrashReport {
  readonly ok: boolean;
  /** How many crash points were tried; a report with none is not ok. */
  readonly points: number;
  readonly problems: readonly CrashProblem[];
}
export interface CrashProblem {
  /** Name of the effect, or the type of an event. */
  readonly effect: string;
  /** Where the process died. */
  readonly point: string;
  readonly expected: number;
  readonly seen: number;
  readonly advice: string;
}
export interface CrashSubject {
  readonly app: App;
  // oxlint-disable-next-line typescript/no-explicit-any -- effects of any shape
  readonly effects: readonly Effect<any>[];
  /**
   * Statements that make tables of yours. Given (`[]` will do), the app runs on an SQLite file of its own, so that handlers
   * may use `sqliteStore()` and `ctx.write`, and each row of each table counts as an effect. An app with projections needs
   * none of them to run there.
   */
  readonly tables?: readonly string[];
}

/**
 * Runs the app once for every crash point (before and after each verb of `ctx`, each fake effect and each write to the
 * store), kills the process there, recovers with a new one, and compares what was done with a run that nothing disturbed.
 * `make` must build a fresh app with fresh effects each time. With `tables` on an SQLite file, else in memory.
 */
export async function crashTest(make: () => CrashSubject, events: readonly NewEvent[]): Promise<CrashReport> {
  const calm = await life(make(), events, -1);
  const problems: CrashProblem[] = [];
  for (const [at, point] of calm.points.entries()) {
    const { done } = await life(make(), events, at);
    for (const what of new Set([...calm.done.keys(), ...done.keys()])) {
      const expected = calm.done.get(what) ?? 0;
      const seen = done.get(what) ?? 0;
      if (expected !== seen) problems.push({ effect: what, point, expected, seen, advice: adviceOn(expected, seen) });
    }
  }
  return { ok: problems.length === 0 && calm.points.length > 0, points: calm.points.length, problems };
}

function adviceOn(expected: number, seen: number): string {
  if (seen < expected) return "it was lost: do it in the handler, and await it there.";
  return "it was done again after a crash: give the receiver ctx.idempotencyKey(name), or do it by ctx.emit, ctx.write or ctx.state.";
}

/** One run with its crash and its recovery: what was done in the end, and the points that were passed. */
async function life(
  subject: CrashSubject,
  events: readonly NewEvent[],
  dieAt: number,
): Promise<{ readonly done: Map<string, number>; readonly points: readonly string[] }> {
  await using place = placeOf(subject);
  const store = place.engine;
  const app = watched(appSpecOf(subject.app));
  const env = new VirtualEnv();
  const died = Promise.withResolvers<void>();
  const process = new DoomedProcess(dieAt, () => {
    env.kill();
    died.resolve();
  });
  const first = doomed.run(process, () => work(app, withPoints(store), env, events));
  const survivor = await Promise.race([first, died.promise]);
  const log = survivor instanceof Object ? survivor : await recover(app, store, env, events);
  await rest(log);
  const done = await tally(log, subject);
  place.count(done);
  await log.close();
  return { done, points: process.points };
}

/** Where a life takes place, and what its tables hold in the end. */
interface Place extends AsyncDisposable {
  readonly engine: EngineHandle;
  count(done: Map<string, number>): void;
}
function placeOf({ app, tables = hasProjections(appSpecOf(app)) ? [] : undefined }: CrashSubject): Place {
  if (tables === undefined) return { engine: memory(), count: () => {}, [Symbol.asyncDispose]: async () => {} };
  const folder = mkdtempSync(join(tmpdir(), "factlog-crash-"));
  const file = join(folder, "log.db");
  return {
    engine: withTables(sqlite(file), file, tables),
    count: (done) => countRows(file, done),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
/** The first process makes them. */
function withTables(handle: EngineHandle, file: string, tables: readonly string[]): EngineHandle {
  let made = false;
  return {
    ...handle,
    async open(env): Promise<Engine> {
      const engine = await handle.open(env);
      if (made) return engine;
      made = true;
      const db = new Database(file, { timeoutMs: limits.busyMaxMs });
      for (const text of tables) db.exec(text);
      db.close();
      return engine;
    },
  };
}
function countRows(file: string, done: Map<string, number>): void {
  const db = new Database(file, { readOnly: true, timeoutMs: limits.busyMaxMs });
  const names = db.prepare<[string]>(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '${ownPrefix}*' AND name NOT GLOB 'sqlite_*'`,
  );
  for (const [name] of names.all()) {
    for (const row of db.prepare(`SELECT * FROM "${name.replaceAll('"', '""')}"`).all()) {
      const what = `row of ${name} ${JSON.stringify(row)}`;
      done.set(what, (done.get(what) ?? 0) + 1);
    }
  }
  db.close();
}

async function work(
  app: AppSpec,
  engine: EngineHandle,
  env: VirtualEnv,
  events: readonly NewEvent[],
): Promise<TestLog> {
  const log = await openTestLog(app, engine, env);
  for (const event of events) await log.publish(event);
  await rest(log);
  return log;
}
/** A new process on the store that the dead one left behind; whoever published tries again, as publishers do. */
async function recover(
  app: AppSpec,
  store: EngineHandle,
  dead: VirtualEnv,
  events: readonly NewEvent[],
): Promise<TestLog> {
  const env = new VirtualEnv(dead.now());
  const log = await openTestLog(app, store, env);
  await env.advance(limits.leaseMs);
  const stored = new Set((await log.events()).map((event) => JSON.stringify([event.type, event.data])));
  for (const event of events) if (!stored.has(JSON.stringify([event.type, event.data]))) await log.publish(event);
  return log;
}
/** Lets retries come due until nothing waits any more, or a week has passed. */
async function rest(log: TestLog): Promise<void> {
  await log.settled();
  for (let hours = 0; hours < 7 * 24; hours++) {
    const waiting = (await log.operator.status()).some((each) => each.depth > each.held);
    if (!waiting) return;
    await log.advance("1h");
  }
}

async function tally(log: TestLog, subject: CrashSubject): Promise<Map<string, number>> {
  const done = new Map<string, number>();
  const count = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);
  for (const effect of subject.effects)
    for (const call of effect.calls) count(`${effect.effectName}(${JSON.stringify(withoutKey(call))})`);
  for (const event of await log.events()) count(`${event.type} ${JSON.stringify(event.data)}`);
  return done;
}
/** Two calls are the same effect where they differ in nothing but the key. */
function withoutKey(call: {
  readonly args: readonly unknown[];
  readonly idempotencyKey: string | undefined;
}): readonly unknown[] {
  return call.args.map((each) => (each !== undefined && each === call.idempotencyKey ? "key" : each));
}

// ── where a process may die ──
type Names = ReadonlyMap<string, string>;
function watched(spec: AppSpec): AppSpec {
  return { ...spec, subscriptions: spec.subscriptions.map(watchedSubscription) };
}
function watchedSubscription(spec: SubscriptionSpec): SubscriptionSpec {
  const { projection } = spec;
  const watch =
    (handler: SubscriptionSpec["handler"]): SubscriptionSpec["handler"] =>
    (event, ctx) =>
      handler(event, watchedContext(ctx));
  const watchedToo = projection && {
    projection: { ...projection, handlerOn: (names: Names) => watch(projection.handlerOn(names)) },
  };
  return { ...spec, handler: watch(spec.handler), ...watchedToo };
}
function watchedContext(ctx: HandlerContext): HandlerContext {
  return new Proxy(ctx, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === "state" || name === "tx") return watchedVerbs(value as object, name);
      if (typeof value !== "function") return value;
      return watchedVerb(value.bind(target) as (...args: unknown[]) => unknown, `ctx.${String(name)}`);
    },
  });
}
function watchedVerbs(target: object, of: string): object {
  return new Proxy(target, {
    get: (inner, name) =>
      watchedVerb(
        (Reflect.get(inner, name, inner) as (...args: unknown[]) => unknown).bind(inner),
        `ctx.${of}.${String(name)}`,
      ),
  });
}
function watchedVerb(verb: (...args: unknown[]) => unknown, label: string): (...args: unknown[]) => unknown {
  return (...args) => {
    crashPointNow(`before ${label}`);
    const result = verb(...args);
    if (!(result instanceof Promise)) {
      crashPointNow(`after ${label}`);
      return result;
    }
    return result.then(async (value: unknown) => {
      await crashPoint(`after ${label}`);
      return value;
    });
  };
}

/** The store, with a point before and after each write to it. */
function withPoints(handle: EngineHandle): EngineHandle {
  return {
    identity: `${handle.identity} with crash points`,
    async open(env): Promise<Engine> {
      const engine = await handle.open(env);
      return {
        ...engine,
        log: pointed(engine.log, ["append"]),
        ledger: pointed(engine.ledger, ["record", "command", "transact", "generation"]),
      };
    },
  };
}
function pointed<T extends object>(port: T, verbs: readonly string[]): T {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const verb = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (typeof name !== "string" || !verbs.includes(name)) return verb;
      return async (...args: unknown[]) => {
        await crashPoint(`before ${name}`);
        const result = await verb(...args);
        await crashPoint(`after ${name}`);
        return result;
      };
    },
  });
}
