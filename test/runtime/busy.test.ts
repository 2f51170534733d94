/** A store that is busy for a moment stops no worker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineHandle } from "../../src/engine/engine.ts";
import type { Ledger } from "../../src/engine/ledger.ts";
import { FactlogError } from "../../src/errors.ts";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { engines, open, Order } from "./support.ts";

/** A store whose ledger refuses the first calls of a verb. */
function busyAt(store: EngineHandle, verb: "load" | "lease" | "deliveries", times: number): EngineHandle {
  let left = times;
  const busy = <T>(call: () => Promise<T>): Promise<T> =>
    left-- > 0 ? Promise.reject(new FactlogError("STORE_BUSY", "busy", { retryable: true })) : call();
  return {
    ...store,
    async open(env) {
      const engine = await store.open(env);
      const own: Partial<Ledger> = {
        load: (slots) => (verb === "load" ? busy(() => engine.ledger.load(slots)) : engine.ledger.load(slots)),
        lease: (request) =>
          verb === "lease" ? busy(() => engine.ledger.lease(request)) : engine.ledger.lease(request),
        deliveries: (query) =>
          verb === "deliveries" ? busy(() => engine.ledger.deliveries(query)) : engine.ledger.deliveries(query),
      };
      const ledger = new Proxy(engine.ledger, {
        get: (target, name) => {
          const member = (own[name as keyof Ledger] ?? target[name as keyof Ledger]) as unknown;
          return typeof member === "function" ? (member as (...args: unknown[]) => unknown).bind(target) : member;
        },
      });
      return { ...engine, ledger };
    },
  };
}

for (const { name, fresh } of engines) {
  for (const verb of ["load", "lease", "deliveries"] as const) {
    test(`${name}: a worker whose ${verb} met a busy store goes on`, async () => {
      const log = await open(busyAt(fresh(), verb, 2), { lease: "500ms" });
      await log.publish(Order({ key: "a", n: 1 }));
      const seen: number[] = [];
      const reader = defineSubscription(
        "reader",
        { on: Order, from: "beginning" },
        ({ data }) => void seen.push(data.n),
      );
      const { drained } = await log.drain(defineApp({ name: "t", subscriptions: [reader] }));
      assert.deepEqual([drained, seen], [true, [1]]);
      await log.close();
    });
  }
}
