import type { DeliveryRow, RowChange } from "../engine/ledger.ts";
import type { Timer } from "../env.ts";
import { mayPass } from "../errors.ts";
import type { StoredEvent } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import type { Runner } from "./runner.ts";
import { type Delivery, groupOf, refOf, type SlotWork } from "./slot-work.ts";

/** Finds delivery rows that are due in the slots held here, and puts them in front of their lanes. */
export class DueRows {
  readonly #runner: Runner;
  readonly #active = new Map<string, Delivery>();
  /** For the next row that is known to become due. */
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  /** For what nobody announced: another process redrove a row, or left one behind. */
  #poll: Timer | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(runner: Runner) {
    this.#runner = runner;
  }
  /** Rows that were found and are not settled yet. */
  get active(): number {
    return this.#active.size;
  }
  start(): void {
    this.at(0);
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#poll?.cancel();
  }
  /** A row is due at this time (wall clock). */
  at(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = dueMs;
    this.#timer = this.#runner.world.env.after(dueMs - this.#runner.world.env.now(), () => {
      this.#timerMs = Number.POSITIVE_INFINITY;
      this.look();
    });
  }
  /** Looks soon; several calls are one look. */
  look(): void {
    void this.lookNow().catch((error: unknown) => {
      // A busy store is asked again with the next poll.
      if (!mayPass(error)) this.#runner.world.fail(error);
    });
  }
  /** Resolves when a look that began after this call is through. */
  async lookNow(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = (async () => {
      do {
        this.#again = false;
        await this.#look();
      } while (this.#again);
    })().finally(() => {
      this.#looking = undefined;
      this.#pollLater();
    });
    return this.#looking;
  }
  /** From the end of a look on, however it ended: a poll that came due meanwhile was taken for part of it. */
  #pollLater(): void {
    this.#poll?.cancel();
    if (!this.#stopped)
      this.#poll = this.#runner.world.env.after(limits.duePollMs, () => this.look(), { upkeep: true });
  }

  async #look(): Promise<void> {
    const { world, slots } = this.#runner;
    if (this.#stopped) return;
    const nowMs = world.env.now();
    const mine = [...slots.values()].filter((slot) => !slot.leaving);
    if (this.#runner.halted || mine.length === 0 || this.#active.size > limits.duePageRows) return;
    const leases = mine.map((slot) => slot.lease);
    const limit = limits.duePageRows + this.#active.size;
    const rows = await world.ledger.deliveries({ kind: "due", slots: leases, dueMs: nowMs, limit });
    const due = rows.filter((row) => !this.#active.has(keyOf(row.slot, row.position)));
    if (due.length > 0) return this.#enqueue(due, await this.#events(due));
    if (rows.length > 0) return;
    const [next] = await world.ledger.deliveries({
      kind: "due",
      slots: leases,
      dueMs: Number.MAX_SAFE_INTEGER,
      limit: 1,
    });
    if (next?.dueMs !== undefined) this.at(next.dueMs);
  }
  async #events(rows: readonly DeliveryRow[]): Promise<readonly (StoredEvent | undefined)[]> {
    const refs = rows
      .filter((row) => row.event === undefined)
      .map((row) => ({ slot: row.eventSlot, position: row.position }));
    const fetched = refs.length === 0 ? [] : await this.#runner.world.log.fetch(refs);
    let at = 0;
    return rows.map((row) => row.event ?? fetched[at++]);
  }
  /** Rows that were found otherwise; how many of them were not known. */
  async bring(rows: readonly DeliveryRow[]): Promise<number> {
    const fresh = rows.filter((row) => !this.#active.has(keyOf(row.slot, row.position)));
    if (fresh.length > 0) this.#enqueue(fresh, await this.#events(fresh));
    return fresh.length;
  }
  #enqueue(rows: readonly DeliveryRow[], events: readonly (StoredEvent | undefined)[]): void {
    for (const [i, row] of rows.entries()) {
      const slot = this.#runner.slots.get(row.slot);
      if (slot === undefined || slot.leaving || this.#stopped || this.#active.has(keyOf(row.slot, row.position)))
        continue;
      const event = events[i] ?? vanished(row);
      const delivery: Delivery = {
        slot,
        event,
        key: this.#runner.laneKey(event),
        lane: undefined,
        settled: true,
        row: { token: row.rowToken, started: false },
        failures: row.failures,
        crashes: row.crashes,
        scope: row.scope,
        redriven: row.redriven,
        frozen: row.failure?.class === frozenClass,
        isDeferred: row.state === "deferred",
      };
      this.#active.set(keyOf(row.slot, row.position), delivery);
      if (this.#runner.deferrals.isRowBeyond(delivery)) this.defer(delivery);
      else this.#runner.lanes.add(delivery);
    }
    this.#runner.pump();
  }

  /** The row says running before the handler runs. */
  begin(delivery: Delivery): void {
    const { row, slot, event } = delivery;
    if (row === undefined) return;
    const holds = delivery.key !== undefined;
    const change = { kind: "start", lease: slot.lease, position: event.position, rowToken: row.token, holds } as const;
    this.#runner.world.settler.submit(change, (result) => {
      if (result.status !== "ok") {
        this.#rest(delivery);
        return this.#runner.release(delivery);
      }
      delivery.row = { token: row.token + 1, started: true };
      this.#runner.run(delivery);
    });
  }
  /** Its key is paused: it waits on, uncharged, in front of what is held behind it. */
  park(delivery: Delivery): void {
    const dueMs = this.#runner.world.env.now() + limits.pauseLookMs;
    const { key = "", failures } = delivery;
    this.#putBack(delivery, { state: "ready", dueMs, failures, holds: true }, () => this.parked(key, dueMs));
  }
  /** It waits, uncharged, for the turn of its group. */
  defer(delivery: Delivery): void {
    const group = groupOf(delivery);
    this.#putBack(delivery, { state: "deferred", group, failures: delivery.failures }, () => {
      this.#runner.deferrals.remember([group]);
      this.#runner.deferrals.look();
    });
  }
  #putBack(delivery: Delivery, to: RowChange["to"], then: () => void): void {
    const { row, slot, event } = delivery;
    if (row === undefined) return;
    const { settler } = this.#runner.world;
    const holds = delivery.key !== undefined;
    const start = { kind: "start", lease: slot.lease, position: event.position, rowToken: row.token, holds } as const;
    settler.submit(start, (started) => {
      if (started.status !== "ok") {
        this.#rest(delivery);
        return this.#runner.advance(delivery);
      }
      // It does not begin, and may be found again.
      delivery.row = { token: row.token + 1, started: true };
      settler.submit({ kind: "row", delivery: refOf(delivery), rowToken: row.token + 1, to }, () => {
        this.forget(delivery);
        this.#runner.advance(delivery);
        then();
      });
    });
  }
  /** A row of a paused key stands, due at `dueMs`. */
  parked(key: string, dueMs: number): void {
    this.at(dueMs);
    if (!this.#runner.standing.isPaused(key)) this.unpark([key]);
  }
  /** These keys (undefined: any) are paused no longer: their rows run now, not when they would be looked at again. */
  unpark(keys: readonly (string | undefined)[]): void {
    void this.#unpark(keys).catch((error: unknown) => {
      // In a busy store they are found when they are due.
      if (!mayPass(error)) this.#runner.world.fail(error);
    });
  }
  async #unpark(keys: readonly (string | undefined)[]): Promise<void> {
    const { world, enrolment, standing } = this.#runner;
    const nowMs = world.env.now();
    for (const key of keys) {
      if (this.#stopped) return;
      const rows = (
        await world.ledger.deliveries({
          kind: "state",
          state: "ready",
          sub: enrolment.sub,
          ...(key === undefined ? {} : { key }),
          limit: limits.duePageRows,
        })
      ).filter((row) => !standing.isPaused(row.key) && row.crashes === 0 && (row.dueMs ?? 0) > nowMs);
      this.#enqueue(rows, await this.#events(rows));
    }
  }
  /** Its row at rest gets this many failures: what it was charged for was no fault of its own. */
  uncharge(delivery: Delivery, row: DeliveryRow, failures: number): void {
    const { slot, event } = delivery;
    if (slot.dropped || row.dueMs === undefined) return;
    const { settler } = this.#runner.world;
    const holds = delivery.key !== undefined;
    const start = {
      kind: "start",
      lease: slot.lease,
      position: event.position,
      rowToken: row.rowToken,
      holds,
    } as const;
    const failure = row.failure === undefined ? {} : { failure: row.failure };
    const to = { state: "retrying", dueMs: row.dueMs, failures, ...failure } as const;
    settler.submit(start, (started) => {
      if (started.status !== "ok") return;
      const ref = refOf(delivery);
      settler.submit({ kind: "row", delivery: ref, rowToken: row.rowToken + 1, to }, () => this.at(to.dueMs));
    });
  }
  /** What it depends on is there again: rows that wait for that run now. */
  thaw(): void {
    void this.#thaw().catch((error: unknown) => {
      if (!mayPass(error)) this.#runner.world.fail(error);
    });
  }
  async #thaw(): Promise<void> {
    const { world, enrolment } = this.#runner;
    if (this.#stopped) return;
    const { sub } = enrolment;
    const page = await world.ledger.deliveries({ kind: "state", state: "retrying", sub, limit: limits.duePageRows });
    const rows = page.filter(({ failure }) => failure?.class === frozenClass);
    this.#enqueue(rows, await this.#events(rows));
  }
  /** It may not start now: another of its key runs elsewhere, or it has moved on. Found again, but not at once. */
  #rest(delivery: Delivery): void {
    this.#runner.world.env.after(limits.duePollMs, () => this.forget(delivery), { upkeep: true });
  }
  forget(delivery: Delivery): void {
    const key = keyOf(delivery.slot.lease.slot, delivery.event.position);
    if (this.#active.get(key) !== delivery) return;
    this.#active.delete(key);
    if (delivery.isDeferred === true && delivery.row?.started !== true)
      this.#runner.deferrals.remember([groupOf(delivery)]);
    if (this.#active.size === 0) this.look();
  }
  forgetSlot(slot: SlotWork): void {
    for (const delivery of this.#active.values()) {
      if (delivery.slot === slot && delivery.row?.started !== true) this.forget(delivery);
    }
  }
}

/** Of a row that waits for the end of an outage. */
const frozenClass = "unavailable";
const keyOf = (slot: number, position: number): string => `${slot}.${position}`;

/** Retention took the event: what its row remembers, with a checksum that cannot be right, so that it is set aside. */
function vanished(row: DeliveryRow): StoredEvent {
  return {
    source: "",
    id: row.eventId,
    type: "",
    key: row.key === "" ? undefined : row.key,
    group: undefined,
    timeMs: row.atMs,
    attributes: "",
    data: "",
    version: 0,
    schema: "",
    plain: false,
    crc: -1,
    slot: row.eventSlot,
    position: row.position,
    recordedMs: row.atMs,
  };
}
