import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { TestContext } from "node:test";
import { defineApp, defineEvent, defineSubscription, type Log, type Logger, NonRetryable, openLog } from "factlog";
import type { HttpApi, HttpOptions, Problem } from "factlog/http";
import { z } from "zod";
import { httpApiWithin } from "../../src/http/api.ts";
import type { StreamBounds } from "../../src/http/streams.ts";

export const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), note: z.unknown().optional() }),
  key: (order) => order.orderId,
  id: (order) => order.orderId,
});
export const StockReserved = defineEvent("StockReserved", { schema: z.object({ orderId: z.string() }) });
/** Anything at all, of a tenant where one is named. */
export const Noted = defineEvent("Noted", { schema: z.unknown() });
export const TenantNoted = defineEvent("TenantNoted", {
  schema: z.object({ tenant: z.string() }),
  group: (note) => note.tenant,
});

/** "bad" orders go dead at once; each other one is answered. */
export const warehouse = defineSubscription(
  "warehouse",
  { on: OrderPlaced, emits: [StockReserved], from: "beginning" },
  (event, ctx) => {
    if (event.data.orderId.startsWith("bad") && !mended.has(event.data.orderId))
      throw new NonRetryable("no such <shelf>");
    ctx.emit(StockReserved({ orderId: event.data.orderId }));
  },
);
export const mended = new Set<string>();
export const app = defineApp({ name: "shop", events: [Noted, TenantNoted], subscriptions: [warehouse] });

export interface Served {
  readonly log: Log;
  readonly api: HttpApi;
  readonly server: Server;
  /** As in http://127.0.0.1:1234 */
  readonly origin: string;
  /** What the server had to say about requests. */
  readonly told: string[];
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Response>;
  readonly post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Response>;
}

/** A log in memory behind a real server, on a port of its own, until the test ends. */
export async function serve(
  t: TestContext,
  options: HttpOptions & { readonly url?: string; readonly bounds?: Partial<StreamBounds> } = {},
): Promise<Served> {
  const { url = "memory:", bounds, ...http } = options;
  const told: string[] = [];
  const logger = listen(told);
  const log = await openLog(url, { source: "shop", logger });
  const api = httpApiWithin(bounds, log, app, { logger, ...http });
  const { server, origin } = await listening(t, createServer(api.node));
  t.after(async () => {
    await api.close();
    await log.close();
  });
  const json = { "content-type": "application/json" };
  return {
    log,
    api,
    server,
    origin,
    told,
    get: (path, headers = {}) => fetch(origin + path, { headers }),
    post: (path, body, headers = {}) =>
      fetch(origin + path, {
        method: "POST",
        headers: { ...json, ...headers },
        body: typeof body === "string" || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
      }),
  };
}

function listen(told: string[]): Logger {
  const tell = (message: string, fields?: object): void =>
    void told.push(`${message} ${String(Object.values(fields ?? {})[0])}`);
  return { debug: () => {}, info: () => {}, warn: tell, error: tell };
}

export async function listening(t: TestContext, server: Server): Promise<{ server: Server; origin: string }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export const problemIn = async (response: Response): Promise<Problem> => (await response.json()) as Problem;
/** `400 INVALID_DATA`: what a test says of a refusal. */
export async function refusal(answer: Promise<Response>): Promise<string> {
  const response = await answer;
  const type = response.headers.get("content-type");
  if (type !== "application/problem+json") throw new Error(`${response.status} ${type}: ${await response.text()}`);
  return `${response.status} ${(await problemIn(response)).code}`;
}

export interface Accepted {
  readonly id: string;
  readonly correlationId: string;
  readonly position: string;
  readonly duplicate: boolean;
  readonly statusUrl: string;
  readonly streamUrl: string;
}
export const acceptedIn = async (response: Response): Promise<Accepted> => (await response.json()) as Accepted;

/** The data of all events of a type, as stored. */
export async function dataOf(log: Log, type: string): Promise<string[]> {
  const found: string[] = [];
  for await (const event of log.read({ types: [type] })) found.push(Buffer.from(event.raw()).toString());
  return found;
}

export interface Message {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

/** The messages of a stream, parsed as a browser does, until it ends. */
export async function* messagesOf(response: Response): AsyncGenerator<Message> {
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const message = messageIn(text.slice(0, end));
      text = text.slice(end + 2);
      if (message !== undefined) yield message;
    }
  }
}

function messageIn(text: string): Message | undefined {
  const fields = text.split("\n").map((line) => /^([^:]*):? ?(.*)$/su.exec(line) ?? []);
  const of = (name: string): string[] => fields.filter(([, each]) => each === name).map(([, , value = ""]) => value);
  const [event] = of("event");
  if (event === undefined) return undefined;
  return { event, id: of("id")[0], data: JSON.parse(of("data").join("\n")) as unknown };
}

/** The next messages of a stream that goes on. */
export async function take(messages: AsyncGenerator<Message>, count: number): Promise<Message[]> {
  const taken: Message[] = [];
  while (taken.length < count) {
    const { value, done } = await messages.next();
    if (done === true) throw new Error(`the stream ended after ${taken.length} of ${count}`);
    taken.push(value as Message);
  }
  return taken;
}

/** What a server answers to these bytes until it closes the connection. */
export async function raw(origin: string, ...pieces: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  const chunks: Uint8Array[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => {});
  for (const piece of pieces) socket.write(piece);
  await new Promise((resolve) => socket.on("close", resolve));
  return Buffer.concat(chunks).toString();
}
/** The beginning of a request with an event as JSON, to be gone on with by hand. */
export const postHead = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
