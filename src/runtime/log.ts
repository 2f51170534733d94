import type { Projection } from "../app/projection.ts";
import type { Statement } from "../app/sql.ts";
import { type App, type AppSpec, appSpecOf } from "../app/app.ts";
import type { Logger, Receipt } from "../app/context.ts";
import { type Duration, durationMs } from "../duration.ts";
import { realEnv, type Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import type { Finding } from "../engine/engine.ts";
import type { AnyEventType, EventOf, NewEvent } from "../event/define.ts";
import { checkName } from "../event/envelope.ts";
import { formatPosition, parsePosition, type Position } from "../event/position.ts";
import { limits } from "../limits.ts";
import { caughtUp } from "./caught-up.ts";
import { correlationOf, type Correlation } from "./correlation-status.ts";
import { deltasOf } from "./deltas.ts";
import { follow, type FollowOptions, type Frame, until } from "./follow.ts";
import { plainLogger } from "./logger.ts";
import { measuresOf } from "./measures.ts";
import { inspect } from "./inspect.ts";
import { metricsText } from "./metrics.ts";
import { pausesOf } from "./pauses.ts";
import { Operator } from "./operator.ts";
import { Publisher } from "./publish.ts";
import { type Page, page, type PageOptions } from "./page.ts";
import { read, type ReadOptions } from "./read.ts";
import { openStore, type SharedStore } from "./store.ts";
import { engineOf, type LogAddress } from "./url.ts";
import { workshopIn } from "./workshop.ts";
import { Tokens } from "./tokens.ts";
import { drain, type DrainSummary, startWorker, type Worker, type WorkOptions } from "./worker.ts";

export interface OpenOptions {
  /** Default: warnings and errors as JSON lines on stderr. */
  readonly logger?: Logger;
  /** Source of what this log publishes: part of an event's identity. Default "factlog". */
  readonly source?: string;
  /** How long a worker of this process may stand still before others take its work. Default 15s. */
  readonly lease?: Duration;
}

export interface PublishOptions {
  /** The fact is stated this long from now. The receipt has no position. At most 10 years. */
  readonly after?: Duration;
  /** The fact is stated at this time; one that has passed is now. */
  readonly at?: Date;
}

/** An open log. Several may be open on one store in one process: they share a connection and a worker session. */
export class Log implements AsyncDisposable {
  readonly #store: SharedStore;
  readonly #logger: Logger;
  readonly #leaseMs: number;
  readonly #publisher: Publisher;
  readonly #workers = new Set<Worker>();
  /** Workers that have not joined yet: `close` stops them too, so that no session is left behind. */
  readonly #starting = new Set<Promise<Worker>>();
  #closed: Promise<void> | undefined;
  #app: AppSpec | undefined;
  /** What an operator may look at and do. */
  readonly operator: Operator;
  /** Access tokens for those who call over HTTP. */
  readonly tokens: Tokens;

  /** Internal: use `openLog`. */
  constructor(
    store: SharedStore,
    options: { readonly logger: Logger; readonly source: string; readonly leaseMs: number },
  ) {
    this.#store = store;
    this.#logger = options.logger;
    this.#leaseMs = options.leaseMs;
    this.#publisher = new Publisher(store.engine, store.env, options.source, (dueMs) =>
      workshopIn(store)?.clockwork.at(dueMs),
    );
    this.tokens = new Tokens(store.env, store.engine, options.source);
    this.operator = new Operator(
      store.env,
      store.engine,
      options.source,
      { measures: measuresOf(store), pauses: pausesOf(store) },
      () => this.#app && new Set(this.#app.subscriptions.map((each) => each.name)),
    );
  }

  /** Durable when it resolves. The same (source, id) again is one fact: `duplicate`. Throws ID_CONFLICT on other content. */
  publish(event: NewEvent, options: PublishOptions = {}): Promise<Receipt> {
    if (this.#closed !== undefined) return Promise.reject(closed());
    return this.#publisher.publish(event, options);
  }
  /**
   * Withdraws a delayed event; false where it has become a fact, or none of this id waits. `source`: where it is not this
   * log's own, such as the app's name for what handlers emit.
   */
  cancel(id: string, options: { readonly source?: string } = {}): Promise<boolean> {
    if (this.#closed !== undefined) return Promise.reject(closed());
    return this.#publisher.cancel(id, options.source);
  }
  /** All or none, in order. At most 10,000 events. */
  publishAll(events: readonly NewEvent[]): Promise<readonly Receipt[]> {
    if (this.#closed !== undefined) return Promise.reject(closed());
    return this.#publisher.publishAll(events);
  }

  /** A finite read of history, up to the head as it is now. */
  read<E extends AnyEventType = AnyEventType>(options: ReadOptions<E> = {}): AsyncIterable<EventOf<E>> {
    this.#requireOpen();
    return read(this.#store.engine.log, options);
  }
  /** Live, without end unless `correlationId` is given: then it ends with an "end" frame. */
  follow<E extends AnyEventType = AnyEventType>(options: FollowOptions<E>): AsyncIterable<Frame<EventOf<E>>> {
    this.#requireOpen();
    return follow(this.#store.engine, options, deltasOf(this.#store));
  }
  /** One page of history and where the next begins: for readers that come back, as over HTTP. */
  page<E extends AnyEventType = AnyEventType>(options: PageOptions<E> = {}): Promise<Page<EventOf<E>>> {
    this.#requireOpen();
    return page(this.#store.engine.log, options);
  }
  /** What has become of a correlation; undefined where nothing of it is here. */
  correlation(
    correlationId: string,
    options: Pick<FollowOptions, "since" | "group"> = {},
  ): Promise<Correlation | undefined> {
    this.#requireOpen();
    return correlationOf(this.#store.engine, correlationId, options);
  }
  /** Where the log ends now. `place` is its plain number, 0 where the log is empty. */
  async head(): Promise<{ readonly position: Position; readonly place: number }> {
    this.#requireOpen();
    const { epoch } = this.#store.engine.log;
    const { heads } = await this.#store.engine.log.count([]);
    const place = Math.max(0, ...heads.values());
    return { position: formatPosition(epoch, 0, place), place };
  }
  /**
   * The answer to a question: the first of these facts in the correlation; facts already there count. Rejects with
   * TIMEOUT, and with DELIVERY_DEAD as soon as the chain has died, naming the dead letter.
   */
  async until<E extends AnyEventType>(
    of: Pick<Receipt, "correlationId"> & Partial<Pick<Receipt, "position">>,
    type: E | readonly E[],
    options: { readonly timeout: Duration; readonly signal?: AbortSignal },
  ): Promise<EventOf<E>> {
    this.#requireOpen();
    const timeoutMs = durationMs(options.timeout, "timeout");
    return until(this.#store.env, this.#store.engine, of.correlationId, type, {
      timeoutMs,
      signal: options.signal,
      since: of.position,
    });
  }

  /**
   * Read your writes: resolves when the projection's tables show this receipt's event (by id where it has no position yet).
   * Rejects with TIMEOUT, with DELIVERY_DEAD where the projection has stopped at this event, with NOT_FOUND where no worker
   * has ever made the projection.
   */
  async caughtUp(
    projection: Projection,
    receipt: Pick<Receipt, "id" | "correlationId" | "position"> | Position,
    options: { readonly timeout: Duration; readonly signal?: AbortSignal },
  ): Promise<void> {
    this.#requireOpen();
    const timeoutMs = durationMs(options.timeout, "timeout");
    return caughtUp(this.#store.env, this.#store.engine, projection.name, receipt, { ...options, timeoutMs });
  }
  /**
   * Reads tables of the ledger's database: log.query(sql`select * from orders where id = ${id}`). On PostgreSQL the views of
   * projections are found by their plain names. Rows as objects. NOT_SUPPORTED for what would change something, and in memory.
   */
  async query<Row = Record<string, unknown>>(statement: Statement): Promise<readonly Row[]> {
    this.#requireOpen();
    return (await this.#store.engine.ledger.query(statement)) as readonly Row[];
  }

  /** Works on the app's subscriptions beside whatever else this process does. Start as many processes as you like. */
  async work<N extends string>(app: App<N>, options: WorkOptions<NoInfer<N>> = {}): Promise<Worker> {
    this.#requireOpen();
    this.#app = appSpecOf(app);
    const starting = startWorker(this.#store, this.#logger, this.#leaseMs, this.#app, options);
    this.#starting.add(starting);
    const worker = await starting.finally(() => this.#starting.delete(starting));
    this.#workers.add(worker);
    const forget = (): void => void this.#workers.delete(worker);
    worker.stopped.then(forget, forget);
    return worker;
  }
  /** Works until nothing is due, or the time is up: for cron, serverless and tests. */
  async drain<N extends string>(
    app: App<N>,
    options: WorkOptions<NoInfer<N>> & { readonly timeout?: Duration } = {},
  ): Promise<DrainSummary> {
    this.#requireOpen();
    this.#app = appSpecOf(app);
    return drain(this.#store, this.#logger, this.#leaseMs, this.#app, options);
  }

  /** -1, 0 or 1. Throws NOT_SUPPORTED for positions of two slots where the log has no total order. */
  comparePositions(a: Position, b: Position): -1 | 0 | 1 {
    const { epoch, capabilities } = this.#store.engine.log;
    const [left, right] = [parsePosition(a, epoch), parsePosition(b, epoch)];
    if (!capabilities.totalOrder && left.slot !== right.slot) {
      throw new FactlogError("NOT_SUPPORTED", "this log has no order between slots: compare positions of one key.");
    }
    return Math.sign(left.position - right.position) as -1 | 0 | 1;
  }
  /** One line: where the log is and how durable. */
  get description(): string {
    return this.#store.engine.description;
  }
  /** What subscriptions owe, in the text format of Prometheus 0.0.4. */
  metrics(): Promise<string> {
    this.#requireOpen();
    return metricsText(this.#store.engine, measuresOf(this.#store));
  }
  /** Checks of the store, and of an app's schemas where one is given: what `factlog doctor` shows. */
  inspect(app?: App): Promise<readonly Finding[]> {
    this.#requireOpen();
    return inspect(this.#store.engine, app);
  }

  /** Waits for publishes in flight (at most 10 s), stops this log's workers, lets go of the store. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }
  async #close(): Promise<void> {
    const grace = Promise.withResolvers<void>();
    const timer = this.#store.env.after(limits.closeGraceMs, grace.resolve);
    await Promise.race([this.#publisher.idle(), grace.promise]);
    timer.cancel();
    const started = [...this.#starting].map(async (starting) => (await starting).stop());
    await Promise.allSettled([...started, ...[...this.#workers].map((worker) => worker.stop())]);
    await this.#store.release();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
  #requireOpen(): void {
    if (this.#closed !== undefined) throw closed();
  }
}

const closed = (): FactlogError =>
  new FactlogError("CLOSED", "this log is closed: open another with openLog. Nothing was stored.");

/** Opens a log: "sqlite:shop.db", "memory:", an engine, or a log with another store's ledger. */
export function openLog(address: LogAddress, options: OpenOptions = {}): Promise<Log> {
  return openLogIn(realEnv, address, options);
}
/** `openLog` in a given environment: clock, randomness and scheduling come from it. */
export async function openLogIn(env: Env, address: LogAddress, options: OpenOptions = {}): Promise<Log> {
  const source = options.source ?? "factlog";
  checkName("source", source);
  const leaseMs = options.lease === undefined ? limits.leaseMs : durationMs(options.lease, "lease");
  if (leaseMs < limits.leaseMinMs)
    throw new FactlogError("INVALID_OPTION", `lease is ${leaseMs} ms: give at least ${limits.leaseMinMs}.`);
  const store = await openStore(env, await engineOf(address));
  return new Log(store, { logger: options.logger ?? plainLogger, source, leaseMs });
}
