/** A store that is busy for a moment stops no worker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineHandle } from "../../src/engine/engine.ts";
import type { Ledger } from "../../src/engine/ledger.ts";
import { pause } from "../../src/env.ts";
import { FactlogError } from "../../src/errors.ts";
import { limits } from "../../src/limits.ts";
import { defineApp, defineSubscription, NonRetryable } from "../../src/index.ts";
import { anotherProcess, engines, eventually, fact, fastEnv, open, Order } from "./support.ts";

type Verb = "load" | "lease" | "deliveries" | "delayed";
const busy = (): FactlogError => new FactlogError("STORE_BUSY", "busy", { retryable: true });

/** A store that lets each call of a verb through `gate` first. */
function gated(store: EngineHandle, verb: Verb, gate: () => Promise<void>): EngineHandle {
  return {
    ...store,
    async open(env) {
      const engine = await store.open(env);
      const call = engine.ledger[verb].bind(engine.ledger) as (argument: unknown) => Promise<unknown>;
      const own = { [verb]: (argument: unknown) => gate().then(() => call(argument)) } as Partial<Ledger>;
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

/** A store whose ledger refuses the first calls of a verb. */
function busyAt(store: EngineHandle, verb: Verb, times: number): EngineHandle {
  let left = times;
  return gated(store, verb, () => (left-- > 0 ? Promise.reject(busy()) : Promise.resolve()));
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

/** A store of which one call of a verb, once `arm` was called, takes longer than any poll waits, and is refused then. */
function slowAt(store: EngineHandle, verb: Verb) {
  const env = fastEnv(20);
  const refused = fact();
  let armed = false;
  const gate = async (): Promise<void> => {
    if (!armed) return;
    armed = false;
    await pause(env, 3 * limits.duePollMs);
    refused.tell();
    throw busy();
  };
  return { env, handle: gated(store, verb, gate), refused: refused.holds, arm: () => void (armed = true) };
}

for (const { name, fresh } of engines) {
  test(`${name}: a look for due rows that was refused late is followed by others: a row that nobody announced is found`, async () => {
    const store = fresh();
    const slow = slowAt(store, "deliveries");
    await using log = await open(slow.handle, { env: slow.env });
    const seen: number[] = [];
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, ({ data }) => {
      seen.push(data.n);
      if (seen.length === 1) throw new NonRetryable("not yet");
    });
    await using _worker = await log.work(defineApp({ name: "t", subscriptions: [reader] }));
    await log.publish(Order({ key: "a", n: 1 }));
    await using elsewhere = await open(store, { env: anotherProcess() });
    const isDead = async (): Promise<boolean> => (await elsewhere.operator.status())[0]?.dead === 1;
    await eventually("the event is a dead letter", isDead);
    slow.arm();
    await slow.refused;
    assert.deepEqual(await elsewhere.operator.redrive({ subscription: "reader" }, { confirm: 1 }), { redriven: 1 });
    await eventually("the redriven row runs", () => seen.length === 2, 5_000);
  });

  test(`${name}: a look for delayed events that was refused late is followed by others`, async () => {
    const store = fresh();
    const slow = slowAt(store, "delayed");
    await using log = await open(slow.handle, { env: slow.env });
    const seen: number[] = [];
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, ({ data }) => void seen.push(data.n));
    await using _worker = await log.work(defineApp({ name: "t", subscriptions: [reader] }));
    slow.arm();
    await slow.refused;
    await using elsewhere = await open(store, { env: anotherProcess() });
    await elsewhere.publish(Order({ key: "a", n: 1 }), { after: 1 });
    await eventually("the delayed event is delivered", () => seen.length === 1, 5_000);
  });
}
