/**
 * The outside world, as a process of its own: bank, depot, carrier and post in one. It writes down every call that it
 * serves, synced to the disk before it answers, and does NOT look whether it knows the key: its file shows what really
 * happened. Calls that wait share one sync.
 */
import { type FileHandle, open } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type Call, customerOf, type Effect, type News, type Order } from "./calls.ts";

const newsEveryMs = 50;

class Receiver {
  readonly #file: FileHandle;
  readonly #counts: Record<Effect, number> = { charge: 0, reserve: 0, ship: 0, mail: 0 };
  /** Customers being served, with the number of their calls. */
  readonly #serving = new Map<string, number>();
  #waiting: { readonly call: Call; readonly response: ServerResponse }[] = [];
  #writing = false;
  #hold: { readonly pid: number; left: number } | undefined;
  #cdsMax = Number.POSITIVE_INFINITY;
  #news = false;

  constructor(file: FileHandle) {
    this.#file = file;
    setInterval(() => this.#tellCounts(), newsEveryMs);
  }

  obey(order: Order): void {
    if (order.kind === "hold") this.#hold = { pid: order.pid, left: order.nth };
    else this.#cdsMax = order.cdsMax ?? Number.POSITIVE_INFINITY;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as Omit<Call, "effect" | "key" | "together">;
    if ((body.cds ?? 0) > this.#cdsMax) {
      response.writeHead(422).end(`${body.cds} CDs fit into no parcel: ${this.#cdsMax} do`);
      return;
    }
    const customer = customerOf(body.orderId);
    this.#serving.set(customer, (this.#serving.get(customer) ?? 0) + 1);
    response.on("close", () => this.#served(customer));
    const call = {
      effect: request.url?.slice(1) as Effect,
      key: String(request.headers["idempotency-key"]),
      ...body,
      together: this.#serving.size,
    };
    this.#waiting.push({ call, response });
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#file.appendFile(batch.map(({ call }) => `${JSON.stringify(call)}\n`).join(""));
      await this.#file.datasync();
      for (const { call, response } of batch) this.#answer(call, response);
    }
    this.#writing = false;
  }
  #answer(call: Call, response: ServerResponse): void {
    this.#counts[call.effect]++;
    this.#news = true;
    if (this.#hold?.pid === call.pid && --this.#hold.left === 0) tell({ kind: "held", call });
    else response.end();
  }
  #served(customer: string): void {
    const calls = this.#serving.get(customer) ?? 0;
    if (calls > 1) this.#serving.set(customer, calls - 1);
    else this.#serving.delete(customer);
  }
  #tellCounts(): void {
    if (this.#news) tell({ kind: "counts", counts: this.#counts });
    this.#news = false;
  }
}

const tell = (news: News): void => void process.send?.(news);

const receiver = new Receiver(await open(process.argv[2] ?? "calls.ndjson", "a"));
const server = createServer((request, response) => {
  receiver.serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
});
// An idle line stays open, so that no call meets one that is just being closed.
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => tell({ kind: "ready", port: (server.address() as AddressInfo).port }));
process.on("message", (order: Order) => receiver.obey(order));
// A signal may reach the whole family: the receiver stays for the workers that finish their calls, but not without its parent.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
process.on("disconnect", () => process.exit());
