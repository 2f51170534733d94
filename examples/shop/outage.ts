/**
 * An hour in which the depot answers nothing but errors, as a process of its own: the shop's warehouse on a clock that is moved
 * by hand, and a depot that is really asked over HTTP. Tells its parent what became of it.
 */
import { defineApp } from "factlog";
import { testLog } from "factlog/testing";
import { subscribe } from "node:diagnostics_channel";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { warehouse } from "./app.ts";
import { OrderPlaced } from "./events.ts";

/** What an hour without a depot leaves behind. */
export interface Outage {
  readonly orders: number;
  /** Calls of the depot while it was down. Without outage mode: up to eight for each order. */
  readonly calls: number;
  readonly deadFromOutage: number;
  /** Attempts that deliveries had lost when they were done at last. */
  readonly attemptsBurnt: number;
  readonly reserved: number;
  readonly outOfOrder: number;
}

const [orders, customers, stepSeconds] = [180, 60, 5];

async function night(): Promise<Outage> {
  let isDown = true;
  let calls = 0;
  const reserved: string[] = [];
  const depot = createServer((request, response) => {
    void json(request).then((body) => {
      if (isDown) {
        calls++;
        response.writeHead(503).end("the depot is closed");
      } else {
        reserved.push((body as { readonly orderId: string }).orderId);
        response.end();
      }
    });
  });
  await new Promise<void>((resolve) => depot.listen(0, "127.0.0.1", resolve));
  process.env["RECEIVER_PORT"] = String((depot.address() as AddressInfo).port);

  let attemptsBurnt = 0;
  subscribe("factlog:delivery", (message) => {
    const { outcome, attempt } = message as { readonly outcome: string; readonly attempt: number };
    if (outcome === "done") attemptsBurnt += attempt - 1;
  });
  await using log = await testLog(defineApp({ name: "night", subscriptions: [warehouse] }));
  const everySteps = 3600 / stepSeconds / orders;
  for (let step = 0; step < 3600 / stepSeconds; step++) {
    if (step % everySteps === 0) {
      const number = step / everySteps;
      const customerId = `${number % customers}`;
      const order = { customerId, orderId: `${customerId}-${number}`, date: "1997-01-01", cds: 1, cents: 1_000 };
      await log.publish(OrderPlaced(order));
    }
    await log.advance(`${stepSeconds}s`);
  }
  isDown = false;
  for (let step = 0; step < 120 / stepSeconds; step++) await log.advance(`${stepSeconds}s`);
  const deadFromOutage = (await log.deadLetters()).length;
  depot.close();
  depot.closeAllConnections();
  return {
    orders,
    calls,
    deadFromOutage,
    attemptsBurnt,
    reserved: new Set(reserved).size,
    outOfOrder: disorder(reserved),
  };
}

/** Orders that came after a later one of their customer. */
function disorder(reserved: readonly string[]): number {
  const last = new Map<string, number>();
  let found = 0;
  for (const orderId of reserved) {
    const [customer = "", number = ""] = orderId.split("-");
    if (Number(number) < (last.get(customer) ?? -1)) found++;
    last.set(customer, Number(number));
  }
  return found;
}

if (import.meta.main) process.send?.(await night());
