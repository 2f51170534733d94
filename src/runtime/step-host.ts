import type { StepChange, StepRecord } from "../engine/journal.ts";
import type { DeliveryRef } from "../engine/ledger.ts";
import type { Register } from "../engine/register.ts";
import type { Env } from "../env.ts";
import { FactlogError } from "../errors.ts";
import { decodeEvent } from "../event/decode.ts";
import { type AnyEventType, definitionOf, type RecordedEvent } from "../event/define.ts";
import type { PositionNumber } from "../event/stored-event.ts";
import { limits } from "../limits.ts";
import type { DeliveryContext } from "./context.ts";
import type { Runner } from "./runner.ts";
import type { Delivery } from "./slot-work.ts";
import type { StepHost } from "./steps.ts";
import type { WaitHost } from "./waits.ts";

/** What the steps and waits of one attempt ask of its runner. */
export class AttemptStepHost implements StepHost, WaitHost {
  readonly env: Env;
  readonly subscription: string;
  readonly #runner: Runner;
  readonly #delivery: Delivery;
  readonly #context: DeliveryContext;
  /** Times of records ascend, however fast they come: a redrive from a step forgets what came later. */
  #lastMs = 0;

  constructor(runner: Runner, delivery: Delivery, context: DeliveryContext) {
    this.env = runner.world.env;
    this.subscription = runner.spec.name;
    this.#runner = runner;
    this.#delivery = delivery;
    this.#context = context;
  }
  get signal(): AbortSignal {
    return this.#context.signal;
  }
  get register(): Register {
    return this.#runner.world.ledger;
  }
  get position(): PositionNumber {
    return this.#delivery.event.position;
  }
  idempotencyKey(name: string): string {
    return this.#context.idempotencyKey(name);
  }

  async load(): Promise<readonly StepRecord[]> {
    const fresh = this.#delivery.row === undefined;
    await this.#runner.rowOf(this.#delivery);
    // What has its first row in this attempt has no steps.
    if (fresh && this.#delivery.failures === 0 && this.#delivery.crashes === 0) return [];
    const steps = await this.#runner.world.ledger.steps(this.#ref(), this.#delivery.scope);
    for (const { atMs } of steps) this.#lastMs = Math.max(this.#lastMs, atMs);
    return steps;
  }
  value(name: string): Promise<string | undefined> {
    return this.#runner.world.ledger.stepValue(this.#ref(), this.#delivery.scope, name);
  }
  record(name: string, to: StepChange["to"]): Promise<string | undefined> {
    const { settler, env } = this.#runner.world;
    const rowToken = this.#delivery.row?.token ?? 0;
    this.#lastMs = Math.max(env.now(), this.#lastMs + 1);
    const change = { kind: "step", delivery: this.#ref(), rowToken, name, atMs: this.#lastMs, to } as const;
    return new Promise((resolve, reject) => {
      settler.submit(change, (result) => {
        if (result.status === "ok") return resolve(result.stood);
        reject(leaseLost(this.subscription));
      });
    });
  }
  suspend(dueMs: number | undefined): void {
    this.#runner.suspend(this.#delivery, dueMs);
  }

  requireOrder(): void {
    if (this.#runner.world.log.capabilities.totalOrder) return;
    throw new FactlogError(
      "NOT_SUPPORTED",
      `${this.subscription}: waitFor needs a log with one order: subscribe to the awaited facts, and keep a state.`,
    );
  }
  async scan(types: readonly string[], key: string, after: PositionNumber): ReturnType<WaitHost["scan"]> {
    const { log } = this.#runner.world;
    const wanted = new Set(types);
    const positions: PositionNumber[] = [];
    for (let from = after; ;) {
      const places = new Map(Array.from({ length: log.capabilities.slots }, (_, slot) => [slot, from]));
      const page = await log.read({ after: places, types: wanted, limit: limits.pageEvents, scanMax: limits.scanMax });
      for (const event of page.events) if (event.key === key) positions.push(event.position);
      const scannedTo = Math.min(...page.scannedTo.values());
      if (page.atHead || positions.length >= limits.foundMax) return { positions, scannedTo };
      from = scannedTo;
    }
  }
  async decode(
    types: readonly AnyEventType[],
    positions: readonly PositionNumber[],
  ): Promise<readonly RecordedEvent[]> {
    const { log } = this.#runner.world;
    const definitions = new Map(types.map((type) => [type.type, definitionOf(type)]));
    const events: RecordedEvent[] = [];
    for (const position of positions) {
      const stored = await this.#fetch(position);
      const definition = stored === undefined ? undefined : definitions.get(stored.type);
      if (stored !== undefined && definition !== undefined) events.push(decodeEvent(stored, definition, log.epoch));
    }
    return events;
  }
  /** The log has one order: a position says enough, whatever the slot. */
  async #fetch(position: PositionNumber) {
    const { log } = this.#runner.world;
    const slots = Array.from({ length: log.capabilities.slots }, (_, slot) => slot);
    const after = new Map(slots.map((slot) => [slot, position - 1]));
    const [event] = (await log.read({ after, limit: 1, scanMax: 1 })).events;
    return event?.position === position ? event : undefined;
  }
  awaiting(): void {
    this.#runner.world.awaiting();
  }

  #ref(): DeliveryRef {
    const { sub, gen, slot } = this.#delivery.slot.lease;
    return { sub, gen, slot, position: this.#delivery.event.position };
  }
}

export function leaseLost(subscription: string): FactlogError {
  return new FactlogError(
    "LEASE_LOST",
    `${subscription} no longer holds this delivery: nothing of the step was recorded.`,
  );
}
