import { once } from "node:events";
import { connect, type Socket } from "node:net";

const end = Buffer.from("\r\n\r\n");

/** Sends each connection's requests one after the other, until `count` are answered 202. Answers how many a second. */
export async function load(port: number, bodies: readonly string[], connections: number): Promise<number> {
  const requests = bodies.map((body) =>
    Buffer.from(
      `POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  let next = 0;
  const start = performance.now();
  await Promise.all(sockets.map((socket) => drive(socket, () => requests[next++])));
  return (requests.length * 1_000) / (performance.now() - start);
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** One request at a time: the next when the answer to the last is whole. */
function drive(socket: Socket, next: () => Buffer | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let rest: Buffer = Buffer.alloc(0);
  const send = (): void => {
    const request = next();
    if (request !== undefined) return void socket.write(request);
    socket.destroy();
    resolve();
  };
  socket.on("error", reject);
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const head = rest.indexOf(end);
    if (head === -1) return;
    const text = rest.toString("latin1", 0, head);
    const length = bodyLength(text, rest, head);
    if (length === undefined || rest.length < head + 4 + length) return;
    if (!text.startsWith("HTTP/1.1 202")) return reject(new Error(text));
    rest = Buffer.alloc(0);
    send();
  });
  send();
  return promise;
}

/** Of a chunked answer: up to its last chunk. */
function bodyLength(text: string, rest: Buffer, head: number): number | undefined {
  const [, length] = /content-length: (\d+)/iu.exec(text) ?? [];
  if (length !== undefined) return Number(length);
  const last = rest.indexOf("0\r\n\r\n", head);
  return last === -1 ? undefined : last + 5 - head - 4;
}
