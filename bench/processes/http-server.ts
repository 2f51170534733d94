/** A log on a file behind HTTP, or a bare server that answers as much without a log. Says its port; ends when it is told to. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { defineApp, openLog } from "factlog";
import { httpApi } from "factlog/http";
import { say } from "../child.ts";
import { OrderPlaced } from "../workload.ts";

const file = process.argv[2]!;
const log = file === "bare" ? undefined : await openLog(`sqlite:${file}`, { source: "bench" });
const api = log && httpApi(log, defineApp({ name: "bench", events: [OrderPlaced], subscriptions: [] }));

/** As many bytes as an answer to one event has. */
const answer = JSON.stringify({ id: "x".repeat(36), correlationId: "x".repeat(36), statusUrl: "x".repeat(200) });
function bare(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    JSON.parse(Buffer.concat(chunks).toString());
    response.writeHead(202, { "content-type": "application/json" }).end(answer);
  });
}
const server = createServer(api?.node ?? bare).listen(0, "127.0.0.1");
server.once("listening", () => say((server.address() as AddressInfo).port));

process.on("message", (message) => {
  if (message === "memory") {
    globalThis.gc?.();
    say(process.memoryUsage.rss() / 2 ** 20);
  } else if (message === "cpu") say(process.cpuUsage());
  else if (message === "end") void end();
});
async function end(): Promise<void> {
  await api?.close();
  server.close();
  server.closeAllConnections();
  await log?.close();
  process.disconnect();
}
