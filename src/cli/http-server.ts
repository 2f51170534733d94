import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { App } from "../app/app.ts";
import type { Logger } from "../app/context.ts";
import { FactlogError } from "../errors.ts";
import { isLoopbackAddress } from "../http/access.ts";
import { httpApi } from "../http/index.ts";
import { limits } from "../limits.ts";
import { openLog } from "../runtime/log.ts";

export interface HttpServer {
  /** As in http://127.0.0.1:8080/v1 */
  readonly url: string;
  /** Ends the streams, answers what is being asked, and closes. */
  close(): Promise<void>;
}

const loopback = "127.0.0.1";
export interface ServeOptions {
  readonly port: number;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  readonly logRequests?: boolean;
}
/** What is being asked may be answered within this long, once it is to close. */
const graceMs = 5_000;

/**
 * Serves an app's log over HTTP: to this machine, or to others by access tokens. Throws INVALID_OPTION where the port cannot be had, and
 * where others could call a log without tokens.
 */
export async function serveHttp(app: App, address: string, options: ServeOptions, logger: Logger): Promise<HttpServer> {
  const { port, host = loopback, logRequests = false } = options;
  const log = await openLog(address, { source: app.name, logger });
  const local = isLoopbackAddress(host) || host === "localhost";
  if (!local && !(await log.tokens.any())) {
    await log.close();
    throw new FactlogError(
      "INVALID_OPTION",
      `--host ${host} lets others call, and there is no access token: make one with \`factlog token create\` first.`,
    );
  }
  const api = httpApi(log, app, { logger, logRequests, tokens: local ? "localhost" : "required" });
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
    api.node,
  );
  try {
    await listen(server, port, host);
  } catch (error) {
    await log.close();
    throw error;
  }
  const { port: actual } = server.address() as AddressInfo;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${actual}/v1`,
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

async function listen(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "EADDRINUSE" ? "another process has it" : code === "EACCES" ? "it needs more rights" : String(cause);
    throw new FactlogError("INVALID_OPTION", `port ${port} of ${host} cannot be had: ${why}. Give another --http.`, {
      cause,
      details: { port },
    });
  }
}
