import { limits } from "../limits.ts";
import { Fifo } from "./fifo.ts";
import { type Delivery, groupOf, type Lane, laneOf } from "./slot-work.ts";

/** The lanes of one group that may go on, in turn. */
interface Queue {
  readonly group: string;
  readonly ready: Fifo<Lane>;
  /** Deliveries of the group that wait to be started. */
  waiting: number;
  /** It has its place in the round, or it may not start anything. */
  isListed: boolean;
  isBlocked: boolean;
}

/**
 * What was read and has not been started: deliveries in their lanes, and the lanes that may go on. Where groups take turns, one
 * delivery of each after the other; else all are one group, and in turn.
 */
export class Lanes {
  readonly #mayStart: ((group: string) => boolean) | undefined;
  readonly #queues = new Map<string, Queue>();
  /** Of all, where groups take no turns. */
  readonly #only: Queue | undefined;
  readonly #round = new Fifo<Queue>();
  #waiting = 0;
  #ready = 0;
  #blocked = 0;

  /** `mayStart`: groups take turns, and whether one of this group may start now; of one that may not, `unblock` says when. */
  constructor(mayStart?: (group: string) => boolean) {
    this.#mayStart = mayStart;
    if (mayStart === undefined) this.#only = emptyQueue("");
  }

  /** Deliveries that wait to be started. */
  get waiting(): number {
    return this.#waiting;
  }
  waitingOf(group: string): number {
    return this.#queues.get(group)?.waiting ?? 0;
  }
  /** Groups of which deliveries wait. */
  get groups(): number {
    return this.#queues.size;
  }
  /** Whether some lane may go on. */
  get ready(): boolean {
    return this.#round.size > 0;
  }
  /** Nothing may go on, now or when it is allowed to. */
  get stuck(): boolean {
    return this.#round.size === 0 && this.#blocked === 0;
  }
  /** Lanes that could go on, were they allowed to. */
  get readyLanes(): number {
    return this.#ready;
  }
  readyOf(group: string): number {
    return this.#queues.get(group)?.ready.size ?? 0;
  }
  /** Behind what waits in its lane; a delivery that has a row stands in front. */
  add(delivery: Delivery): void {
    const lane = laneOf(delivery.slot, delivery.key);
    delivery.lane = lane;
    lane.waiting ??= new Fifo();
    const idle = lane.current === undefined && lane.waiting.size === 0;
    if (delivery.row === undefined) lane.waiting.push(delivery);
    else lane.waiting.unshift(delivery);
    this.#count(delivery, 1);
    if (idle) this.#push(lane, delivery);
  }
  /** The next delivery that may start; its lane waits for it. What waits in slots that are given up is dropped. */
  next(): Delivery | undefined {
    for (;;) {
      const queue = this.#round.shift();
      if (queue === undefined) return undefined;
      queue.isListed = false;
      if (this.#mayStart?.(queue.group) === false) {
        queue.isBlocked = true;
        this.#blocked++;
        continue;
      }
      const lane = queue.ready.shift();
      if (lane !== undefined) this.#ready--;
      this.#list(queue);
      if (lane === undefined || lane.current !== undefined) continue;
      if (isOver(lane)) this.clear(lane);
      const first = lane.waiting?.first;
      if (first === undefined) continue;
      if (this.#nameOf(first) === queue.group) return this.take(lane);
      // Another has come to stand in front, of another group.
      this.#push(lane, first);
    }
  }
  /** One of this group may start again. */
  unblock(group: string): void {
    const queue = this.#queues.get(group);
    if (queue?.isBlocked !== true) return;
    queue.isBlocked = false;
    this.#blocked--;
    this.#list(queue);
  }
  /** The next one of a lane in which nothing runs; the lane waits for it. */
  take(lane: Lane): Delivery | undefined {
    const delivery = lane.waiting?.shift();
    if (delivery === undefined) return undefined;
    this.#count(delivery, -1);
    lane.current = delivery;
    return delivery;
  }
  /** It may not start yet: it and its lane stand where they stood. */
  putBack(delivery: Delivery): void {
    const { lane } = delivery;
    if (lane === undefined) return;
    lane.current = undefined;
    lane.waiting?.unshift(delivery);
    this.#count(delivery, 1);
    this.#push(lane, delivery, true);
  }
  /** It is over: its lane may go on. */
  release(delivery: Delivery): void {
    const { lane, slot } = delivery;
    if (lane === undefined) return;
    lane.current = undefined;
    const first = lane.waiting?.first;
    if (isOver(lane)) this.clear(lane);
    else if (first !== undefined) this.#push(lane, first);
    else if (lane.key !== undefined && slot.lanes.size > limits.lanesIdleMax) slot.lanes.delete(lane.key);
  }
  /** Takes out what waits in a lane, in order. */
  clear(lane: Lane): readonly Delivery[] {
    const rest = lane.waiting?.drain() ?? [];
    for (const delivery of rest) this.#count(delivery, -1);
    return rest;
  }

  /** The group in whose turn it comes. */
  #nameOf(delivery: Delivery): string {
    return this.#mayStart === undefined ? "" : groupOf(delivery);
  }
  #push(lane: Lane, first: Delivery, inFront = false): void {
    const queue = this.#queueOf(this.#nameOf(first));
    this.#ready++;
    if (!inFront) queue.ready.push(lane);
    else queue.ready.unshift(lane);
    this.#list(queue);
  }
  #list(queue: Queue): void {
    if (queue.isListed || queue.isBlocked) return;
    if (queue.ready.size > 0) {
      queue.isListed = true;
      this.#round.push(queue);
    } else if (queue.waiting === 0) this.#queues.delete(queue.group);
  }
  #count(delivery: Delivery, by: 1 | -1): void {
    this.#waiting += by;
    if (this.#only !== undefined) return;
    const queue = this.#queueOf(this.#nameOf(delivery));
    queue.waiting += by;
    // A queue with nothing in it is not kept: groups come and go.
    if (queue.waiting > 0 || queue.ready.size > 0 || queue.isListed) return;
    if (queue.isBlocked) this.#blocked--;
    this.#queues.delete(queue.group);
  }
  #queueOf(group: string): Queue {
    const known = this.#only ?? this.#queues.get(group);
    if (known !== undefined) return known;
    const made = emptyQueue(group);
    this.#queues.set(group, made);
    return made;
  }
}

const emptyQueue = (group: string): Queue => ({
  group,
  ready: new Fifo(),
  waiting: 0,
  isListed: false,
  isBlocked: false,
});

/** Its slot goes, and nothing of it is to be told any more. */
const isOver = ({ slot, waiting }: Lane): boolean =>
  slot.dropped || (slot.leaving && waiting?.first?.foretold === undefined);
