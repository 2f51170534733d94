/**
 * pg-boss. Fast settings: jobs are fetched and completed 1,000 at a time in a loop, which is faster than its polling
 * worker; supervision and schedules are off, for they only cost; 10 connections, its default.
 */
import { PgBoss } from "pg-boss";
import type { Order } from "../../workload.ts";
import type { Open } from "../peer.ts";

const batchSize = 1_000;

export const open: Open = async (connectionString, schema) => {
  const boss = new PgBoss({ connectionString, schema, supervise: false, schedule: false, max: 10 });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue("orders");
  return {
    publish: (order) => boss.send("orders", order),
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += batchSize) {
        await boss.insert(
          "orders",
          orders.slice(i, i + batchSize).map((data) => ({ data })),
        );
      }
    },
    drain: async (count, handler) => {
      for (let left = count; left > 0;) {
        const jobs = await boss.fetch<Order>("orders", { batchSize });
        if (jobs.length === 0) throw new Error(`nothing is left to fetch, and ${left} jobs were not seen`);
        await Promise.all(jobs.map(({ data }) => handler(data)));
        await boss.complete(
          "orders",
          jobs.map(({ id }) => id),
        );
        left -= jobs.length;
      }
    },
    close: () => boss.stop({ graceful: false }),
  };
};
