import type { App } from "../app/app.ts";
import type { From } from "../app/subscription.ts";
import type { Engine, HorizonState } from "../engine/engine.ts";
import type { OutboxState } from "../engine/event-log.ts";
import type { DeliveryRow, FailureRecord, SubscriptionTally } from "../engine/ledger.ts";
import type { DelayedQuery } from "../engine/timetable.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { decodeUnknown } from "../event/decode.ts";
import type { RecordedEvent } from "../event/define.ts";
import { limits } from "../limits.ts";
import { type Answer, answerApproval, type OpenApproval, openApprovals } from "./approvals.ts";
import { auditEvent } from "./audit.ts";
import { correlationIdOf } from "./correlation.ts";
import { deadLetterId, parseDeadLetterId } from "./dead-letter-id.ts";
import { deadRows } from "./delivery-rows.ts";
import type { Measures, SubscriptionStatus } from "./measures.ts";
import type { PauseOf, Pauses } from "./pauses.ts";
import { type RedriveFrom, stepsFrom } from "./redrive-from.ts";
import { projectionsOf, type ProjectionStatus, requireNoProjection, retireProjection, wantRebuild } from "./rebuild.ts";
import { Redrives } from "./redrives.ts";
import { type Trace, trace } from "./trace.ts";

export interface DeadLetter {
  readonly id: string;
  readonly subscription: string;
  /** Its data as stored; undefined where retention took the event or it cannot be read. */
  readonly event: RecordedEvent | undefined;
  readonly eventId: string;
  readonly key: string | undefined;
  readonly correlationId: string;
  readonly class: string;
  readonly fingerprint: string;
  readonly failures: number;
  readonly crashes: number;
  readonly attempts: readonly { readonly at: Date; readonly class: string; readonly error: string }[];
  /** Later events of its key wait for it. */
  readonly blocksKey: boolean;
}
/** An event that becomes a fact at its time. */
export interface DelayedFact {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly key: string | undefined;
  readonly correlationId: string;
  readonly due: Date;
}
export interface DeadLetterFilter {
  readonly subscription?: string;
  readonly key?: string;
  readonly group?: string;
  readonly fingerprint?: string;
  readonly type?: string;
}

/** What an operator may look at and do. Every act is an event in the log (`factlog.operator.*`). */
export class Operator {
  /** Redrives of many dead letters, as jobs that outlive who began them. */
  readonly redrives: Redrives;
  readonly #env: Env;
  readonly #engine: Engine;
  readonly #source: string;
  readonly #measures: Measures;
  readonly #pauses: Pauses;
  readonly #known: () => ReadonlySet<string> | undefined;

  constructor(
    env: Env,
    engine: Engine,
    source: string,
    { measures, pauses }: { readonly measures: Measures; readonly pauses: Pauses },
    known: () => ReadonlySet<string> | undefined,
  ) {
    this.redrives = new Redrives(env, engine, source);
    this.#env = env;
    this.#engine = engine;
    this.#source = source;
    this.#measures = measures;
    this.#pauses = pauses;
    this.#known = known;
  }

  /**
   * What every subscription owes, and what stands in its way; as of now, from what is stored. `state` compares
   * them with this app, else with the one this log works on.
   */
  status(app?: App): Promise<readonly SubscriptionStatus[]> {
    return this.#measures.look(app === undefined ? this.#known() : new Set<string>(app.subscriptionNames));
  }

  /**
   * What became of a correlation: its events as a tree of causes, each with its deliveries. Looks at every event from
   * `from` on (default "beginning"): on a long log give a time or a position.
   */
  trace(correlationId: string, options: { readonly from?: From } = {}): Promise<Trace> {
    return trace(this.#engine, correlationId, options.from ?? "beginning");
  }

  /** Events that wait for their time, in its order. `log.cancel` withdraws one. */
  async *delayed(filter: { readonly correlationId?: string } = {}): AsyncGenerator<DelayedFact> {
    let after: DelayedQuery["after"];
    for (;;) {
      const query = { ...filter, limit: limits.duePageRows, ...(after === undefined ? {} : { after }) };
      const page = await this.#engine.ledger.delayed(query);
      for (const { event, dueMs } of page) {
        const { id, source, type, key } = event;
        yield { id, source, type, key, correlationId: correlationIdOf(event), due: new Date(dueMs) };
        after = { id, source, dueMs };
      }
      if (page.length < limits.duePageRows) return;
    }
  }

  /** What waits in the outbox of the user's own transactions; undefined on a log that has none. */
  async outbox(): Promise<OutboxState | undefined> {
    return this.#engine.log.outbox?.();
  }

  /** What keeps old versions of rows from being cleaned away; undefined on a log where nothing does. */
  async horizon(): Promise<HorizonState | undefined> {
    return this.#engine.horizon?.();
  }

  /** Generations of projections, and how far each has come. */
  projections(): Promise<readonly ProjectionStatus[]> {
    return projectionsOf(this.#engine);
  }
  /**
   * Asks for new tables of a projection, filled from the beginning of the log beside the live ones; the views then show them.
   * Its workers do it, whoever asks. Answers the number of the generation. CONFLICT where one is being filled.
   */
  rebuild(projection: string): Promise<number> {
    return wantRebuild(this.#env, this.#engine, this.#source, projection);
  }

  /** What handlers ask of people. */
  approvals(): AsyncGenerator<OpenApproval> {
    return openApprovals(this.#engine);
  }
  /** Answers an approval; its handler goes on. CONFLICT where another answer or the end of its time was first. */
  answer(approval: string, answer: Answer): Promise<void> {
    return answerApproval(this.#env, this.#engine, this.#source, approval, answer);
  }

  /** By subscription, slot and position; each with its failure history. */
  async *deadLetters(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter> {
    for (const subscription of await this.#engine.ledger.tally()) {
      if (filter.subscription !== undefined && filter.subscription !== subscription.name) continue;
      if (subscription.rows.dead > 0) yield* this.#deadOf(subscription, filter);
    }
  }
  async *#deadOf(subscription: SubscriptionTally, filter: DeadLetterFilter): AsyncGenerator<DeadLetter> {
    for await (const row of deadRows(this.#engine, subscription.sub, filter))
      yield await this.#letterOf(subscription.name, row);
  }
  async deadLetter(id: string): Promise<DeadLetter> {
    const { name, row } = await this.#find(id);
    return this.#letterOf(name, row);
  }
  async #letterOf(subscription: string, row: DeliveryRow): Promise<DeadLetter> {
    const failures: readonly FailureRecord[] = await this.#engine.ledger.failures(row);
    const event = await this.#eventOf(row);
    const last = failures.at(-1);
    return {
      id: deadLetterId(subscription, row),
      subscription,
      event,
      eventId: row.eventId,
      key: event === undefined ? row.key || undefined : event.key,
      correlationId: row.correlationId,
      class: last?.class ?? "unknown",
      fingerprint: last?.fingerprint ?? "",
      failures: row.failures,
      crashes: row.crashes,
      attempts: failures.map((failure) => ({ at: new Date(failure.atMs), class: failure.class, error: failure.error })),
      blocksKey: row.holds,
    };
  }
  async #eventOf(row: DeliveryRow): Promise<RecordedEvent | undefined> {
    const stored = row.event ?? (await this.#engine.log.fetch([{ slot: row.eventSlot, position: row.position }]))[0];
    if (stored === undefined) return undefined;
    try {
      return decodeUnknown(stored, this.#engine.log.epoch);
    } catch {
      return undefined;
    }
  }
  async #find(id: string): Promise<{ readonly name: string; readonly row: DeliveryRow }> {
    const { subscription, gen, slot, position } = parseDeadLetterId(id);
    const known = (await this.#engine.ledger.tally()).find((each) => each.name === subscription);
    const [row] =
      known === undefined
        ? []
        : await this.#engine.ledger.deliveries({ kind: "one", delivery: { sub: known.sub, gen, slot, position } });
    if (row?.state !== "dead")
      throw new FactlogError("NOT_FOUND", `${id} is no dead letter (any more): see \`factlog dead list\`.`, {
        details: { id },
      });
    return { name: subscription, row };
  }

  /**
   * Delivers dead letters again: same event, position, identity; their history stays, and their steps that are done are not run
   * again. `from: { step }` forgets that step and what came after it; `from: "fresh"` begins without any, under other
   * idempotency keys and event ids: effects of before are done once more. `confirm`: how many you expect;
   * CONFLICT, and nothing happens, where another number was found.
   */
  async redrive(
    what: DeadLetterFilter | readonly string[],
    options: { readonly confirm: number; readonly from?: RedriveFrom },
  ): Promise<{ readonly redriven: number }> {
    const { from } = options;
    const ids = Array.isArray(what) ? (what as readonly string[]) : await this.#idsOf(what as DeadLetterFilter);
    if (ids.length !== options.confirm) {
      throw new FactlogError(
        "CONFLICT",
        `${ids.length} dead letters were found, ${options.confirm} were confirmed: look again, then confirm the number. Nothing was redriven.`,
        { details: { found: ids.length } },
      );
    }
    // Either all have the step, or nothing is done.
    if (typeof from === "object") for (const id of ids) await this.#dropped(id, from);
    for (const id of ids) {
      const { name, row, drop } = await this.#dropped(id, from);
      const audit = auditEvent(this.#env, this.#source, "redriven", {
        subscription: name,
        deadLetter: id,
        eventId: row.eventId,
        ...(from === undefined || from === "failed-step" ? {} : { from }),
      });
      await this.#engine.ledger.command({
        kind: "redrive",
        delivery: row,
        rowToken: row.rowToken,
        nowMs: this.#env.now(),
        fresh: from === "fresh",
        drop,
        audit,
      });
    }
    return { redriven: ids.length };
  }
  async #dropped(id: string, from: RedriveFrom | undefined) {
    const { name, row } = await this.#find(id);
    return { name, row, drop: await stepsFrom(this.#engine.ledger, id, row, from) };
  }
  async #idsOf(filter: DeadLetterFilter): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const letter of this.deadLetters(filter)) ids.push(letter.id);
    return ids;
  }

  /** Closes dead letters for good, unprocessed; later events of their keys go on. The reason is kept in the log. */
  async discard(ids: readonly string[], options: { readonly reason: string }): Promise<void> {
    if (options.reason.trim() === "")
      throw new FactlogError("INVALID_OPTION", "a discard needs a reason: it is kept in the log.");
    for (const id of ids) {
      const { name, row } = await this.#find(id);
      const audit = auditEvent(this.#env, this.#source, "discarded", {
        subscription: name,
        deadLetter: id,
        eventId: row.eventId,
        reason: options.reason,
      });
      await this.#engine.ledger.command({ kind: "discard", delivery: row, rowToken: row.rowToken, audit });
    }
  }

  /**
   * Starts no more handlers of a subscription, or of one key (`order: "key"` alone) or one group of it (not with `order: "log"`),
   * until `resume`; those that run go on to their end. Durable: it outlives restarts. In force in this process at once, in
   * others within half a second. What comes later of a paused key or group waits in rows, others go on. Once it is so, the
   * same again does nothing. Throws NOT_FOUND where there is no such subscription, INVALID_OPTION where its order forbids it.
   */
  async pause(subscription: string, only: PauseOf = {}): Promise<void> {
    await this.#pauses.set(this.#source, subscription, only, true);
  }
  /**
   * Goes on where `pause` stopped; a key at once, or within 10 s where its worker changed meanwhile. A subscription, its keys and
   * its groups are paused and resumed each by itself. Throws as `pause`.
   */
  async resume(subscription: string, only: PauseOf = {}): Promise<void> {
    await this.#pauses.set(this.#source, subscription, only, false);
  }

  /** Removes a subscription with its progress and dead letters, a projection with its tables. CONFLICT while a worker serves it. */
  async retire(name: string): Promise<void> {
    const { ledger } = this.#engine;
    const audit = auditEvent(this.#env, this.#source, "retired", { subscription: name });
    const retire = () => ledger.command({ kind: "retire", name, audit });
    if ((await ledger.projections()).some((one) => one.name === name))
      await retireProjection(this.#engine, name, retire);
    else await retire();
  }
  /** Renames a subscription; its progress goes with it. Deploy the new name at once: the old one would be a new reader. */
  async rename(name: string, to: string): Promise<void> {
    requireNoProjection(await this.#engine.ledger.projections(), name);
    await this.#engine.ledger.command({
      kind: "rename",
      name,
      to,
      audit: auditEvent(this.#env, this.#source, "renamed", { subscription: name, to }),
    });
  }
}
