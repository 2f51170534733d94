import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { openLog } from "factlog";
import { Child } from "../child.ts";
import { load } from "../http-load.ts";
import {
  inDirectory,
  interleaved,
  type Measure,
  median,
  type Measurement,
  quantile,
  type Settings,
} from "../measure.ts";
import { makeOrders, OrderPlaced, sharedNowMs } from "../workload.ts";

/** A log over HTTP, its server in a process of its own; the caller shares the machine with it. */
export const httpMeasures: readonly Measure[] = [
  { name: "http-publish", run: (settings) => inDirectory((path) => publishing(path, settings)) },
  { name: "http-readers", run: (settings) => inDirectory((path) => readers(path("readers.db"), settings)) },
  { name: "http-fan-out", run: (settings) => inDirectory((path) => fanOut(path("fan-out.db"), settings)) },
  { name: "http-stuck", run: (settings) => inDirectory((path) => stuck(path("stuck.db"), settings)) },
];

async function serving<T>(file: string, use: (port: number, server: Child) => Promise<T>): Promise<T> {
  const server = new Child("http-server.ts", [file], ["--expose-gc", "--max-semi-space-size=16"]);
  const port = await server.hear<number>();
  try {
    return await use(port, server);
  } finally {
    server.tell("end");
    await server.ended();
  }
}
const bodyOf = (orders: readonly object[]): string =>
  JSON.stringify(orders.length === 1 ? eventOf(orders[0]!) : orders.map(eventOf));
const eventOf = (data: object): object => ({ type: OrderPlaced.type, data });

/** 100 connections, each with one request at a time; beside a bare server of Node's that parses and answers as much. */
async function publishing(path: (name: string) => string, settings: Settings): Promise<readonly Measurement[]> {
  const found: Measurement[] = [];
  for (const [name, batch, target] of [
    ["http-publish", 1, 10_000],
    ["http-batch", 100, 40_000],
  ] as const) {
    const orders = makeOrders(settings.size(batch === 1 ? 8_000 : 40_000, batch === 1 ? 4_000 : 10_000));
    const bodies: string[] = [];
    for (let at = 0; at < orders.length; at += batch) bodies.push(bodyOf(orders.slice(at, at + batch)));
    const connections = batch === 1 ? 100 : 10;
    const cpu = { own: [] as number[], bare: [] as number[] };
    const round = async (which: "own" | "bare", port: number, server: Child): Promise<number> => {
      const beforeMs = await cpuMsOf(server);
      const perSecond = (await load(port, bodies, connections)) * batch;
      cpu[which].push((((await cpuMsOf(server)) - beforeMs) * 1_000) / orders.length);
      return perSecond;
    };
    const { value, raw, ratio } = await serving(path(`${name}.db`), (own, server) =>
      serving("bare", (bare, other) =>
        interleaved(
          3,
          () => round("own", own, server),
          () => round("bare", bare, other),
        ),
      ),
    );
    const [ownUs, bareUs] = [median(cpu.own.slice(1)), median(cpu.bare.slice(1))];
    const line = { unit: "events/s", better: "higher" } as const;
    found.push(
      { name, value, raw: null, ratio: null, target, ...line },
      { name: `${name}-bare`, value, raw, ratio, target: null, ...line },
      {
        name: `${name}-cpu`,
        value: ownUs,
        unit: "us of CPU",
        raw: bareUs,
        ratio: ownUs / bareUs,
        target: null,
        better: "lower",
      },
    );
  }
  return found;
}

/** Streams of everything that comes, each a connection; what they send is counted and let go. */
async function follow(port: number, count: number, heard: (socket: Socket, chunk: Buffer) => void): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = await Promise.all(
      Array.from({ length: Math.min(100, count - sockets.length) }, async () => {
        const socket = connect({ port, host: "127.0.0.1" });
        await once(socket, "connect");
        socket.write("GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
        const [head] = (await once(socket, "data")) as [Buffer];
        if (!head.toString().startsWith("HTTP/1.1 200")) throw new Error(head.toString());
        socket.on("data", (chunk: Buffer) => heard(socket, chunk));
        return socket;
      }),
    );
    sockets.push(...some);
  }
  return sockets;
}

async function memoryOf(server: Child): Promise<number> {
  server.tell("memory");
  return server.hear<number>();
}
async function cpuMsOf(server: Child): Promise<number> {
  server.tell("cpu");
  const { user, system } = await server.hear<NodeJS.CpuUsage>();
  return (user + system) / 1_000;
}

/** Readers of a log to which nothing is published: what they add to the server. */
function readers(file: string, settings: Settings): Promise<readonly Measurement[]> {
  return serving(file, async (port, server) => {
    const few = await follow(port, 10, () => {});
    const before = await memoryOf(server);
    const sockets = await follow(port, settings.size(5_000, 500), () => {});
    await sleep(1_000);
    const [beganMs, seconds] = [await cpuMsOf(server), 5];
    await sleep(seconds * 1_000);
    const used = ((await cpuMsOf(server)) - beganMs) / seconds / 10;
    const memory = (await memoryOf(server)) - before;
    for (const socket of [...few, ...sockets]) socket.destroy();
    const line = { raw: null, ratio: null, better: "lower" } as const;
    return [
      { name: "http-readers", value: memory, unit: "MB", target: 150, ...line },
      { name: "http-readers-cpu", value: used, unit: "% of a core", target: null, ...line },
    ];
  });
}

/** 1,000 events a second to 100 readers: from the call of `publish` to the arrival at each. */
function fanOut(file: string, settings: Settings): Promise<readonly Measurement[]> {
  return serving(file, async (port, server) => {
    const found: number[] = [];
    const rests = new Map<Socket, string>();
    const sockets = await follow(port, 100, (socket, chunk) => {
      const text = (rests.get(socket) ?? "") + chunk.toString("latin1");
      const end = text.lastIndexOf("\n\n");
      rests.set(socket, text.slice(end + 2));
      const nowMs = sharedNowMs();
      for (const [, sent] of text.slice(0, end + 2).matchAll(/"t":([\d.]+)/gu)) found.push(nowMs - Number(sent));
    });
    const orders = makeOrders(settings.size(10_000, 2_000));
    await using log = await openLog(`sqlite:${file}`);
    const [beganMs, beganCpuMs] = [performance.now(), await cpuMsOf(server)];
    for (let at = 0; at < orders.length; at += 10) {
      const some = orders.slice(at, at + 10).map((order) => OrderPlaced({ ...order, t: sharedNowMs() }));
      await log.publishAll(some);
      await sleep(Math.max(0, beganMs + at + 10 - performance.now()));
    }
    const rate = (orders.length * 1_000) / (performance.now() - beganMs);
    const expected = orders.length * 100;
    for (let i = 0; i < 600 && found.length < expected; i++) await sleep(50);
    const cpuUs = (((await cpuMsOf(server)) - beganCpuMs) * 1_000) / expected;
    if (found.length !== expected) throw new Error(`${found.length} of ${expected} arrived`);
    for (const socket of sockets) socket.destroy();
    const line = { raw: null, ratio: null, better: "lower" } as const;
    const warm = found.slice(found.length / 10);
    return [
      { name: "http-fan-out-p50", value: quantile(warm, 0.5), unit: "ms", target: null, ...line },
      { name: "http-fan-out-p99", value: quantile(warm, 0.99), unit: "ms p99", target: 50, ...line },
      { name: "http-fan-out-rate", value: rate, unit: "events/s", target: null, ...line, better: "higher" },
      { name: "http-fan-out-cpu", value: cpuUs, unit: "us of CPU", target: null, ...line },
    ];
  });
}

/** Readers that never read while much is published: what each costs, until it is cut off. */
function stuck(file: string, settings: Settings): Promise<readonly Measurement[]> {
  return serving(file, async (port, server) => {
    const count = 50;
    const sockets = await follow(port, count, () => {});
    for (const socket of sockets) socket.pause();
    const before = await memoryOf(server);
    await using log = await openLog(`sqlite:${file}`);
    const orders = makeOrders(settings.size(20_000, 8_000));
    for (let at = 0; at < orders.length; at += 100)
      await log.publishAll(orders.slice(at, at + 100).map((one) => OrderPlaced(one)));
    let most = before;
    for (let i = 0; i < 40; i++) {
      await sleep(100);
      most = Math.max(most, await memoryOf(server));
    }
    for (const socket of sockets) socket.destroy();
    const line = { raw: null, ratio: null, better: "lower" } as const;
    return [{ name: "http-stuck", value: (most - before) / count, unit: "MB each", target: 2, ...line }];
  });
}
