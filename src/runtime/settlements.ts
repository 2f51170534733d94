import { decide } from "../delivery/decide.ts";
import type { Outcome, Settlement } from "../delivery/outcome.ts";
import {
  type Effects,
  type FailureRecord,
  firstRowToken,
  type Recorded,
  type RowChange,
  type RowInsert,
} from "../engine/ledger.ts";
import type { Env } from "../env.ts";
import { limits } from "../limits.ts";
import { deliveryStage } from "../observe/channels.ts";
import { correlationIdOf } from "./correlation.ts";
import { describeFailure } from "./failure.ts";
import type { Runner } from "./runner.ts";
import { leaseLost } from "./step-host.ts";
import { type Batch, type Delivery, groupOf, identityOf, refOf, type SlotWork } from "./slot-work.ts";
import { tellDelivery } from "./tell.ts";

/**
 * From the end of an attempt to what is recorded. A delivery that is simply done waits for the checkpoint, and its lane
 * goes on at once; one with effects, and one that gets or has a row, is recorded at once, and its lane waits for that.
 */
export class Settlements {
  readonly #runner: Runner;
  /** Deliveries whose running row is being recorded; their outcome waits for it. */
  readonly #becomingRows = new Map<Delivery, (() => void) | undefined>();

  readonly #awaitingRows = new Map<
    Delivery,
    readonly { readonly resolve: () => void; readonly reject: (error: unknown) => void }[]
  >();

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  /** `startedMs`: when the attempt began, on the monotonic clock. */
  settle(delivery: Delivery, outcome: Outcome, effects: Effects | undefined, startedMs?: number): void {
    if (this.#becomingRows.has(delivery)) {
      this.#becomingRows.set(delivery, () => this.settle(delivery, outcome, effects, startedMs));
      return;
    }
    if (delivery.row === undefined && delivery.slot.dropped) return this.#runner.advance(delivery);
    const { spec, world } = this.#runner;
    const nowMs = world.env.now();
    const judged = this.#runner.outage.judge(delivery, outcome);
    const settlement = decide(delivery, judged, spec.retry, nowMs, world.env.random());
    if (deliveryStage.hasSubscribers) tellDelivery(spec, delivery, settlement, nowMs, durationMs(world.env, startedMs));
    for (const { dueMs } of effects?.delayed ?? []) world.delayed(dueMs);
    if (delivery.row !== undefined) this.#settleRow(delivery, settlement, effects);
    else if (settlement.kind === "close") this.#close(delivery, settlement.as, effects);
    else if (settlement.kind !== "wait") this.#keep(delivery, settlement);
  }

  /** An earlier holder's transaction did it: what remains is to say so. */
  closeSettled(delivery: Delivery): void {
    delivery.settled = true;
    delivery.slot.countClosed(delivery.event.type, "done");
    this.#remember(delivery);
    this.#runner.world.settler.touch(delivery.slot, this.#runner);
  }
  /** Its slot or row was lost before it was done. */
  lostAttempt(delivery: Delivery): void {
    delivery.slot.unhand(delivery);
    if (this.#becomingRows.has(delivery)) {
      this.#becomingRows.set(delivery, () => this.lostAttempt(delivery));
      return;
    }
    if (delivery.row === undefined) this.#runner.drop(delivery.slot);
    else this.#runner.due.forget(delivery);
    this.#runner.world.suspects.done(delivery);
    this.#runner.advance(delivery);
  }

  /**
   * Recorded with what settles the delivery, not with what reads it: a worker that takes over would hold an open
   * delivery for its own repeat.
   */
  #remember({ slot, event }: Delivery): void {
    const { log, env } = this.#runner.world;
    if (log.capabilities.dedupe === "retained") return;
    slot.batch.seen.push({ identity: identityOf(event), atMs: env.now() });
  }

  // ── deliveries without a row ──
  #close(delivery: Delivery, as: "done" | "skipped", effects: Effects | undefined): void {
    const { slot } = delivery;
    this.#runner.deliveries++;
    delivery.settled = true;
    slot.countClosed(delivery.event.type, as);
    this.#remember(delivery);
    if (effects === undefined) {
      this.#runner.world.settler.touch(slot, this.#runner);
      return this.#runner.advance(delivery);
    }
    slot.batch.effects.push({ effects, delivery });
    this.#runner.world.settler.urge(slot, this.#runner);
  }
  #keep(delivery: Delivery, settlement: Failing): void {
    const failure = this.#failure(delivery, settlement);
    const dead = settlement.kind === "dead";
    const { onExhausted } = this.#runner.spec;
    this.#intoRow(delivery, {
      state: dead ? "dead" : "retrying",
      dueMs: dead ? 0 : settlement.dueMs,
      failures: settlement.failures,
      holds: delivery.key !== undefined && !(dead && onExhausted === "skip-event"),
      ...(failure === undefined ? {} : { failure }),
      ...(dead && onExhausted === "stop" ? { stop: true } : {}),
    });
  }
  /** A delivery runs long: its row lets `low` pass, and its slot change hands. */
  detach(delivery: Delivery): void {
    this.#becomingRows.set(delivery, undefined);
    this.#intoRow(delivery, {
      state: "running",
      dueMs: 0,
      failures: delivery.failures,
      holds: delivery.key !== undefined,
    });
  }
  isBecomingRow(delivery: Delivery): boolean {
    return this.#becomingRows.has(delivery);
  }
  /** Resolves when the delivery has a running row; rejects with LEASE_LOST where its slot is gone. */
  rowOf(delivery: Delivery): Promise<void> {
    if (delivery.row !== undefined) return Promise.resolve();
    if (delivery.slot.dropped) return Promise.reject(leaseLost(this.#runner.spec.name));
    return new Promise((resolve, reject) => {
      const waiters = this.#awaitingRows.get(delivery) ?? [];
      this.#awaitingRows.set(delivery, [...waiters, { resolve, reject }]);
      if (!this.#becomingRows.has(delivery)) this.detach(delivery);
    });
  }
  #tellRow(delivery: Delivery, lost: boolean): void {
    const waiters = this.#awaitingRows.get(delivery) ?? [];
    this.#awaitingRows.delete(delivery);
    for (const { resolve, reject } of waiters) {
      if (lost) reject(leaseLost(this.#runner.spec.name));
      else resolve();
    }
  }
  /** It may have killed its process: it gets its row before it runs. */
  beginSuspect(delivery: Delivery): void {
    const { slot } = delivery;
    if (slot.dropped || slot.leaving || this.#runner.stopping) {
      this.#runner.world.suspects.done(delivery);
      return this.#runner.advance(delivery);
    }
    slot.hand(delivery);
    // Claims run ahead of the head: what came after the take-over was no dead session's.
    if (delivery.event.recordedMs <= slot.heldSinceMs) delivery.suspect = true;
    this.#becomingRows.set(delivery, () =>
      this.#runner.stopping ? this.#handBack(delivery) : this.#runner.runSuspect(delivery),
    );
    this.#intoRow(delivery, { state: "running", dueMs: 0, failures: 0, holds: delivery.key !== undefined });
  }
  /** Its row says running, and nobody will run it here. */
  #handBack(delivery: Delivery): void {
    const to = { state: "ready", dueMs: 0, failures: delivery.failures } as const;
    const rowToken = delivery.row?.token ?? firstRowToken;
    this.#runner.world.settler.submit({ kind: "row", delivery: refOf(delivery), rowToken, to }, () =>
      this.#runner.world.suspects.done(delivery),
    );
  }
  /** An event of a key that rows hold: a pointer to it, behind them. */
  holdBack(delivery: Delivery): void {
    this.#insert(delivery, { state: "ready", dueMs: 0, failures: 0, holds: true });
    this.#runner.world.settler.touch(delivery.slot, this.#runner);
  }
  /** Beyond the share of its group: a row that waits for its turn. What is held behind an earlier one of its key is held. */
  defer(delivery: Delivery): void {
    this.#insert(delivery, deferredPart(delivery));
    this.#runner.world.settler.touch(delivery.slot, this.#runner);
  }
  /** Of a paused group, though its turn has come; what waits behind it in its lane is held. */
  deferStarted(delivery: Delivery): void {
    this.#intoRow(delivery, deferredPart(delivery));
  }
  /** The first of a paused key: a row that is looked at again now and then. What comes later is held behind it. */
  park(delivery: Delivery): void {
    const dueMs = this.#runner.world.env.now() + limits.pauseLookMs;
    this.#intoRow(delivery, { state: "ready", dueMs, failures: delivery.failures, holds: true });
  }
  /** The delivery, and what waits behind it where it holds its key, get their rows in one change. */
  #intoRow(delivery: Delivery, row: RowPart): void {
    const { lane, slot } = delivery;
    this.#insert(delivery, row);
    if (row.holds && lane !== undefined) {
      for (const next of this.#runner.lanes.clear(lane)) {
        if (next.row === undefined) this.#insert(next, { state: "ready", dueMs: 0, failures: 0, holds: true });
        else this.#runner.due.forget(next);
      }
    }
    this.#runner.world.settler.urge(slot, this.#runner);
  }
  #insert(delivery: Delivery, part: RowPart): void {
    const { event } = delivery;
    const theirs = this.#runner.world.log.capabilities.retention === "theirs";
    delivery.slot.insert(delivery, {
      position: event.position,
      eventSlot: event.slot,
      key: delivery.key ?? "",
      eventId: event.id,
      correlationId: correlationIdOf(event),
      atMs: event.recordedMs,
      ...part,
      ...(theirs ? { event } : {}),
    });
    if (part.group !== undefined) this.#runner.deferrals.inserted(part.group);
    this.#remember(delivery);
  }
  #failure(delivery: Delivery, settlement: Failing): FailureRecord | undefined {
    const { spec, world } = this.#runner;
    if (settlement.class === "deferred") return undefined;
    const failure = {
      atMs: world.env.now(),
      class: settlement.class,
      ...describeFailure(settlement.class, settlement.error),
    };
    const facts = {
      subscription: spec.name,
      event: delivery.event.id,
      key: delivery.event.key,
      failures: settlement.failures,
      error: failure.error.split("\n")[0],
    };
    if (settlement.kind === "dead")
      world.logger.error(`${spec.name}: ${delivery.event.type} ${delivery.event.id} is a dead letter`, facts);
    else
      world.logger.warn(`${spec.name}: ${delivery.event.type} ${delivery.event.id} failed and is tried again`, {
        ...facts,
        dueInMs: settlement.dueMs - world.env.now(),
      });
    return failure;
  }

  // ── deliveries with a row ──
  #settleRow(delivery: Delivery, settlement: Settlement, effects: Effects | undefined): void {
    const row = delivery.row;
    if (row === undefined) return;
    const change: RowChange = {
      kind: "row",
      delivery: refOf(delivery),
      rowToken: row.token,
      to: this.#rowTarget(delivery, settlement),
      ...(effects === undefined ? {} : { effects }),
    };
    this.#runner.world.settler.submit(change, (result) => this.#rowSettled(delivery, settlement, result));
  }
  #rowTarget(delivery: Delivery, settlement: Settlement): RowChange["to"] {
    if (settlement.kind === "close") return { state: "closed", as: settlement.as };
    if (settlement.kind === "wait") {
      const { dueMs, failures, holds } = settlement;
      return { state: "retrying", dueMs, failures, waits: true, ...(holds ? {} : { holds }) };
    }
    const failure = this.#failure(delivery, settlement);
    if (settlement.kind === "retry") {
      return {
        state: "retrying",
        dueMs: settlement.dueMs,
        failures: settlement.failures,
        ...(failure === undefined ? {} : { failure }),
      };
    }
    const { onExhausted } = this.#runner.spec;
    const holds = delivery.key !== undefined && onExhausted !== "skip-event";
    return {
      state: "dead",
      failures: settlement.failures,
      holds,
      stop: onExhausted === "stop",
      failure: failure as FailureRecord,
    };
  }
  #rowSettled(delivery: Delivery, settlement: Settlement, result: Recorded): void {
    if (result.status === "refused") {
      return this.settle(delivery, { kind: "failed", class: "error", error: result.refused?.error }, undefined);
    }
    this.#runner.due.forget(delivery);
    this.#runner.world.suspects.done(delivery);
    if (result.status === "ok") this.#rowRecorded(delivery, settlement, result);
    this.#runner.advance(delivery);
  }
  #rowRecorded(delivery: Delivery, settlement: Settlement, result: Recorded): void {
    if (settlement.kind === "close") this.#runner.deliveries++;
    if (settlement.kind === "retry" || settlement.kind === "wait") this.#runner.due.at(settlement.dueMs);
    if (settlement.kind === "dead") this.#died();
    const slot = this.#runner.slots.get(delivery.slot.lease.slot);
    for (const key of result.freed) slot?.freed(key);
    if (result.promoted) this.#runner.due.look();
  }
  #died(): void {
    this.#runner.dead++;
    if (this.#runner.spec.onExhausted === "stop") this.#runner.standing.halt();
  }

  // ── records of slots come back ──
  committed(slot: SlotWork, batch: Batch, result: Recorded): void {
    for (const { row, delivery } of batch.inserts) {
      if (row.holds) slot.recordedInsert(row.key);
      if (row.group !== undefined) this.#runner.deferrals.recorded(row.group);
      if (row.state === "running") this.#becameRow(delivery);
      else this.#keptRow(delivery, row);
    }
    for (const key of result.freed) slot.freed(key);
    if (result.promoted) this.#runner.due.look();
    for (const { delivery } of batch.effects) this.#runner.advance(delivery);
  }
  #becameRow(delivery: Delivery): void {
    delivery.row = { token: firstRowToken, started: true };
    delivery.slot.unhand(delivery);
    const next = this.#becomingRows.get(delivery);
    this.#becomingRows.delete(delivery);
    this.#tellRow(delivery, false);
    next?.();
  }
  #keptRow(delivery: Delivery, row: RowInsert): void {
    if (row.state === "retrying") this.#runner.due.at(row.dueMs);
    if (row.state === "ready" && row.dueMs > 0) this.#runner.due.parked(row.key, row.dueMs);
    if (row.state === "dead") this.#died();
    if (delivery.lane?.current === delivery) this.#runner.advance(delivery);
  }
  /** The slot was lost with this batch: nothing of it stands. */
  lost(batch: Batch): void {
    for (const { row, delivery } of batch.inserts) {
      if (row.group !== undefined) this.#runner.deferrals.recorded(row.group);
      const running = this.#becomingRows.has(delivery);
      this.#becomingRows.delete(delivery);
      this.#tellRow(delivery, true);
      this.#runner.world.suspects.done(delivery);
      if (!running && delivery.lane?.current === delivery) this.#runner.advance(delivery);
    }
    for (const { delivery } of batch.effects) this.#runner.advance(delivery);
  }
  /** The database refused one delivery's effects: that one has failed, the others are recorded again. */
  refused(slot: SlotWork, batch: Batch, result: Recorded): void {
    slot.restore(batch);
    const at = batch.effects.findIndex((entry) => entry.effects.position === result.refused?.position);
    const [entry] = batch.effects.splice(at, 1);
    if (entry !== undefined) {
      const { delivery } = entry;
      delivery.settled = false;
      this.#runner.deliveries--;
      slot.uncountClosed(delivery.event.type, "done");
      this.settle(delivery, { kind: "failed", class: "error", error: result.refused?.error }, undefined);
    }
    this.#runner.world.settler.urge(slot, this.#runner);
  }
}

type Failing = Extract<Settlement, { kind: "retry" | "dead" }>;
const deferredPart = (delivery: Delivery): RowPart => ({
  state: "deferred",
  group: groupOf(delivery),
  dueMs: 0,
  failures: delivery.failures,
  holds: delivery.key !== undefined,
});
type RowPart = Pick<RowInsert, "state" | "group" | "dueMs" | "failures" | "holds"> & {
  readonly failure?: FailureRecord;
  readonly stop?: boolean;
};

function durationMs(env: Env, startedMs: number | undefined): number {
  return startedMs === undefined ? 0 : env.monotonic() - startedMs;
}
