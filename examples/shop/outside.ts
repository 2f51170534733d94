/** What the shop asks of others. They are all played by one process, the receiver: see receiver.ts. */
import { NonRetryable } from "factlog";
import { Agent, request } from "node:http";

export interface Ask {
  /** The other side can tell by it that it was asked this before. */
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
}

export const bank = {
  charge: (body: { orderId: string; cents: number }, ask: Ask): Promise<void> => send("/charge", body, ask),
};
export const depot = {
  reserve: (body: { orderId: string; cds: number }, ask: Ask): Promise<void> => send("/reserve", body, ask),
};
export const carrier = {
  ship: (body: { orderId: string }, ask: Ask): Promise<void> => send("/ship", body, ask),
};
export const post = {
  mail: (body: { orderId: string }, ask: Ask): Promise<void> => send("/mail", body, ask),
};

const agent = new Agent({ keepAlive: true });

/** Resolves when the other side has done it. A refusal (4xx) stays one however often it is tried. */
function send(path: string, body: object, { idempotencyKey, signal }: Ask): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = {
    host: "127.0.0.1",
    port: process.env["RECEIVER_PORT"],
    method: "POST",
    path,
    agent,
    signal,
    headers: { "idempotency-key": idempotencyKey },
  };
  request(options, (response) => {
    const { statusCode: status = 0 } = response;
    let text = "";
    response
      .setEncoding("utf8")
      .on("data", (piece: string) => (text += piece))
      .on("error", reject)
      .on("end", () => {
        if (status < 300) resolve();
        else if (status >= 400 && status < 500) reject(new NonRetryable(`${path}: ${text}`));
        else reject(new Error(`${path} answered ${status}: ${text}`));
      });
  })
    .on("error", reject)
    .end(JSON.stringify({ ...body, pid: process.pid }));
  return promise;
}
