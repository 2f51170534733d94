import type { Order } from "../workload.ts";

/** What the peers run on: each is asked for by what is there to start it. */
export type ServerKind = "redis" | "nats" | "rabbitmq" | "postgres";

/** A system that does part of what Factlog does, and how much of it a few seconds are. */
export interface Peer {
  /** As in `peers/NAME/publish`; its adapter is `systems/NAME.ts`. */
  readonly name: string;
  readonly server: ServerKind;
  /** The package of this folder by which it is spoken to. */
  readonly client: string;
  /** Events of one round of publishing. */
  readonly publish: number;
  /** Events of the backlog that one round drains. */
  readonly drain: number;
  /** The least that Factlog should be, relative to the peer. */
  readonly targets: { readonly publish: number | null; readonly drain: number | null };
}

/** One queue of a peer with all its connections. Everything is durable before its promise resolves. */
export interface Session {
  publish(order: Order): Promise<unknown>;
  /** Makes a backlog, as fast as the peer can: its time is not measured. */
  fill(orders: readonly Order[]): Promise<void>;
  /** One consumer hands `count` events to the handler; resolves when all of them are acknowledged. */
  drain(count: number, handler: (order: Order) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}
/** What an adapter exports as `open`: a fresh queue on the server at that address. */
export type Open = (address: string, queue: string) => Promise<Session>;

export const peers: readonly Peer[] = [
  {
    name: "redis-streams",
    server: "redis",
    client: "redis",
    publish: 60_000,
    drain: 100_000,
    targets: { publish: 1.2, drain: 1.5 },
  },
  {
    name: "bullmq",
    server: "redis",
    client: "bullmq",
    publish: 20_000,
    drain: 12_000,
    targets: { publish: 4, drain: 12 },
  },
  {
    name: "nats-jetstream",
    server: "nats",
    client: "@nats-io/jetstream",
    publish: 6_000,
    drain: 20_000,
    targets: { publish: null, drain: null },
  },
  {
    name: "rabbitmq-quorum",
    server: "rabbitmq",
    client: "rabbitmq-client",
    publish: 25_000,
    drain: 40_000,
    targets: { publish: null, drain: null },
  },
  {
    name: "pg-boss",
    server: "postgres",
    client: "pg-boss",
    publish: 3_000,
    drain: 20_000,
    targets: { publish: 10, drain: 4 },
  },
  {
    name: "graphile-worker",
    server: "postgres",
    client: "graphile-worker",
    publish: 2_000,
    drain: 30_000,
    targets: { publish: 10, drain: 2 },
  },
];

/** Waits until `count` things have happened. */
export function countdown(count: number): { readonly done: Promise<void>; readonly one: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  return {
    done: promise,
    one: () => {
      if (--left === 0) resolve();
    },
  };
}
