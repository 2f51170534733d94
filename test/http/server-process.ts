/** A log behind HTTP in a process of its own. Says its origin; ends when its stdin does. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { defineApp, openLog } from "factlog";
import { httpApi } from "factlog/http";

const log = await openLog(process.argv[2] ?? "", { source: "shop" });
const api = httpApi(log, defineApp({ name: "shop", subscriptions: [] }));
const server = createServer(api.node).listen(0, "127.0.0.1");
server.once("listening", () => process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`));
process.stdin.resume().once("end", () => {
  void (async () => {
    server.close();
    await api.close();
    server.closeAllConnections();
    await log.close();
  })();
});
