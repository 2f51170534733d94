import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { App } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import { FactlogError } from "../errors.ts";
import { httpApi } from "../http/index.ts";
import { limits } from "../limits.ts";
import { openLog } from "../runtime/log.ts";

export interface HttpServer {
  /** As in http://127.0.0.1:8080/v1 */
  readonly url: string;
  /** Ends the streams, answers what is being asked, and closes. */
  close(): Promise<void>;
}

const host = "127.0.0.1";
/** What is being asked may be answered within this long, once it is to close. */
const graceMs = 5_000;

/** Serves an app's log over HTTP to this machine. Throws INVALID_OPTION where the port cannot be had. */
export async function serveHttp(app: App, address: string, port: number, logger: Logger): Promise<HttpServer> {
  const log = await openLog(address, { source: app.name, logger });
  const api = httpApi(log, app, { logger });
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
    api.node,
  );
  try {
    await listen(server, port);
  } catch (error) {
    await log.close();
    throw error;
  }
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${actual}/v1`,
    async close() {
      const closed = once(server, "close");
      server.close();
      await api.close();
      const late = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(late);
      await log.close();
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "EADDRINUSE" ? "another process has it" : code === "EACCES" ? "it needs more rights" : String(cause);
    throw new FactlogError("INVALID_OPTION", `port ${port} cannot be had: ${why}. Give another --http.`, {
      cause,
      details: { port },
    });
  }
}
