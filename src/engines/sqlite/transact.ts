import type { TransactionSource } from "../../app/store.ts";
import { firstRowToken } from "../../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../../engine/transact.ts";
import { FactlogError, mayPass } from "../../errors.ts";
import type { Counters } from "./counters.ts";
import { type EffectWriter, Refusal } from "./effects.ts";
import { GuestTransaction } from "./guest-transaction.ts";
import { factsOf } from "./record.ts";
import type { Rows } from "./rows.ts";
import { isOfTheStore } from "./sqlite-error.ts";
import type { Store } from "./store.ts";

/** Takes back what a handler did, and says what is answered. */
class TakenBack extends Error {
  readonly answer: Transacted;
  constructor(answer: Transacted) {
    super("nothing of it stands");
    this.answer = answer;
  }
}
/** It states events, and the transaction is not synced: it runs again in one that is. */
class NeedsSync extends Error {}

/**
 * Handlers' own transactions: members of the write queue like any other, so that those which are ready at one moment share
 * a commit. Whether one states events is known when it has run: until a handler of its store has, it is not synced.
 */
export class Transactor {
  readonly #store: Store;
  readonly #rows: Rows;
  readonly #counters: Counters;
  readonly #effects: EffectWriter;
  readonly #stating = new WeakSet<TransactionSource>();
  readonly #sql;

  constructor(
    store: Store,
    parts: { readonly rows: Rows; readonly counters: Counters; readonly effects: EffectWriter },
  ) {
    this.#store = store;
    this.#rows = parts.rows;
    this.#counters = parts.counters;
    this.#effects = parts.effects;
    const leased = `sub = ?1 AND gen = ?2 AND slot = ?3 AND token = ?5 AND session = ?6 AND low < ?4
      AND EXISTS(SELECT 1 FROM factlog_session WHERE id = ?6)`;
    this.#sql = {
      settleFresh: store.db.prepare(
        `INSERT INTO factlog_settled(sub, gen, slot, position) SELECT ?1, ?2, ?3, ?4 FROM factlog_slot WHERE ${leased}
           AND NOT EXISTS(SELECT 1 FROM factlog_delivery WHERE sub = ?1 AND gen = ?2 AND slot = ?3 AND position = ?4)
         ON CONFLICT DO NOTHING`,
      ),
      isLeased: store.db.prepare(`SELECT 1 FROM factlog_slot WHERE ${leased}`),
      isAlive: store.db.prepare("SELECT 1 FROM factlog_session WHERE id = ?"),
      settleRow: store.db.prepare(
        "INSERT INTO factlog_settled(sub, gen, slot, position) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      ),
    };
  }

  bind(source: TransactionSource): void {
    if (source.dialect === "sqlite") return;
    throw new FactlogError(
      "NOT_SUPPORTED",
      `${source.name} is a store of another database than the log's, which is an SQLite file: use sqliteStore(), whose tables lie in that file, or ctx.write; or put the log into that database (openLog("postgres://...")).`,
    );
  }

  run(session: number, request: Transact): Promise<Transacted> {
    return new Promise((resolve, reject) => {
      this.#submit(session, request, this.#stating.has(request.source), { resolve, reject });
    });
  }

  #submit(session: number, request: Transact, full: boolean, answer: Answer): void {
    this.#store.submit({
      full,
      savepoint: true,
      weight: 1,
      run: () => this.#transact(session, request, full),
      committed: () => answer.resolve({ status: "settled" }),
      failed: (error) => {
        if (error instanceof NeedsSync) return this.#submit(session, request, true, answer);
        if (error instanceof TakenBack) return answer.resolve(error.answer);
        if (mayPass(error)) return answer.resolve({ status: "not begun", error });
        answer.reject(error);
      },
    });
  }

  #transact(session: number, { source, run }: Transact, full: boolean): void {
    const settles = this.#call(run);
    this.#counters.begin();
    try {
      for (const own of settles) this.#settle(session, own);
    } catch (error) {
      if (error instanceof Refusal) throw new TakenBack({ status: "failed", error: error.cause });
      throw error;
    }
    this.#counters.flush();
    if (full || !settles.some(({ effects }) => factsOf(effects) > 0)) return;
    this.#stating.add(source);
    if (!this.#store.queue.isFull) throw new NeedsSync();
  }

  /** What the handler throws is its own, whatever it looks like; what ended the transaction or met the file is not. */
  #call(run: Transact["run"]): readonly OwnSettle[] {
    const { db } = this.#store;
    const tx = new GuestTransaction(db);
    let settles: ReturnType<Transact["run"]>;
    try {
      settles = run(tx);
    } catch (error) {
      throw brokenOf(tx) ?? new TakenBack({ status: "failed", error });
    } finally {
      tx.close();
    }
    const broken = brokenOf(tx);
    if (broken !== undefined) throw broken;
    if (!(settles instanceof Promise)) return settles;
    settles.catch(() => undefined);
    throw new TakenBack({
      status: "failed",
      error: new FactlogError("HANDLER_ASYNC", "a promise cannot be waited for in a transaction of SQLite."),
    });
  }

  #settle(session: number, own: OwnSettle): void {
    const { lease, effects } = own;
    if (own.rowToken !== undefined || !this.#settleFresh(session, own)) this.#settleOther(session, own);
    if (effects !== undefined) this.#effects.apply(lease.sub, [effects]);
  }

  /** The common case in one statement: no row, and the slot is mine. */
  #settleFresh(session: number, { lease, position }: OwnSettle): boolean {
    const { sub, gen, slot, token } = lease;
    return this.#sql.settleFresh.run(sub, gen, slot, position, token, session).changes === 1;
  }

  #settleOther(session: number, { lease, position, rowToken }: OwnSettle): void {
    const { sub, gen, slot, token } = lease;
    const row = this.#rows.find({ sub, gen, slot, position });
    const mine =
      row === undefined
        ? rowToken === undefined && this.#sql.isLeased.get(sub, gen, slot, position, token, session) !== undefined
        : row.session === session &&
          row.state === "running" &&
          row.token === (rowToken ?? firstRowToken) &&
          this.#sql.isAlive.get(session) !== undefined;
    if (!mine) throw new TakenBack({ status: "lost", position });
    if (this.#sql.settleRow.run(sub, gen, slot, position).changes === 0)
      throw new TakenBack({ status: "stood", position });
  }
}

interface Answer {
  readonly resolve: (answer: Transacted) => void;
  readonly reject: (error: unknown) => void;
}

/** An error of the file goes on as it is and meets all members; one of a statement that rolled all back meets its own. */
function brokenOf({ broken }: GuestTransaction): Error | undefined {
  if (broken === undefined) return undefined;
  const isStores = isOfTheStore(broken.error) && broken.error instanceof Error;
  return isStores ? broken.error : new TakenBack({ status: "failed", error: broken.error });
}
