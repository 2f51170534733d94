import type { Journal } from "../src/engine/journal.ts";
import type { Projections } from "../src/engine/projections.ts";
import type { Register } from "../src/engine/register.ts";
import type { Timetable } from "../src/engine/timetable.ts";
import type { Engine, EngineHandle } from "../src/engine/engine.ts";
import type { EventLog, ReadPage, ReadRequest } from "../src/engine/event-log.ts";
import type { Change, LeaseState, Ledger, Recorded } from "../src/engine/ledger.ts";
import { FactlogError } from "../src/errors.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

/** What the run wants to know of the store, at the moment of each commit. */
export interface Witness {
  granted(process: Process, state: LeaseState): void;
  recorded(process: Process, session: number, changes: readonly Change[], results: readonly Recorded[]): void;
  polled(process: Process, request: ReadRequest, page: ReadPage): void;
  /** The process of this session is certainly dead. */
  isGone(session: number): boolean;
  /** It died, and could not say so. */
  hasCrashed(session: number): boolean;
}

/** Rings in every process that listens; a ring may be lost on its way to each. */
export class Bell {
  readonly #scene: Scene;
  readonly #ears = new Set<() => void>();
  constructor(scene: Scene) {
    this.#scene = scene;
  }
  ring(): void {
    for (const ear of this.#ears) {
      if (this.#scene.happens("wake-lost", this.#scene.rates.wakeLost)) continue;
      ear();
    }
  }
  attend(ear: () => void): void {
    this.#ears.add(ear);
  }
  leave(ear: () => void): void {
    this.#ears.delete(ear);
  }
}

type Verb = "append" | "read" | "fetch" | "count" | "lease" | "load" | "record" | "deliveries" | "failures" | "states";
const writes = new Set<string>([
  "append",
  "lease",
  "record",
  "command",
  "delay",
  "cancel",
  "fire",
  "tick",
  "signal",
  "enter",
]);

/** One process's way to the store: every call takes time on its way there and back, and may meet trouble. */
class Line {
  readonly scene: Scene;
  readonly process: Process;
  failed = false;

  constructor(scene: Scene, process: Process) {
    this.scene = scene;
    this.process = process;
  }

  call<T>(
    verb: Verb | "command" | "tally" | "outbox" | keyof Timetable | keyof Journal | keyof Projections | keyof Register,
    act: () => Promise<T>,
    seen?: (result: T) => void,
  ): Promise<T> {
    const { scene, process } = this;
    const { world, plan } = scene;
    // What was under way in the moment of its death sends nothing any more.
    if (process.gone) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      const back = (settle: () => void): void => void world.after(scene.delayMs(), process, `${verb}<`, settle);
      const refuse = (code: string): void => {
        world.trace.text(code);
        back(() => reject(new FactlogError(code, `${verb}: injected`, { retryable: true })));
      };
      world.after(scene.delayMs(), plan.remote ? undefined : process, `${verb}>`, () => {
        if (this.failed) return refuse("STORE_FAILED");
        const trouble = writes.has(verb) ? this.#trouble() : this.#trouble(0.2);
        if (trouble === "unknown-lost") this.failed = true;
        if (trouble === "store-busy") return refuse("STORE_BUSY");
        if (trouble === "store-full") return refuse(writes.has(verb) ? "STORE_FULL" : "STORE_BUSY");
        if (trouble === "unknown-lost") return refuse(writes.has(verb) ? "OUTCOME_UNKNOWN" : "STORE_FAILED");
        act().then(
          (result) => {
            world.trace.value(result);
            seen?.(result);
            scene.committed(process, verb);
            if (writes.has(verb)) scene.bell.ring();
            if (trouble !== "unknown-applied") return back(() => resolve(result));
            this.failed = true;
            refuse(writes.has(verb) ? "OUTCOME_UNKNOWN" : "STORE_FAILED");
          },
          (error: unknown) => {
            world.trace.text((error as { code?: string }).code ?? "error");
            back(() => reject(error as Error));
          },
        );
      });
    });
  }

  #trouble(share = 1): "store-busy" | "store-full" | "unknown-applied" | "unknown-lost" | undefined {
    const { scene } = this;
    if (scene.happens("store-busy", scene.rates.busy * share)) return "store-busy";
    if (scene.happens("store-full", scene.rates.full * share)) return "store-full";
    if (scene.happens("unknown-applied", (scene.rates.unknown / 2) * share)) return "unknown-applied";
    if (scene.happens("unknown-lost", (scene.rates.unknown / 2) * share)) return "unknown-lost";
    return undefined;
  }
}

/** Hints alone: a ring since the last wait is enough; else the bound, or the signal, ends it. */
class Ear {
  readonly #line: Line;
  readonly #hear = (): void => this.#ring();
  #rang = false;
  #wake: (() => void) | undefined;

  constructor(line: Line) {
    this.#line = line;
    line.scene.bell.attend(this.#hear);
  }
  #ring(): void {
    this.#rang = true;
    this.#wake?.();
  }
  wait(maxMs: number, signal: AbortSignal): Promise<void> {
    const { scene, process } = this.#line;
    return new Promise((resolve) => {
      let over = false;
      const finish = (): void => {
        if (over) return;
        over = true;
        bound.cancelled = true;
        this.#wake = undefined;
        this.#rang = false;
        signal.removeEventListener("abort", finish);
        scene.world.after(0, process, "wake<", resolve);
      };
      const bound = scene.world.after(maxMs, process, "wake", finish);
      if (this.#rang || signal.aborted) return finish();
      this.#wake = finish;
      signal.addEventListener("abort", finish, { once: true });
    });
  }
  close(): void {
    this.#line.scene.bell.leave(this.#hear);
  }
}

function wrapLog(log: EventLog, line: Line): EventLog {
  const ear = new Ear(line);
  const { scene, process } = line;
  return {
    capabilities: log.capabilities,
    epoch: log.epoch,
    append: (batch) => line.call("append", () => log.append(batch)),
    read: (request) => {
      const asked = { ...request, after: new Map(request.after) };
      return line.call(
        "read",
        () => log.read(asked),
        (page) => scene.witness.polled(process, asked, page),
      );
    },
    fetch: (refs) => line.call("fetch", () => log.fetch(refs)),
    wake: (maxMs, signal) => ear.wait(maxMs, signal),
    count: (types) => line.call("count", () => log.count(types)),
    close: () => {
      ear.close();
      return log.close();
    },
  };
}

function wrapLedger(ledger: Ledger, line: Line): Ledger {
  const { scene, process } = line;
  const { witness, plan } = scene;
  return {
    capabilities: plan.instantDeath ? { ...ledger.capabilities, instantDeath: true } : ledger.capabilities,
    lease: async (request) => {
      const state = await line.call(
        "lease",
        () => ledger.lease(request),
        (result) => witness.granted(process, result),
      );
      if (!plan.instantDeath) return state;
      return { ...state, sessions: state.sessions.map((one) => ({ ...one, gone: witness.isGone(one.session) })) };
    },
    delay: (events) => line.call("delay", () => ledger.delay(events)),
    cancel: (identity) => line.call("cancel", () => ledger.cancel(identity)),
    fire: (nowMs, limit) => line.call("fire", () => ledger.fire(nowMs, limit)),
    delayed: (query) => line.call("delayed", () => ledger.delayed(query)),
    ticked: (schedule) => line.call("ticked", () => ledger.ticked(schedule)),
    steps: (delivery, scope) => line.call("steps", () => ledger.steps(delivery, scope)),
    stepValue: (delivery, scope, name) => line.call("stepValue", () => ledger.stepValue(delivery, scope, name)),
    awaited: () => line.call("awaited", () => ledger.awaited()),
    signal: (signal) => line.call("signal", () => ledger.signal(signal)),
    waits: (query) => line.call("waits", () => ledger.waits(query)),
    entries: (kind) => line.call("entries", () => ledger.entries(kind)),
    enter: (entering) =>
      line.call("enter", () => {
        if (entering.name.endsWith("!outage")) line.scene.refunds = true;
        return ledger.enter(entering);
      }),
    tick: (tick) => line.call("tick", () => ledger.tick(tick)),
    load: (slots) => line.call("load", () => ledger.load(slots)),
    record: (session, changes) =>
      line.call(
        "record",
        () => ledger.record(session, changes),
        (results) => witness.recorded(process, session, changes, results),
      ),
    bind: (source) => ledger.bind(source),
    transact: (session, request) => ledger.transact(session, request),
    deliveries: (query) => line.call("deliveries", () => ledger.deliveries(query)),
    failures: (delivery) => line.call("failures", () => ledger.failures(delivery)),
    states: (sub, keys) => line.call("states", () => ledger.states(sub, keys)),
    outbox: (limit) => line.call("outbox", () => ledger.outbox(limit)),
    command: (command) => line.call("command", () => ledger.command(command)),
    projections: () => line.call("projections", () => ledger.projections()),
    tableName: (table, generation, within) => ledger.tableName(table, generation, within),
    generation: (act) => line.call("generation", () => ledger.generation(act)),
    query: (statement) => line.call("query", () => ledger.query(statement)),
    tally: () => line.call("tally", () => ledger.tally()),
    close: () => ledger.close(),
  };
}

/** The store as one process sees it. */
export function simulated(scene: Scene, process: Process, store: EngineHandle): EngineHandle {
  return {
    identity: store.identity,
    async open(env): Promise<Engine> {
      const engine = await store.open(env);
      const line = new Line(scene, process);
      return { ...engine, log: wrapLog(engine.log, line), ledger: wrapLedger(engine.ledger, line) };
    },
  };
}
