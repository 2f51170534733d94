import { type App, type AppSpec, appSpecOf } from "../app/app.ts";
import { type Duration, durationMs } from "../duration.ts";
import type { EngineHandle } from "../engine/engine.ts";
import { memory } from "../engines/memory/index.ts";
import { sqlite } from "../engines/sqlite/index.ts";
import { FactlogError } from "../errors.ts";
import type { AnyEventType, EventOf, RecordedEvent } from "../event/define.ts";
import { limits } from "../limits.ts";
import { Log } from "../runtime/log.ts";
import type { DeadLetter } from "../runtime/operator.ts";
import { openStore, type SharedStore } from "../runtime/store.ts";
import { type RunningWorker, startWorker } from "../runtime/worker.ts";
import { turn, VirtualEnv } from "./virtual-env.ts";

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A log for tests: in memory, with a worker for the app, on a clock that stands still until it is advanced. */
export class TestLog extends Log {
  readonly #env: VirtualEnv;
  readonly #worker: RunningWorker;

  /** Internal: use `testLog`. */
  constructor(env: VirtualEnv, store: SharedStore, worker: RunningWorker, source: string) {
    super(store, { logger: quiet, source, leaseMs: limits.leaseMs });
    this.#env = env;
    this.#worker = worker;
  }

  /**
   * Resolves when everything is delivered, retried or dead, and nothing is due at the virtual now. What is due later is not
   * pending: `advance` makes it due. Throws TIMEOUT after `limit` deliveries (default 10,000): a loop of handlers.
   */
  async settled(options: { readonly limit?: number } = {}): Promise<void> {
    const limit = options.limit ?? 10_000;
    const before = this.#worker.deliveries;
    while (!(await this.#worker.isQuiet())) {
      if (this.#worker.deliveries - before > limit) {
        throw new FactlogError(
          "TIMEOUT",
          `not settled after ${limit} deliveries: do handlers publish to each other without end?`,
        );
      }
      // A process that was killed waits for ever.
      if (!this.#env.alive) await new Promise(() => {});
      await turn(1);
    }
  }
  /** Moves the virtual clock on, timers firing in order, and settles. */
  async advance(by: Duration): Promise<void> {
    await this.settled();
    await this.#env.advance(durationMs(by));
    await this.settled();
  }
  /** All events, in order. */
  events(): Promise<readonly RecordedEvent[]> {
    return Array.fromAsync(this.read());
  }
  eventsOf<E extends AnyEventType>(type: E): Promise<readonly EventOf<E>[]> {
    return Array.fromAsync(this.read({ on: type }));
  }
  deadLetters(): Promise<readonly DeadLetter[]> {
    return Array.fromAsync(this.operator.deadLetters());
  }
  override async close(): Promise<void> {
    if (this.#env.alive) await this.#worker.stop({ grace: 0 });
    await super.close();
  }
}

/**
 * In memory, with a virtual clock and the real runtime: no worker process, no waiting. An app with projections gets an SQLite
 * log in memory, which has tables: read them by `log.query`.
 */
export function testLog(app: App): Promise<TestLog> {
  const spec = appSpecOf(app);
  return openTestLog(spec, hasProjections(spec) ? sqlite("sqlite::memory:") : memory(), new VirtualEnv());
}
export const hasProjections = (app: AppSpec): boolean =>
  app.subscriptions.some((each) => each.projection !== undefined);

/** `testLog` on a given store and clock. */
export async function openTestLog(app: AppSpec, engine: EngineHandle, env: VirtualEnv): Promise<TestLog> {
  const store = await openStore(env, engine);
  const worker = await startWorker(store, quiet, limits.leaseMs, app, {});
  return new TestLog(env, store, worker, app.name);
}
