/** The shop at work on its input: all of it in one process, or each part in a process of its own. */
import { setTimeout as wait } from "node:timers/promises";
import shop from "./app.ts";
import { OrderPlaced, OrderShipped } from "./events.ts";
import type { Input } from "./input.ts";
import { n, type Narrator } from "./narrator.ts";
import { PublisherProcess } from "./publisher-process.ts";
import type { Stage } from "./stage.ts";
import { type Placed, placeOrders } from "./web.ts";

/** Resolves when every order is placed, paid, reserved, shipped, and announced to its customer. The workers stay. */
export async function runShop(stage: Stage, input: Input, narrator: Narrator, processes: boolean): Promise<void> {
  const { path, purchases } = input;
  const stopWatching = stage.receiver.watch((counts) => narrator.progress(counts, purchases.length));
  const placed = processes ? await inProcesses(stage, path, purchases.length) : await inThisProcess(stage, input);
  narrator.say(`${n(placed.stored)} orders are placed, each durable from the moment its customer was told so.`);
  await stage.settled(shop.subscriptionNames);
  stopWatching();
  narrator.say("every order is paid, reserved and shipped, and its customer has a letter.");
}

async function inThisProcess(stage: Stage, input: Input): Promise<Placed> {
  await stage.work(shop);
  return placeOrders(stage.log, input.purchases, stage.signal);
}

function inProcesses(stage: Stage, path: string, count: number): Promise<Placed> {
  for (const name of shop.subscriptionNames) stage.crew.start(name, "worker.ts", [name]);
  return new PublisherProcess(stage.crew, "web", path, stage.signal).place({ from: 0, to: count });
}

/** A new order a second, each followed to its end, until the stage's signal rejects it. */
export async function keepSelling(stage: Stage, narrator: Narrator): Promise<never> {
  for (let i = 1; ; i++) {
    await wait(1_000, undefined, { signal: stage.signal });
    const startedMs = performance.now();
    const order = { orderId: `visitor-${i}`, customerId: "visitor", date: today(), cds: 1, cents: 1_199 };
    const receipt = await stage.log.publish(OrderPlaced(order));
    const durableMs = performance.now() - startedMs;
    await stage.log.until(receipt, OrderShipped, { timeout: "30s", signal: stage.signal });
    const shippedMs = performance.now() - startedMs;
    narrator.say(`${order.orderId} placed in ${durableMs.toFixed(1)} ms, shipped after ${shippedMs.toFixed(1)} ms`);
  }
}

const today = (): string => new Date().toISOString().slice(0, 10);
