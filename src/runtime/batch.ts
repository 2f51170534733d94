import type { AsyncResource } from "node:async_hooks";
import type { TransactionSource } from "../app/store.ts";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Outcome } from "../delivery/outcome.ts";
import type { Effects } from "../engine/ledger.ts";
import type { OwnSettle, Transact, Transacted } from "../engine/transact.ts";
import type { RecordedEvent } from "../event/define.ts";
import { limits } from "../limits.ts";
import { BatchContext } from "./batch-context.ts";
import {
  aborted,
  asynchronous,
  type Attempt,
  deferred,
  done,
  type HandlerDesk,
  isThenable,
  isWanted,
  ownSettle,
  read,
  thrown,
  timeout,
} from "./handle.ts";
import type { Delivery } from "./slot-work.ts";

/** Several deliveries that one call of the handler gets. */
export interface Batch {
  /** Those whose turn it is, one of each lane. */
  readonly heads: readonly Attempt[];
  /** All, in order of the log: the heads, and what waits behind them in their lanes. */
  readonly members: readonly Delivery[];
}
export interface BatchDesk extends HandlerDesk {
  /** What the ledger settles in where the handler has no store, and queues effects. */
  readonly source: TransactionSource;
  /** What became of those that wait behind this head is known, and is told when their turn comes: now, where it is done. */
  foretold(attempt: Attempt): void;
}

/** An event failed in a handler that has effects: they are taken back, and it runs again without that event. */
class PartlyFailed extends Error {}

/** One batch, from its first run to its last outcome. Never throws. */
export async function handleBatch(desk: BatchDesk, batch: Batch): Promise<void> {
  await new BatchRun(desk, batch).go();
}

class BatchRun {
  readonly #desk: BatchDesk;
  readonly #batch: Batch;
  readonly #events = new Map<Delivery, RecordedEvent>();
  readonly #outcomes = new Map<Delivery, Outcome>();
  readonly #lost = new Set<Attempt>();
  /** What the only delivery of a batch is recorded with. */
  #effects: Effects | undefined;
  /** Runs whose transaction stood in others' way. */
  #again = 0;

  constructor(desk: BatchDesk, batch: Batch) {
    this.#desk = desk;
    this.#batch = batch;
  }

  async go(): Promise<void> {
    for (const member of this.#batch.members) this.#read(member);
    for (let left = this.#left(); left.length > 0; left = this.#left()) {
      const error = await this.#run(left);
      if (error !== undefined) return this.#fail(error.cause);
    }
    this.#conclude();
  }

  get #spec(): SubscriptionSpec {
    return this.#desk.spec;
  }
  get #timedOut(): boolean {
    return this.#batch.heads.some((head) => head.timedOut);
  }

  #read(member: Delivery): void {
    const answer = read(this.#desk, member.event);
    if ("outcome" in answer) return void this.#outcomes.set(member, answer.outcome);
    const filtered = isWanted(this.#desk, answer.event);
    if (filtered === undefined) this.#events.set(member, answer.event);
    else this.#outcomes.set(member, filtered);
  }

  /** What is still to be handled: nothing that stands behind one that failed, or was lost or given up. */
  #left(): readonly Delivery[] {
    const stopped = new Set<unknown>();
    for (const head of this.#batch.heads)
      if (head.told || this.#lost.has(head) || isDropped(head.delivery)) stopped.add(head.delivery.lane);
    return this.#batch.members.filter((member) => {
      const { lane } = member;
      const outcome = this.#outcomes.get(member);
      if (outcome !== undefined && !closes(outcome)) stopped.add(lane);
      return outcome === undefined && !stopped.has(lane);
    });
  }

  /** One run of the handler with these. Answers what the store fails with, if it does. */
  #run(members: readonly Delivery[]): Promise<{ readonly cause: unknown } | undefined> {
    const { store } = this.#spec;
    if (store === undefined) return this.#plainly(members);
    return this.#transact(
      members,
      store,
      store.mode === "sync" ? this.#synchronously(members) : this.#waiting(members),
    );
  }

  async #plainly(members: readonly Delivery[]): Promise<{ readonly cause: unknown } | undefined> {
    const context = this.#begin(members);
    try {
      await this.#enter(context);
    } catch (error) {
      this.#allFailed(members, error);
      return undefined;
    }
    if (this.#timedOut) {
      this.#allFailed(members, undefined);
      return undefined;
    }
    const effects = context.effects();
    if (context.failures.size > 0) this.#someFailed(context);
    if (effects === undefined) this.#allDone(members);
    else if (context.failures.size === 0 && this.#batch.members.length === 1) {
      this.#allDone(members);
      this.#effects = effects;
    } else if (context.failures.size === 0) {
      const settles = settlesOf(members, effects);
      return this.#transact(members, this.#desk.source, { run: () => settles, returned: async () => undefined });
    }
    return undefined;
  }

  async #transact(
    members: readonly Delivery[],
    source: TransactionSource,
    call: { readonly run: Transact["run"]; readonly returned: () => Promise<unknown> },
  ): Promise<{ readonly cause: unknown } | undefined> {
    let answer: Transacted;
    try {
      answer = await this.#desk.transact({ source, run: call.run });
    } catch (cause) {
      return { cause };
    } finally {
      for (const head of this.#batch.heads) head.settling = false;
    }
    await call.returned();
    this.#answered(members, answer);
    return undefined;
  }

  #answered(members: readonly Delivery[], answer: Transacted): void {
    switch (answer.status) {
      case "settled":
        return this.#allDone(members);
      case "stood":
        for (const member of members) if (member.event.position === answer.position) this.#outcomes.set(member, done);
        return;
      case "lost":
        for (const head of this.#batch.heads)
          if (members.some(({ event, lane }) => event.position === answer.position && lane === head.delivery.lane))
            this.#lost.add(head);
        return;
      case "again":
        if (++this.#again < limits.transactionRunsMax && !this.#timedOut) return;
        return this.#allFailed(members, answer.error);
      case "not begun":
        if (this.#timedOut) return this.#allFailed(members, answer.error);
        for (const member of members) this.#outcomes.set(member, deferred(answer.error));
        return;
      case "failed":
        // Where a slot was lost meanwhile, those of the others are handled again.
        if (answer.error instanceof PartlyFailed || members.some(isDropped)) return;
        this.#allFailed(members, answer.error);
    }
  }

  // ── the handler in a transaction ──
  #synchronously(members: readonly Delivery[]): { run: Transact["run"]; returned: () => Promise<unknown> } {
    const run = (tx: unknown): readonly OwnSettle[] => {
      this.#requireGoing();
      const context = this.#begin(members);
      context.openTransaction(tx);
      const result = this.#enter(context);
      if (isThenable(result)) throw asynchronous(this.#spec, result);
      return this.#settles(context, members);
    };
    return { run, returned: async () => undefined };
  }
  #waiting(members: readonly Delivery[]): { run: Transact["run"]; returned: () => Promise<unknown> } {
    let ran: Promise<unknown> | undefined;
    const run = async (tx: unknown): Promise<readonly OwnSettle[]> => {
      this.#requireGoing();
      const context = this.#begin(members);
      context.openTransaction(tx);
      ran = (async () => this.#enter(context))();
      await Promise.race([ran, aborted(context.signal)]);
      for (const head of this.#batch.heads) head.settling = true;
      return this.#settles(context, members);
    };
    return { run, returned: async () => ran?.catch(() => undefined) };
  }
  #settles(context: BatchContext, members: readonly Delivery[]): readonly OwnSettle[] {
    const effects = context.effects();
    if (context.failures.size === 0) return settlesOf(members, effects);
    this.#someFailed(context);
    throw new PartlyFailed();
  }
  /** A run that was aborted while it waited for its transaction does not begin. */
  #requireGoing(): void {
    for (const { context, told, timedOut } of this.#batch.heads)
      if ((told || timedOut) && context !== undefined) throw context.signal.reason as Error;
  }

  /** A fresh context, which is that of all heads. */
  #begin(members: readonly Delivery[]): BatchContext {
    const before = this.#batch.heads[0]?.context;
    const given = members.map((member) => ({ delivery: member, event: this.#events.get(member)! }));
    const context = new BatchContext(this.#desk.host, given);
    for (const head of this.#batch.heads) head.context = context.inner;
    before?.end("SETTLED");
    return context;
  }
  #enter(context: BatchContext): unknown {
    const scope: AsyncResource = this.#desk.scope;
    return scope.runInAsyncScope(() => context.call(this.#spec));
  }

  // ── what becomes of them ──
  /** But those that stand behind one that failed: they are as if they had not been handled. */
  #allDone(members: readonly Delivery[]): void {
    const stopped = new Set<unknown>();
    for (const member of members) {
      if (this.#outcomes.has(member)) stopped.add(member.lane);
      else if (!stopped.has(member.lane)) this.#outcomes.set(member, done);
    }
  }
  #allFailed(members: readonly Delivery[], error: unknown): void {
    const [head] = this.#batch.heads;
    const outcome = this.#timedOut ? timeout(this.#spec) : thrown(head as Attempt, error, this.#desk.host.now());
    for (const member of members) if (!this.#outcomes.has(member)) this.#outcomes.set(member, outcome);
  }
  #someFailed({ failures }: BatchContext): void {
    const [head] = this.#batch.heads;
    for (const [delivery, error] of failures)
      this.#outcomes.set(delivery, thrown(head as Attempt, error, this.#desk.host.now()));
  }

  #conclude(): void {
    const lanes = Map.groupBy(this.#batch.members, ({ lane }) => lane);
    for (const head of this.#batch.heads) {
      if (this.#lost.has(head)) this.#desk.lost(head);
      else this.#tell(head, lanes.get(head.delivery.lane) ?? []);
    }
  }
  /** `lane`: the head and what stands behind it. */
  #tell(head: Attempt, lane: readonly Delivery[]): void {
    for (const member of lane) {
      if (member === head.delivery) continue;
      const outcome = this.#outcomes.get(member);
      if (outcome === undefined) break;
      member.foretold = { outcome, startedMs: head.startedMs };
      if (!closes(outcome)) break;
    }
    // Of one that was dropped or given up no outcome counts.
    this.#desk.finished(head, this.#outcomes.get(head.delivery) ?? done, this.#effects);
    this.#desk.foretold(head);
  }
  #fail(cause: unknown): void {
    for (const head of this.#batch.heads) this.#desk.fail(head, cause);
  }
}

const closes = ({ kind }: Outcome): boolean => kind === "done" || kind === "skipped";
const isDropped = ({ row, slot }: Delivery): boolean => row === undefined && slot.dropped;

/** The effects go with the last of them. */
function settlesOf(members: readonly Delivery[], effects: Effects | undefined): readonly OwnSettle[] {
  const last = members.length - 1;
  return members.map((member, i) =>
    ownSettle(
      member,
      i === last && effects !== undefined ? { ...effects, position: member.event.position } : undefined,
    ),
  );
}
