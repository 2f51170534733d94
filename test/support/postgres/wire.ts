import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A cable between client and server, to be cut at will. */
export class Wire {
  readonly #server: Server;
  #port: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isDown = false;
  #sentence: string | undefined;
  #lost: (() => void) | undefined;
  /** Bytes that clients have sent, over all connections. */
  sent: Buffer = Buffer.alloc(0);

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.#port = port;
  }

  /** To the server at this address. */
  static async to(url: string): Promise<Wire> {
    const server = createServer();
    const wire = new Wire(server, Number(new URL(url).port));
    server.on("connection", (socket) => wire.#join(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return wire;
  }

  /** The same address through this wire. */
  through(url: string): string {
    const changed = new URL(url);
    changed.port = `${(this.#server.address() as { port: number }).port}`;
    return changed.href;
  }

  /** From now on all is cut, until `mend`. */
  cut(): void {
    this.#isDown = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }
  mend(): void {
    this.#isDown = false;
  }

  /** Leads to another server from now on. */
  lead(url: string): void {
    this.cut();
    this.#port = Number(new URL(url).port);
    this.mend();
  }

  /** Cuts all when the server has answered the next message that holds this text: the answer arrives nowhere. */
  cutBeforeAnswerTo(text: string): Promise<void> {
    this.#sentence = text;
    return new Promise((resolve) => (this.#lost = resolve));
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(client: Socket): void {
    if (this.#isDown) return void client.destroy();
    const server = connect(this.#port, "127.0.0.1");
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    let deaf = false;
    const end = (): void => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    client.on("data", (bytes: Buffer) => {
      this.sent = Buffer.concat([this.sent, bytes]).subarray(-100_000);
      if (this.#sentence !== undefined && bytes.includes(this.#sentence)) {
        this.#sentence = undefined;
        deaf = true;
      }
      server.write(bytes);
    });
    server.on("data", (bytes: Buffer) => {
      if (!deaf) return void client.write(bytes);
      this.cut();
      this.#lost?.();
    });
  }
}
