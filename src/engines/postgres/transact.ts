import type { TransactionConnection, TransactionSource } from "../../app/store.ts";
import { firstRowToken, type SqlStatement } from "../../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../../engine/transact.ts";
import { pause } from "../../env.ts";
import { FactlogError, mayPass } from "../../errors.ts";
import { idConflict } from "../../event/codec.ts";
import { limits } from "../../limits.ts";
import { ChangeWriter } from "./changes.ts";
import { loadDriver, type Pool, type PoolClient } from "./driver.ts";
import { GuestTransaction } from "./guest-transaction.ts";
import { lifeSql } from "./migrations.ts";
import { lending, Unfinished } from "./pg-store.ts";
import { codeOf, isLost, mayRunAgain, raised, serverErrorIn, unknownOutcome } from "./postgres-error.ts";
import type { Store } from "./store.ts";

/** What a transaction has come to, beside what its handler threw. */
interface Course {
  begun: boolean;
  /** The settle was sent: from here on, no answer means that it may have been committed. */
  sent: readonly OwnSettle[] | undefined;
  guest: GuestTransaction | undefined;
  /** What the handler rejected with: a library whose rollback fails as well says only that. */
  thrown: { readonly error: unknown } | undefined;
}

/** Handlers' own transactions, each with the settle of its delivery as its last statement. */
export class Transactor {
  readonly #store: Store;
  readonly #sharesLog: boolean;
  readonly #writer: ChangeWriter;
  #own: Promise<Pool> | undefined;

  constructor(store: Store, options: { readonly slots: number; readonly sharesLog: boolean }) {
    this.#store = store;
    this.#sharesLog = options.sharesLog;
    this.#writer = new ChangeWriter(store.names, options);
  }

  async bind(source: TransactionSource): Promise<void> {
    if (source.dialect !== "postgres")
      throw new FactlogError(
        "NOT_SUPPORTED",
        `${source.name} is a store of another database than the log's, which is PostgreSQL: use pgStore(), drizzleStore(db) or kyselyStore(db) with tables in that database, or ctx.write.`,
      );
    if (source.run === undefined) return;
    const { location, identity } = this.#store;
    const text = this.#store.sql(
      `SELECT (${lifeSql}) AS life, (SELECT value FROM S.meta WHERE name = 'epoch') AS epoch`,
    );
    let why: string;
    let cause: unknown;
    try {
      const [row] = (await source.run((connection) => connection.execute(text))) as { life: string; epoch: string }[];
      if (row?.life === identity.life && row.epoch === identity.epoch) return;
      why = "it leads to another database";
    } catch (error) {
      const answer = serverErrorIn(error);
      if (answer === undefined && isLost(error)) throw this.#store.error(error);
      cause = error;
      why = `it does not see the log there (${answer?.message ?? String(error)})`;
    }
    throw new FactlogError(
      "STORE_MISMATCH",
      `${source.name} was given a connection that is not to ${location.shown}: ${why}. Give one to that database, whose role may use the schema ${location.schema}, or pgStore() without a pool.`,
      { cause, details: { store: location.shown } },
    );
  }

  async run(session: number, request: Transact): Promise<Transacted> {
    const { source } = request;
    const attempt = this.#store.env.uuid();
    const course: Course = { begun: false, sent: undefined, guest: undefined, thrown: undefined };
    try {
      const run = source.run ?? lending(await this.#pool());
      await run((connection) =>
        this.#transaction(connection, source.control === "ours", session, request, attempt, course),
      );
      return { status: "settled" };
    } catch (error) {
      return this.#ended(error, course, attempt);
    }
  }

  async close(): Promise<void> {
    await (await this.#own?.catch(() => undefined))?.end();
  }

  async #transaction(
    connection: TransactionConnection,
    ours: boolean,
    session: number,
    request: Transact,
    attempt: string,
    course: Course,
  ): Promise<void> {
    await connection.execute(ours ? `${begin}; ${opening}` : opening);
    course.begun = true;
    if (!ours) {
      const settles = await ran(request, connection.tx, course);
      if (writesOf(settles).length > 0)
        throw new FactlogError("NOT_SUPPORTED", "a transaction of the user's library takes no queued statements.");
      await connection.execute(await this.#settleText(session, settles, attempt, course));
      return;
    }
    const guest = (course.guest = new GuestTransaction(connection.tx as PoolClient, this.#store.location.schema));
    try {
      const settles = await ran(request, guest, course);
      for (const statement of writesOf(settles)) await guest.write(statement);
      const text = await this.#settleText(session, settles, attempt, course);
      // One message: a process that stops in between holds nothing.
      await connection.execute(`${text}; COMMIT`);
    } catch (error) {
      if (guest.running > 0 || guest.lost || (course.sent !== undefined && isLost(error))) throw new Unfinished(error);
      await connection.execute("ROLLBACK").catch((broken: unknown) => {
        throw new Unfinished(course.sent === undefined ? error : (broken ?? error));
      });
      throw error;
    }
  }

  async #settleText(session: number, settles: readonly OwnSettle[], attempt: string, course: Course): Promise<string> {
    const effects = settles.flatMap((own) => own.effects ?? []);
    const emits = effects.flatMap((one) => one.emits);
    if (this.#sharesLog && emits.length > 0) {
      await this.#store.repeat(this.#store.writes, (run) => this.#store.names.ensure(run, emits));
    }
    const sorted = settles.toSorted(inLockOrder);
    course.sent = sorted;
    return `SELECT ${sorted.map((own) => this.#settleCall(session, own, attempt)).join(", ")}`;
  }

  #settleCall(session: number, { lease, position, rowToken, effects }: OwnSettle, attempt: string): string {
    const json = JSON.stringify({
      ...lease,
      position,
      rowToken: rowToken ?? firstRowToken,
      hadRow: rowToken !== undefined,
      attempt,
      ...this.#writer.effects(effects === undefined ? [] : [effects]),
    });
    const { env, channel } = this.#store;
    return this.#store.sql(
      `S.settle(${session}, ${literal(json)}, ${env.now()}, ${this.#sharesLog}, ${literal(channel)})`,
    );
  }

  async #ended(ending: unknown, { begun, sent, guest, thrown }: Course, attempt: string): Promise<Transacted> {
    const error = thrown === undefined ? ending : thrown.error;
    if (!begun) return { status: "not begun", error: this.#store.error(error) };
    const answer = serverErrorIn(error);
    if (sent !== undefined && (answer === undefined || isLost(answer))) return this.#findOut(sent, attempt, error);
    if (answer !== undefined && sent !== undefined) {
      const position = Number(answer.detail);
      if (answer.code === raised.notMine) return { status: "lost", position };
      if (answer.code === raised.settledBefore) return { status: "stood", position };
      if (answer.code === raised.refused) return { status: "failed", error: conflictOf(sent, answer.detail) };
    }
    // A handler may have caught the error that ended its transaction: what follows from it is only its echo.
    const first = guest?.failed ?? (guest === undefined || sent !== undefined ? answer : undefined);
    if (mayRunAgain(first)) return { status: "again", error: guest?.failed ?? error };
    return {
      status: "failed",
      error: codeOf(answer) === inFailed && guest?.failed !== undefined ? guest.failed : error,
    };
  }

  /** The connection ended while the commit was under way: from here on it has happened, or never will. */
  async #findOut(settles: readonly OwnSettle[], attempt: string, cause: unknown): Promise<Transacted> {
    const { env } = this.#store;
    // All of them stand or none: one tells, and one that cannot be any more keeps the others from being.
    const [{ lease, position }] = settles as readonly [OwnSettle];
    const { sub, gen, slot } = lease;
    const text = this.#store.sql("SELECT S.void_attempt($1, $2, $3, $4, $5)");
    for (;;) {
      try {
        const rows = await this.#store.repeat(this.#store.writes, (run) =>
          run<[boolean | null]>(text, [sub, gen, slot, position, attempt]),
        );
        return rows[0]?.[0] === true ? { status: "settled" } : { status: "failed", error: this.#store.error(cause) };
      } catch (error) {
        if (!mayPass(error)) throw unknownOutcome(error, this.#store.location);
      }
      await pause(env, limits.checkpointMs);
    }
  }

  #pool(): Promise<Pool> {
    this.#own ??= loadDriver().then((driver) => {
      const pool = new driver.Pool({
        ...this.#store.location.client,
        application_name: this.#store.nameOf("handlers"),
        max: limits.transactionsMax,
        connectionTimeoutMillis: limits.busyMaxMs,
        keepAlive: true,
      });
      // An idle connection that ended is replaced; unheard its error would end the process.
      pool.on("error", () => undefined);
      return pool;
    });
    return this.#own;
  }
}

async function ran(request: Transact, tx: unknown, course: Course): Promise<readonly OwnSettle[]> {
  try {
    return await request.run(tx);
  } catch (error) {
    course.thrown = { error };
    throw error;
  }
}

const writesOf = (settles: readonly OwnSettle[]): readonly SqlStatement[] =>
  settles.flatMap(({ effects }) => effects?.writes ?? []);

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const opening = `SELECT set_config('idle_in_transaction_session_timeout', '${limits.transactionIdleMs}', true), set_config('factlog.guest', 'on', true)`;
/** A statement in a transaction that an earlier error has ended. */
const inFailed = "25P02";

/** Whatever `standard_conforming_strings` says. */
const literal = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

function conflictOf(settles: readonly OwnSettle[], detail: string | undefined): FactlogError {
  const { index } = JSON.parse(detail ?? "{}") as { index: number };
  const emits = settles.flatMap(({ effects }) => effects?.emits ?? []);
  return idConflict(emits[index]!, index);
}

/** As whatever locks several slots does it; what states events, and locks the head, comes last. */
function inLockOrder(one: OwnSettle, other: OwnSettle): number {
  const [a, b] = [one.lease, other.lease];
  const states = ({ effects }: OwnSettle): number => (effects === undefined ? 0 : 1);
  return (
    states(one) - states(other) || a.sub - b.sub || a.gen - b.gen || a.slot - b.slot || one.position - other.position
  );
}
