import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import type { EngineHandle } from "../../src/engine/engine.ts";
import { memory } from "../../src/engines/memory/index.ts";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { open, Order } from "./support.ts";

test("an attempt that was over before its state had come does not call the handler", async () => {
  const state = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  const store = memory();
  const slow: EngineHandle = {
    identity: `slow ${store.identity}`,
    open: async (env) => {
      const engine = await store.open(env);
      const { ledger } = engine;
      const states = ledger.states.bind(ledger);
      ledger.states = async (...args) => {
        asked.resolve();
        await state.promise;
        return states(...args).finally(() => setImmediate(given.resolve));
      };
      return engine;
    },
  };
  const seen: number[] = [];
  const counter = defineSubscription(
    "counter",
    {
      on: Order,
      from: "beginning",
      state: { schema: z.number(), initial: 0 },
    },
    ({ data }) => void seen.push(data.n),
  );
  const log = await open(slow);
  await log.publish(Order({ key: "a", n: 1 }));
  const worker = await log.work(defineApp({ name: "t", subscriptions: [counter] }));
  await asked.promise;
  await worker.stop({ grace: 0 });
  state.resolve();
  await given.promise;
  assert.deepEqual(seen, []);
  await log.close();
});
