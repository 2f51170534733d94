import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { Webhook } from "standardwebhooks";

export const secret: string = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

export interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly type: string; readonly data: Readonly<Record<string, unknown>> };
}

/** A real HTTP server on loopback: keeps what it got if its signature is right, and answers as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  readonly url: string;
  readonly #answer: (response: ServerResponse, count: number) => void;

  private constructor(port: number, answer: (response: ServerResponse, count: number) => void) {
    this.url = `http://127.0.0.1:${port}/alerts`;
    this.#answer = answer;
  }
  static async listen(t: TestContext, answer: (response: ServerResponse, count: number) => void): Promise<Receiver> {
    const server = createServer((request, response) => void receiver.#receive(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const receiver: Receiver = new Receiver((server.address() as AddressInfo).port, answer);
    return receiver;
  }
  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const headers = request.headers as Record<string, string>;
    const body = new Webhook(secret).verify(Buffer.concat(chunks), headers) as Received["body"];
    this.received.push({ id: String(headers["webhook-id"]), headers: request.headers, body });
    this.#answer(response, this.received.length);
  }
}
