/**
 * A RabbitMQ quorum queue, persistent messages, publisher confirms. Fast settings: 1,000 messages prefetched, the handlers
 * of all that have arrived run at once, and one acknowledgement covers up to 250.
 */
import { type AsyncMessage, Connection } from "rabbitmq-client";
import { countdown, type Open } from "../peer.ts";

const prefetch = 1_000;
const ackedTogether = 250;

export const open: Open = async (url, queue) => {
  const connection = new Connection(url);
  await connection.queueDeclare({ queue, durable: true, arguments: { "x-queue-type": "quorum" } });
  const publisher = connection.createPublisher({ confirm: true });
  const publish = (order: object): Promise<void> => publisher.send({ routingKey: queue, durable: true }, order);
  return {
    publish,
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += 1_000) await Promise.all(orders.slice(i, i + 1_000).map(publish));
    },
    drain: async (count, handler) => {
      const channel = await connection.acquire();
      await channel.basicQos({ prefetchCount: prefetch });
      const { done, one } = countdown(count);
      let [handled, acked] = [0, 0];
      const take = async ({ body, deliveryTag }: AsyncMessage): Promise<void> => {
        await handler(body);
        // Handlers end in the order of their messages here: all up to this tag are done.
        if (++handled === count || handled - acked === ackedTogether) {
          channel.basicAck({ deliveryTag, multiple: true });
          acked = handled;
        }
        one();
      };
      await channel.basicConsume({ queue }, (message) => void take(message));
      await done;
      // Answered after the acknowledgements before it. What is not acknowledged would go back to the queue.
      await channel.close();
      const { messageCount } = await connection.queueDeclare({ queue, passive: true });
      if (messageCount !== 0) throw new Error(`${messageCount} messages are not acknowledged`);
    },
    close: async () => {
      await publisher.close();
      await connection.close();
    },
  };
};
