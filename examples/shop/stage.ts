/** What every run stands on: a fresh folder with an empty log and the shop's tables, the receiver, and a crew. */
import { type App, type Log, openLog, type SubscriptionStatus } from "factlog";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import shop from "./app.ts";
import { type Child, Crew } from "./crew.ts";
import { type Database, databaseIn } from "./database.ts";
import { ReceiverProcess } from "./receiver-process.ts";

const lookEveryMs = 50;

export class Stage {
  readonly folder: string;
  /** Of the log, and of the shop's own tables. */
  readonly database: Database;
  readonly log: Log;
  readonly crew: Crew;
  readonly receiver: ReceiverProcess;
  /** Aborts when the run is over before its end: something failed, or Ctrl-C. */
  readonly signal: AbortSignal;

  readonly #over: AbortController;

  private constructor(
    { folder, database, log }: { readonly folder: string; readonly database: Database; readonly log: Log },
    crew: Crew,
    receiver: ReceiverProcess,
    over: AbortController,
  ) {
    this.folder = folder;
    this.database = database;
    this.log = log;
    this.crew = crew;
    this.receiver = receiver;
    this.signal = over.signal;
    this.#over = over;
  }

  /**
   * `over` is aborted with the cause when a process of the crew ends by itself. `server`: address of a PostgreSQL database;
   * undefined: an SQLite file.
   */
  static async open(over: AbortController, server: string | undefined): Promise<Stage> {
    const home = join(import.meta.dirname, ".factlog");
    await mkdir(home, { recursive: true });
    const folder = await mkdtemp(join(home, "run-"));
    const crew = new Crew(join(folder, "processes.log"), (error) => over.abort(error));
    const receiver = await ReceiverProcess.start(crew, join(folder, "calls.ndjson"), over.signal);
    const database = databaseIn(folder, server);
    const log = await openLog(database.url, { source: shop.name });
    await database.create();
    process.env["FACTLOG_URL"] = database.url;
    process.env["RECEIVER_PORT"] = String(receiver.port);
    return new Stage({ folder, database, log }, crew, receiver, over);
  }

  /** Works on the app's subscriptions in this process, until the log is closed. */
  async work(app: App): Promise<void> {
    const worker = await this.log.work(app);
    worker.stopped.catch((error: unknown) => this.#over.abort(error));
  }
  /** Resolves with the next message of this process. */
  heard<M>(child: Child): Promise<M> {
    const { promise, resolve, reject } = Promise.withResolvers<M>();
    const stop = (): void => reject(this.signal.reason as Error);
    this.signal.addEventListener("abort", stop, { once: true });
    child.hear(resolve);
    return promise.finally(() => this.signal.removeEventListener("abort", stop));
  }
  /** Resolves when there is nothing left to do for these subscriptions, but for what waits behind a dead letter. */
  settled(names: readonly string[]): Promise<void> {
    return this.#until(async () => {
      const status = (await this.log.operator.status()).filter((each) => names.includes(each.name));
      return status.length === names.length && status.every((each) => each.depth === each.held);
    });
  }
  /** Resolves when so many processes share the work of a subscription. */
  shared(name: string, processes: number): Promise<void> {
    return this.#until(async () =>
      (await this.log.operator.status()).some((each) => each.name === name && each.workers === processes),
    );
  }
  /** Resolves when the views of a projection show this generation of its tables. */
  shows(name: string, generation: number): Promise<void> {
    return this.#until(async () =>
      (await this.log.operator.projections()).some(
        (each) => each.name === name && each.generation === generation && each.state === "live",
      ),
    );
  }
  async statusOf(name: string): Promise<SubscriptionStatus> {
    const status = (await this.log.operator.status()).find((each) => each.name === name);
    if (status === undefined) throw new Error(`nobody has started ${name} yet`);
    return status;
  }
  /** The log says what is so when it is asked. */
  async #until(isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) await wait(lookEveryMs, undefined, { signal: this.signal });
  }

  /** Lets every process finish what it is doing. What the receiver has answered is on disk. */
  async endProcesses(): Promise<void> {
    await this.crew.end(this.receiver.child);
    await this.receiver.child.end("SIGKILL");
  }
  /** Ends what still runs and leaves nothing behind, unless `keep`. */
  async close(keep: boolean): Promise<void> {
    await this.log.close();
    this.crew.killAll();
    if (keep) return;
    await this.database.remove();
    await rm(this.folder, { recursive: true, force: true });
  }
}
