import { AsyncResource } from "node:async_hooks";
import type { SubscriptionSpec } from "../app/subscription.ts";
import type { Outcome } from "../delivery/outcome.ts";
import type { LogCapabilities } from "../engine/capabilities.ts";
import type { Effects, ProgressChange, Recorded, SlotLease, SlotState } from "../engine/ledger.ts";
import type { EventDefinition } from "../event/define.ts";
import type { Slot, StoredEvent } from "../event/stored-event.ts";
import { FactlogError } from "../errors.ts";
import { limits } from "../limits.ts";
import { Allowances } from "./allowances.ts";
import { Attempts } from "./attempts.ts";
import type { BatchDesk } from "./batch.ts";
import { Batches } from "./batches.ts";
import { Claims } from "./claims.ts";
import { contextHostOf } from "./context-host.ts";
import { Deferrals } from "./deferrals.ts";
import { DueRows } from "./due.ts";
import { HeldBound } from "./held-bound.ts";
import { Attempt, handle, timeout } from "./handle.ts";
import { Lanes } from "./lanes.ts";
import { Outage } from "./outage.ts";
import { Reader } from "./reader.ts";
import type { Enrolment, RunnerWorld } from "./runner-world.ts";
import type { SlotOwner } from "./settle.ts";
import { Settlements } from "./settlements.ts";
import { type Batch, type Delivery, freshDelivery, type Lane, SlotWork } from "./slot-work.ts";
import { Standing } from "./standing.ts";
import { suspectingNoneToCome } from "./suspects.ts";

/**
 * One subscription in one process: reads the slots it holds, keeps deliveries of one key in a lane, hands out what may
 * run, and settles what has run. The way of an event: Reader -> accept -> pump -> handle -> finished -> Settlements.
 */
export class Runner implements SlotOwner {
  readonly spec: SubscriptionSpec;
  enrolment: Enrolment;
  readonly world: RunnerWorld;
  readonly slots: Map<Slot, SlotWork> = new Map();
  readonly attempts: Attempts;
  readonly reader: Reader;
  readonly due: DueRows;
  readonly settlements: Settlements;
  readonly #claims: Claims;
  readonly #desk: BatchDesk;
  readonly #capabilities: LogCapabilities;
  readonly lanes: Lanes;
  readonly allowances: Allowances;
  readonly deferrals: Deferrals;
  #inFlight = 0;
  /** Taken of the places that `concurrency` gives: a batch takes one. */
  #places = 0;
  readonly #batches: Batches | undefined;
  #givenUp = 0;
  #pumping = false;
  #stopping = false;
  readonly heldBound: HeldBound;
  readonly standing: Standing = new Standing(this);
  readonly outage: Outage = new Outage(this);
  /** It fills tables that nobody looks at yet: others go before it. */
  isRebuild = false;
  deliveries = 0;
  dead = 0;

  constructor(world: RunnerWorld, spec: SubscriptionSpec, enrolment: Enrolment) {
    this.world = world;
    this.spec = spec;
    this.enrolment = enrolment;
    this.#capabilities = world.log.capabilities;
    const definitions = new Map<string, EventDefinition>(spec.on.map((event) => [event.type, event]));
    this.#desk = {
      spec,
      definitions,
      epoch: world.log.epoch,
      host: contextHostOf(this),
      scope: new AsyncResource("factlog.handler", { requireManualDestroy: true }),
      loadState: async (key) => (await world.ledger.states(enrolment.sub, [key]))[0],
      finished: (attempt, outcome, effects) => this.#finished(attempt, outcome, effects),
      transact: (request) => world.ledger.transact(world.session(), request),
      lost: (attempt) => this.#lost(attempt),
      source: { name: "ctx.write", dialect: world.ledger.capabilities.transactions, mode: "sync", control: "ours" },
      foretold: ({ delivery: { lane } }) => this.#tellForetold(lane),
      fail: (attempt, error) => void (this.#without(attempt) && world.fail(error)),
    };
    this.settlements = new Settlements(this);
    this.allowances = new Allowances(this);
    this.lanes = new Lanes(spec.takesTurns ? (group) => this.allowances.mayStart(group) : undefined);
    this.deferrals = new Deferrals(this, spec.takesTurns);
    this.#batches = spec.batch === undefined ? undefined : new Batches(this, this.#desk, spec.batch);
    this.#claims = new Claims(world.env, this.#capabilities.totalOrder);
    this.attempts = new Attempts(world.env, {
      timeoutMs: spec.timeoutMs,
      abandon: (attempt) => this.#abandon(attempt),
      // What waits behind it in its batch would get rows while it is handled.
      detach: (attempt) => (attempt.party === undefined ? this.#detach(attempt) : undefined),
    });
    this.heldBound = new HeldBound(world, spec.name, () => this.reader.wake());
    this.reader = new Reader(this, new Set(definitions.keys()));
    this.due = new DueRows(this);
  }

  /** The subscription stands still: nothing is read and nothing starts. */
  get halted(): boolean {
    return this.standing.halted;
  }
  get inFlight(): number {
    return this.#inFlight;
  }
  /** In flight, but for handlers that were given up and have not returned. */
  get working(): number {
    return this.#inFlight - this.#givenUp;
  }
  /** One slot row covers all slots of the log. */
  get whole(): boolean {
    return this.spec.order === "log";
  }
  get slotCount(): number {
    return this.whole ? 1 : this.#capabilities.slots;
  }
  get mayRead(): boolean {
    if (this.halted || this.#stopping || this.heldBound.reached) return false;
    return !this.isFull || (this.deferrals.isPressed && this.lanes.waiting < 3 * this.#readAhead);
  }
  /** Enough is read. */
  get isFull(): boolean {
    return this.lanes.waiting >= this.#readAhead;
  }
  get #readAhead(): number {
    return Math.max(limits.readAheadMax, 2 * (this.spec.batch?.max ?? 0));
  }
  get stopping(): boolean {
    return this.#stopping;
  }
  get mayStart(): boolean {
    return !this.halted && !this.#stopping;
  }
  /** Free of those that `concurrency` gives. */
  get places(): number {
    return this.mayStart ? this.outage.roomOf(this.spec.concurrency - this.#places) : 0;
  }
  get room(): number {
    return Math.min(this.places, this.allowances.room);
  }
  /** Gathered for a batch. */
  get gathered(): number {
    return this.#batches?.size ?? 0;
  }
  start(): void {
    this.reader.start();
    this.due.start();
  }

  /** Rows hold some key here. */
  get holdsKeys(): boolean {
    for (const slot of this.slots.values()) if (slot.busy.size > 0) return true;
    return this.heldBound.reached || this.deferrals.any;
  }
  /** The session was declared dead: no attempt's result counts any more. */
  disown(): void {
    for (const attempt of this.attempts) attempt.context?.end("LEASE_LOST");
  }
  /** The subscription was defined anew (its definition became the newest again). */
  enrolledAs(enrolment: Enrolment): void {
    this.enrolment = enrolment;
  }

  // ── slots come and go ──
  /** The slots this process holds now, as the ledger says. */
  async hold(leases: readonly SlotLease[]): Promise<void> {
    const held = new Map(leases.map((lease) => [lease.slot, lease.token]));
    for (const slot of this.slots.values()) {
      if (held.get(slot.lease.slot) !== slot.lease.token) this.drop(slot);
    }
    const fresh = leases.filter((lease) => !this.slots.has(lease.slot));
    if (fresh.length === 0) return;
    const states = await suspectingNoneToCome(this.world.log, fresh, await this.world.ledger.load(fresh));
    for (const [i, lease] of fresh.entries()) {
      this.slots.set(lease.slot, new SlotWork(lease, states[i] as SlotState, this.world.env.now()));
      this.deferrals.remember(states[i]?.deferred ?? []);
    }
    this.deferrals.look();
    this.reader.wake();
    this.due.look();
    if (this.holdsKeys) this.due.unpark([undefined]);
  }
  /** Gives slots back until at most `count` are kept; those in use finish what runs first. */
  shrinkTo(count: number): void {
    let excess = -count;
    for (const slot of this.slots.values()) if (!slot.leaving) excess++;
    for (const slot of this.slots.values()) {
      if (excess-- <= 0) break;
      if (!slot.leaving) this.#leave(slot);
    }
  }
  #leave(slot: SlotWork): void {
    slot.leaving = true;
    slot.lanes.clear();
    if (slot.atRest) this.world.handBack();
    else this.world.settler.urge(slot, this);
  }
  /** Slots that may be given back now. */
  returnable(): SlotWork[] {
    return [...this.slots.values()].filter((slot) => slot.leaving && slot.atRest);
  }
  /** The lease is lost, or was given back: what runs without a row is discarded. */
  drop(slot: SlotWork): void {
    if (slot.dropped) return;
    slot.dropped = true;
    slot.lanes.clear();
    this.slots.delete(slot.lease.slot);
    this.world.settler.forget(slot);
    this.due.forgetSlot(slot);
    this.settlements.lost(slot.batch);
    for (const attempt of this.attempts) {
      if (attempt.delivery.slot === slot && attempt.delivery.row === undefined) attempt.context?.end("LEASE_LOST");
    }
  }

  // ── events come in ──
  /** A matching event of a slot, in order of position. */
  accept(slot: SlotWork, event: StoredEvent): void {
    if (event.position <= (slot.since.get(event.type) ?? 0)) return;
    const delivery = freshDelivery(slot, event, this.laneKey(event));
    slot.add(delivery);
    if (slot.closedBefore(event.position)) {
      delivery.settled = true;
      return;
    }
    if (slot.settledBefore(event.position)) return this.settlements.closeSettled(delivery);
    if (this.#capabilities.dedupe !== "retained" && slot.repeats(event)) {
      delivery.settled = true;
      slot.countClosed(event.type, "duplicate");
      return this.world.settler.touch(slot, this);
    }
    if (delivery.key !== undefined && slot.busy.has(delivery.key)) return this.settlements.holdBack(delivery);
    if (!this.deferrals.takes(delivery)) this.lanes.add(delivery);
  }
  laneKey(event: StoredEvent): string | undefined {
    if (this.spec.order === "log") return "";
    return this.spec.order === "none" ? undefined : event.key;
  }
  /** This slot was read further. Where nothing matched, progress may wait longer than a checkpoint. `nowMs`: monotonic. */
  passed(slot: SlotWork, nowMs: number): void {
    if (nowMs - slot.passedMs < 10 * limits.checkpointMs) return;
    slot.passedMs = nowMs;
    this.world.settler.touch(slot, this);
  }

  // ── deliveries go out ──
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.room > 0) {
      const delivery = this.#batches?.isFull === true ? undefined : this.lanes.next();
      if (delivery === undefined) {
        if (this.#batches?.begin(this.lanes.waiting) === true) continue;
        break;
      }
      if (this.standing.parks(delivery)) continue;
      if (delivery.row === undefined && delivery.event.position > delivery.slot.claim) {
        this.lanes.putBack(delivery);
        this.#stallForClaim(delivery);
        this.#batches?.begin(this.lanes.waiting);
        break;
      }
      this.outage.started(delivery);
      this.allowances.started(delivery);
      this.#begin(delivery);
    }
    if (this.outage.isOn) this.#batches?.begin(Number.POSITIVE_INFINITY);
    this.#pumping = false;
    this.allowances.pumped();
    if (this.lanes.stuck) this.outage.unused();
    if (this.lanes.waiting < this.#readAhead / 2) this.reader.roomAgain();
    this.deferrals.look();
  }
  #begin(delivery: Delivery): void {
    const { slot, event } = delivery;
    if (delivery.foretold !== undefined) {
      const { outcome, startedMs } = delivery.foretold;
      return this.settlements.settle(delivery, outcome, undefined, startedMs);
    }
    if (delivery.row !== undefined) return this.#beginRow(delivery);
    if (event.position <= slot.suspect) {
      return this.world.suspects.take(delivery, () => this.settlements.beginSuspect(delivery));
    }
    if (this.#batches !== undefined) return this.#batches.add(delivery);
    slot.hand(delivery);
    this.#claims.started(slot, event.position);
    this.#take();
    this.run(delivery);
  }
  /** A place in flight. */
  #take(): void {
    this.#inFlight++;
    this.#places++;
  }
  /** Of one lane each. A batch takes one place. */
  began(heads: readonly Delivery[], members: readonly Delivery[]): void {
    for (const { slot, event } of members) this.#claims.started(slot, event.position);
    for (const head of heads) head.slot.hand(head);
    this.#inFlight += heads.length;
    this.#places++;
  }
  #tellForetold(lane: Lane | undefined): void {
    while (lane?.current === undefined && lane?.waiting?.first?.foretold !== undefined)
      this.#begin(this.lanes.take(lane) as Delivery);
  }
  #beginRow(delivery: Delivery): void {
    const begin = (): void => {
      this.#take();
      this.due.begin(delivery);
    };
    if (delivery.crashes === 0 && delivery.event.position > delivery.slot.suspectedTo) begin();
    else this.world.suspects.take(delivery, begin, delivery.crashes > 0);
  }
  /** A suspect whose row stands takes its place in flight. */
  runSuspect(delivery: Delivery): void {
    this.#take();
    this.run(delivery);
  }
  /** A place in flight that was taken is not used. */
  release(delivery: Delivery): void {
    this.#inFlight--;
    this.#places--;
    this.world.suspects.done(delivery);
    this.advance(delivery);
  }
  /** Runs the handler. The delivery is covered by a claim or by its running row; its place in flight is taken. */
  run(delivery: Delivery): void {
    if (this.#batches !== undefined) return this.#batches.run([delivery], [delivery]);
    const attempt = new Attempt(delivery, this.world.env.monotonic());
    this.attempts.add(attempt);
    handle(this.#desk, attempt);
  }
  #ended(attempt: Attempt): void {
    if (!this.attempts.remove(attempt)) return;
    this.allowances.ended(attempt.delivery);
    this.#inFlight--;
    if (attempt.party === undefined || --attempt.party.left === 0) this.#places--;
    if (attempt.givenUp) this.#givenUp--;
  }
  /** It ends without an outcome. Whether it was still to be told. */
  #without(attempt: Attempt): boolean {
    this.#ended(attempt);
    if (attempt.told) return false;
    attempt.told = true;
    attempt.context?.end("LEASE_LOST");
    return true;
  }
  /** Its own transaction met a fence: another holds this delivery now. */
  #lost(attempt: Attempt): void {
    if (this.#without(attempt)) this.settlements.lostAttempt(attempt.delivery);
    this.pump();
  }
  #finished(attempt: Attempt, outcome: Outcome, effects: Effects | undefined): void {
    this.#ended(attempt);
    if (!attempt.told) this.#tell(attempt, outcome, effects);
    this.pump();
  }
  #tell(attempt: Attempt, outcome: Outcome, effects: Effects | undefined): void {
    attempt.told = true;
    const over = outcome.kind === "suspended" ? "SUSPENDED" : "SETTLED";
    attempt.context?.end(attempt.timedOut ? "HANDLER_TIMEOUT" : over);
    const { delivery } = attempt;
    delivery.slot.unhand(delivery);
    this.settlements.settle(delivery, outcome, effects, attempt.startedMs);
  }
  /** Its run is left waiting: the attempt is over, and its place free. */
  suspend(delivery: Delivery, dueMs: number | undefined): void {
    const attempt = [...this.attempts].find((each) => each.delivery === delivery);
    if (attempt === undefined || attempt.told) return;
    this.#finished(attempt, { kind: "suspended", dueMs, holds: this.spec.onWait === "hold-key" }, undefined);
  }
  /** Resolves when the delivery has a running row. */
  rowOf(delivery: Delivery): Promise<void> {
    return this.settlements.rowOf(delivery);
  }
  /** The delivery is over here: the next of its key may run. */
  advance(delivery: Delivery): void {
    this.outage.notStarted(delivery);
    this.allowances.ended(delivery);
    this.lanes.release(delivery);
    const { slot } = delivery;
    if (slot.leaving && !slot.dropped && slot.atRest) this.world.handBack();
    if (this.lanes.ready) this.pump();
    else if (this.lanes.stuck) this.outage.unused();
  }

  // ── claims ──
  claimFor(slot: SlotWork): number {
    return this.#claims.of(slot);
  }
  #stallForClaim({ slot: wanting, event }: Delivery): void {
    if (this.#claims.stall(wanting, event.position)) return;
    for (const slot of this.slots.values()) if (!slot.leaving) this.world.settler.urge(slot, this);
  }

  // ── records come back ──
  progressed(slot: SlotWork, change: ProgressChange, batch: Batch, result: Recorded): void {
    if (result.status === "lost") {
      this.drop(slot);
      return this.settlements.lost(batch);
    }
    if (result.status === "refused") return this.settlements.refused(slot, batch, result);
    slot.recorded(change);
    if (!this.#claims.granted(slot) && !slot.leaving) this.world.settler.urge(slot, this);
    this.settlements.committed(slot, batch, result);
    if (slot.leaving && slot.atRest) this.world.handBack();
    this.pump();
  }

  // ── time ──
  #abandon(attempt: Attempt): void {
    attempt.givenUp = true;
    this.#givenUp++;
    this.#tell(attempt, timeout(this.spec), undefined);
    const stuck = [...this.attempts].filter((each) => each.told).length;
    if (stuck < this.spec.concurrency) return;
    const message = `${stuck} handlers of ${this.spec.name} ran past their timeout and never returned: the worker stops so that it can be restarted. Make them heed ctx.signal.`;
    this.world.fail(new FactlogError("WORKER_STUCK", message));
  }
  #detach({ delivery }: Attempt): void {
    if (delivery.row === undefined && !delivery.settled && !delivery.slot.dropped) this.settlements.detach(delivery);
  }

  // ── the end ──
  /** Starts nothing more. */
  quiesce(): void {
    this.#stopping = true;
    for (const delivery of this.#batches?.drop() ?? []) this.lanes.release(delivery);
    this.reader.stop();
    this.due.stop();
    this.outage.stop();
    this.deferrals.stop();
  }
  /** Ends what still runs: its results are discarded, and it runs again elsewhere, uncharged. */
  abort(): void {
    this.attempts.stop();
    for (const attempt of this.attempts) {
      attempt.told = true;
      attempt.context?.end("SHUTDOWN");
    }
  }
  /** All slots may go, whatever still runs in them: its results are discarded. */
  surrender(): void {
    for (const { delivery } of this.attempts) delivery.slot.unhand(delivery);
    for (const slot of this.slots.values()) if (!slot.leaving) this.#leave(slot);
  }
}
