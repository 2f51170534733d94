import assert from "node:assert/strict";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { memory } from "../../src/engines/memory/index.ts";
import type { HandlerContext, Log, OpenApproval, RecordedEvent, Subscription } from "../../src/index.ts";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { Done, eventually, open, Order } from "../runtime/support.ts";
import type { Message, ModelServer } from "../support/model-server.ts";

export { Done, Order };

type Handler = (event: { readonly data: { readonly key: string; readonly n: number } }, ctx: HandlerContext) => unknown;
export const reader = (handler: Handler, options: object = {}): Subscription =>
  defineSubscription(
    "reader",
    { on: Order, emits: [Done], from: "beginning", retry: { backoff: [1], attemptsMax: 4 }, ...options },
    handler,
  );
export const appOf = (...subscriptions: Subscription[]) =>
  defineApp({ name: "t", events: [Order, Done], subscriptions });

export const lastOf = (messages: readonly Message[]): Message => messages.at(-1)!;

/** The server's own count: so many contents, each asked for once. */
export function usedOnce(server: ModelServer, contents: number): void {
  assert.deepEqual(
    [...server.asked.values()],
    Array.from({ length: contents }, () => 1),
  );
}

/** A log with a worker at it. */
export class Running implements AsyncDisposable {
  readonly log: Log;
  readonly #stop: () => Promise<void>;
  constructor(log: Log, stop: () => Promise<void>) {
    this.log = log;
    this.#stop = stop;
  }
  async publish(...keys: string[]): Promise<void> {
    for (const key of keys) await this.log.publish(Order({ key, n: 1 }));
  }
  /** So many deliveries are done, and none died. */
  async closed(count: number): Promise<void> {
    await eventually(`${count} closed`, async () => (await this.log.operator.status())[0]?.closed === count);
    assert.deepEqual(await Array.fromAsync(this.log.operator.deadLetters()), []);
  }
  async died(): Promise<string> {
    const letters = async () => Array.fromAsync(this.log.operator.deadLetters());
    await eventually("a dead letter", async () => (await letters()).length > 0);
    return (await letters())[0]?.attempts.at(-1)?.error ?? "";
  }
  /** The one question that is open now, and whose name differs from that of the one before. */
  async asked(step: RegExp, before?: OpenApproval): Promise<OpenApproval> {
    const open = async () =>
      (await Array.fromAsync(this.log.operator.approvals())).find(
        (each) => step.test(each.step) && each.id !== before?.id,
      );
    await eventually(`an approval ${step.source}`, async () => (await open()) !== undefined);
    return (await open())!;
  }
  async answer({ id }: OpenApproval, approved: boolean, comment?: string): Promise<void> {
    await this.log.operator.answer(id, { approved, by: "ada", ...(comment === undefined ? {} : { comment }) });
  }
  events(): Promise<readonly RecordedEvent[]> {
    return Array.fromAsync(this.log.read());
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.log.close();
  }
}

export async function running(subscription: Subscription, store: EngineHandle = memory()): Promise<Running> {
  const log = await open(store);
  const worker = await log.work(appOf(subscription));
  return new Running(log, async () => worker.stop({ grace: 0 }));
}
