import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import type { Logger } from "../app/context.ts";
import { FactlogError } from "../errors.ts";
import { expositionType } from "../observe/exposition.ts";

/** `/metrics` for Prometheus, on loopback alone: whoever should see it from outside stands behind a proxy. */
export class MetricsServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #read: () => Promise<string>;
  readonly #logger: Logger;
  /** Scrapes that come while the store is being looked at share the look. */
  #reading: Promise<string> | undefined;

  constructor(read: () => Promise<string>, logger: Logger) {
    this.#read = read;
    this.#logger = logger;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.headersTimeout = 10_000;
    this.#server.requestTimeout = 10_000;
    this.#server.maxConnections = 32;
  }
  /** Rejects where the port is taken. `port` 0: a free one. Answers the address. */
  async listen(port: number): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    try {
      await once(this.#server, "listening");
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FactlogError("INVALID_OPTION", `--metrics ${port}: ${why}. Give a free port, or 0 for any.`, { cause });
    }
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/metrics`;
  }
  async #answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("cache-control", "no-store").setHeader("x-content-type-options", "nosniff");
    if (url?.split("?")[0] !== "/metrics") return end(response, 404, "try /metrics\n");
    if (method !== "GET" && method !== "HEAD") return end(response.setHeader("allow", "GET, HEAD"), 405, "GET it\n");
    try {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
      const text = await this.#reading;
      end(response.setHeader("content-type", expositionType), 200, text);
    } catch (error) {
      // No answer is better than an old one: a scraper sees that the target is down.
      this.#logger.error("the store cannot be measured", { error: String(error) });
      end(response, 503, "the store cannot be measured now: see the worker's log\n");
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  if (!response.hasHeader("content-type")) response.setHeader("content-type", "text/plain; charset=utf-8");
  response.writeHead(status).end(text);
}
