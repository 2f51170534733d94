/**
 * BullMQ. Fast settings: jobs that are done are removed, the stream of events is kept short, and the worker runs 100 jobs
 * at once, whose commands the client pipelines.
 */
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { countdown, type Open } from "../peer.ts";

const concurrency = 100;

export const open: Open = async (url, name) => {
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue(name, {
    connection,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    streams: { events: { maxLen: 100 } },
  });
  await queue.waitUntilReady();
  return {
    publish: (order) => queue.add("order", order),
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += 1_000) {
        await queue.addBulk(orders.slice(i, i + 1_000).map((data) => ({ name: "order", data })));
      }
    },
    drain: async (count, handler) => {
      const { done, one } = countdown(count);
      const worker = new Worker(name, (job) => handler(job.data), { connection, concurrency });
      worker.on("completed", one);
      await done;
      await worker.close();
    },
    close: async () => {
      await queue.close();
      await connection.quit();
    },
  };
};
