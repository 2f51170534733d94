/** A log behind HTTP, with a worker, as `factlog start --http` has it. Says its port; ends when its stdin does. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { httpApi } from "../../src/http/index.ts";
import { defineApp, defineEvent, defineSubscription, NonRetryable, openLog } from "../../src/index.ts";
import { say } from "../say.ts";

const Noted = defineEvent("Noted", { schema: z.unknown() });
const Ordered = defineEvent("Ordered", {
  schema: z.object({ orderId: z.string() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
  group: (order) => order.orderId.slice(0, 1) || "none",
});
const fussy = defineSubscription("fussy", { on: Ordered, from: "beginning" }, (event) => {
  if (event.data.orderId.length % 2 === 1) throw new NonRetryable("odd");
});
const app = defineApp({ name: "fuzzed", events: [Noted], subscriptions: [fussy] });

const quiet = { debug: (): void => {}, info: (): void => {}, warn: (): void => {} };
const logger = {
  ...quiet,
  error: (message: string, fields?: object): void => {
    const { error } = (fields ?? {}) as { readonly error?: unknown };
    say({ surprise: `${message}: ${error instanceof Error ? error.stack : String(error)}` });
  },
};
const log = await openLog(process.argv[2] ?? "memory:", {
  source: app.name,
  logger: { ...quiet, error: () => {} },
});
const api = httpApi(log, app, { logger });
const worker = await log.work(app);
const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, api.node).listen(0, "127.0.0.1");
server.once("listening", () => say({ port: (server.address() as AddressInfo).port }));

process.stdin.resume().once("end", () => {
  void (async () => {
    await api.close();
    server.close();
    server.closeAllConnections();
    await worker.stop();
    const findings = await log.inspect(app);
    say({ unwell: findings.filter((finding) => !finding.ok) });
    await log.close();
  })();
});
