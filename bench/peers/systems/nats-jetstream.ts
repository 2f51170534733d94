/**
 * NATS JetStream, one file-backed stream with one durable pull consumer. Fast settings: the client asks for 1,000 messages
 * ahead, as many may be unacknowledged, and acknowledgements go out unanswered but for the last, which waits for the server.
 */
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { Open } from "../peer.ts";

const ahead = 1_000;

export const open: Open = async (servers, stream) => {
  const connection = await connect({ servers });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({
    name: stream,
    subjects: [stream],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
  });
  await manager.consumers.add(stream, {
    durable_name: "bench",
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: ahead,
  });
  const js = jetstream(connection, { timeout: 60_000 });
  const publish = (order: object): Promise<unknown> => js.publish(stream, JSON.stringify(order));
  return {
    publish,
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += 1_000) await Promise.all(orders.slice(i, i + 1_000).map(publish));
    },
    drain: async (count, handler) => {
      const consumer = await js.consumers.get(stream, "bench");
      const messages = await consumer.consume({ max_messages: ahead });
      let left = count;
      for await (const message of messages) {
        await handler(message.json());
        if (--left > 0) message.ack();
        else {
          await message.ackAck();
          break;
        }
      }
      const { num_pending: pending, num_ack_pending: unacknowledged } = await consumer.info();
      if (pending + unacknowledged > 0) throw new Error(`${pending + unacknowledged} messages are not acknowledged`);
    },
    close: () => connection.close(),
  };
};
