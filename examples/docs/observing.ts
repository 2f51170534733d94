/** docs/operating/alerts.md and docs/operating/metrics.md: what a log owes, and who is told of it. */
import { createServer } from "node:http";
import { defineApp, defineEvent, defineSubscription, NonRetryable, openLog } from "factlog";
import { instrument } from "factlog/otel";
import { z } from "zod";

const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
});
const warehouse = defineSubscription("warehouse", { on: OrderPlaced, from: "beginning" }, (event) => {
  if (event.data.orderId === "o-2") throw new NonRetryable("no such shelf");
});
const secret = process.env["ALERTS_SECRET"] ?? `whsec_${Buffer.alloc(24, 1).toString("base64")}`;

// #region alerts
const app = defineApp({
  name: "shop",
  subscriptions: [warehouse],
  alerts: [
    { name: "dead letters", when: "dead" },
    { name: "warehouse is late", when: "lag", subscription: "warehouse", above: "5m", for: "1m" },
    { name: "failing", when: "error-rate", above: 0.2, for: "2m", to: ["log", "stderr"] },
    {
      name: "stands still",
      when: "stalled",
      for: "5m",
      to: ["log", { webhook: "https://alerts.example.com/factlog", secret }],
    },
  ],
});
// #endregion

const logger = { debug() {}, info() {}, warn: (message: string) => console.log("warn:", message), error() {} };
const log = await openLog("memory:", { source: "shop", logger });

// #region otel
// After the OpenTelemetry SDK was set up: the providers are taken here.
using _telemetry = instrument({ logs: [log] });
// #endregion

for (const orderId of ["o-1", "o-2"]) await log.publish(OrderPlaced({ orderId }));
await log.drain(app);

// #region metrics
const server = createServer((_request, response) => {
  log.metrics().then(
    (text) => response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8").end(text),
    () => response.writeHead(503).end(),
  );
});
// #endregion
await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address() as { port: number };
const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
console.log(text.split("\n").find((line) => line.startsWith("factlog_subscription_dead{")));
server.close();
server.closeAllConnections();

// #region trace
const trace = await log.operator.trace("o-2");
for (const { event, deliveries } of trace.roots) {
  for (const { subscription, state, failure } of deliveries) {
    console.log(event.type, event.id, "->", subscription, state, failure?.error.split("\n")[0]);
  }
}
// #endregion
await log.close();

// Output:
// warn: dead letters: warehouse has 1 dead letter (more than 0); see docs/operating/alerts/dead.md
// factlog_subscription_dead{subscription="warehouse"} 1
// OrderPlaced o-2 -> warehouse dead NonRetryable: no such shelf
