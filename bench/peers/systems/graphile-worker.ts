/**
 * graphile-worker. Fast settings, of its page on performance: a local queue of 500 jobs, completions sent together, 24
 * jobs at once; 10 connections for those who publish.
 */
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import type { Order } from "../../workload.ts";
import { countdown, type Open } from "../peer.ts";

const logger = new Logger(() => () => {});

export const open: Open = async (connectionString, schema) => {
  const pgPool = new pg.Pool({ connectionString, max: 10 });
  pgPool.on("error", (error) => console.error(error));
  pgPool.on("connect", (client) => client.on("error", (error) => console.error(error)));
  const utils = await makeWorkerUtils({ pgPool, schema, logger });
  await utils.migrate();
  return {
    publish: (order) => utils.addJob("order", order),
    fill: async (orders) => {
      for (let i = 0; i < orders.length; i += 1_000) {
        await utils.addJobs(orders.slice(i, i + 1_000).map((payload) => ({ identifier: "order", payload })));
      }
    },
    drain: async (count, handler) => {
      const { done, one } = countdown(count);
      const runner = await run({
        pgPool,
        taskList: {
          order: async (payload) => {
            await handler(payload as Order);
            one();
          },
        },
        noHandleSignals: true,
        preset: {
          worker: {
            schema,
            logger,
            concurrentJobs: 24,
            localQueue: { size: 500 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      });
      await done;
      // Sends the completions that are still waiting for company.
      await runner.stop();
      const { rows } = await pgPool.query(`SELECT count(*)::int AS left FROM ${schema}.jobs`);
      if (rows[0].left !== 0) throw new Error(`${rows[0].left} jobs are not acknowledged`);
    },
    close: async () => {
      await utils.release();
      await pgPool.end();
    },
  };
};
