/**
 * Redis Streams by its own client. Fast settings: commands of one turn of the event loop go out together (the client's
 * auto-pipelining), so that the server syncs once for many; entries are read and acknowledged 1,000 at a time.
 */
import { createClient } from "redis";
import type { Open } from "../peer.ts";

const batch = 1_000;
/** What a read gives: the client leaves it untyped. */
type Read = readonly { readonly messages: readonly { readonly id: string; readonly message: { data: string } }[] }[];

export const open: Open = async (url, queue) => {
  const client = await createClient({ url }).connect();
  await client.xGroupCreate(queue, "bench", "0", { MKSTREAM: true });
  const add = (order: object): Promise<unknown> => client.xAdd(queue, "*", { data: JSON.stringify(order) });
  return {
    publish: add,
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += batch) await Promise.all(orders.slice(i, i + batch).map(add));
    },
    drain: async (count, handler) => {
      for (let left = count; left > 0;) {
        const source = { key: queue, id: ">" };
        const read: Read | null = await client.xReadGroup("bench", "one", source, { COUNT: batch, BLOCK: 1_000 });
        const messages = read?.[0]?.messages ?? [];
        if (messages.length === 0) throw new Error(`nothing is left to read, and ${left} events were not seen`);
        await Promise.all(messages.map(({ message }) => handler(JSON.parse(message.data))));
        left -= await client.xAck(
          queue,
          "bench",
          messages.map(({ id }) => id),
        );
      }
    },
    close: () => client.close(),
  };
};
