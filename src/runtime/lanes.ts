import { limits } from "../limits.ts";
import { Fifo } from "./fifo.ts";
import { type Delivery, type Lane, laneOf } from "./slot-work.ts";

/** What was read and has not been started: deliveries in their lanes, and the lanes that may go on, in turn. */
export class Lanes {
  readonly #ready = new Fifo<Lane>();
  #waiting = 0;

  /** Deliveries that wait to be started. */
  get waiting(): number {
    return this.#waiting;
  }
  /** Whether some lane may go on. */
  get ready(): boolean {
    return this.#ready.size > 0;
  }
  /** Behind what waits in its lane; a delivery that has a row stands in front. */
  add(delivery: Delivery): void {
    const lane = laneOf(delivery.slot, delivery.key);
    delivery.lane = lane;
    lane.waiting ??= new Fifo();
    const idle = lane.current === undefined && lane.waiting.size === 0;
    if (delivery.row === undefined) lane.waiting.push(delivery);
    else lane.waiting.unshift(delivery);
    this.#waiting++;
    if (idle) this.#ready.push(lane);
  }
  /** The next delivery that may start; its lane waits for it. What waits in slots that are given up is dropped. */
  next(): Delivery | undefined {
    for (;;) {
      const lane = this.#ready.shift();
      if (lane === undefined) return undefined;
      if (lane.current !== undefined) continue;
      if (isOver(lane)) this.clear(lane);
      const delivery = this.take(lane);
      if (delivery !== undefined) return delivery;
    }
  }
  /** The next one of a lane in which nothing runs; the lane waits for it. */
  take(lane: Lane): Delivery | undefined {
    const delivery = lane.waiting?.shift();
    if (delivery === undefined) return undefined;
    this.#waiting--;
    lane.current = delivery;
    return delivery;
  }
  /** It may not start yet: it and its lane stand where they stood. */
  putBack(delivery: Delivery): void {
    const { lane } = delivery;
    if (lane === undefined) return;
    lane.current = undefined;
    lane.waiting?.unshift(delivery);
    this.#waiting++;
    this.#ready.unshift(lane);
  }
  /** It is over: its lane may go on. */
  release(delivery: Delivery): void {
    const { lane, slot } = delivery;
    if (lane === undefined) return;
    lane.current = undefined;
    if (isOver(lane)) this.clear(lane);
    else if (lane.waiting !== undefined && lane.waiting.size > 0) this.#ready.push(lane);
    else if (lane.key !== undefined && slot.lanes.size > limits.lanesIdleMax) slot.lanes.delete(lane.key);
  }
  /** Takes out what waits in a lane, in order. */
  clear(lane: Lane): readonly Delivery[] {
    const rest = lane.waiting?.drain() ?? [];
    this.#waiting -= rest.length;
    return rest;
  }
}

/** Its slot goes, and nothing of it is to be told any more. */
const isOver = ({ slot, waiting }: Lane): boolean =>
  slot.dropped || (slot.leaving && waiting?.first?.foretold === undefined);
