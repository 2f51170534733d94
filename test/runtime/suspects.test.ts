import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription } from "../../src/index.ts";
import { anotherProcess, engines, eventually, fact, open, Order } from "./support.ts";

for (const { name, fresh } of engines) {
  test(`${name}: what is published after a take-over is no suspect, however far the dead one's claim ran ahead`, async () => {
    const store = fresh();
    const log = await open(store, { lease: "100ms" });
    let running = 0;
    const two = fact();
    const reader = defineSubscription("reader", { on: Order, from: "beginning" }, async () => {
      if (++running === 2) two.tell();
      await two.holds;
    });
    const app = defineApp({ name: "t", subscriptions: [reader] });
    await log.drain(app);

    const { ledger, log: sameLog } = await store.open(anotherProcess());
    const [known] = await ledger.tally();
    assert.ok(known !== undefined);
    const { sub, gen, slots } = known;
    const joining = {
      leaseMs: 100,
      serves: [{ sub, revision: 1, inFlight: 0 }],
      dead: [],
      crashDueMs: 0,
      giveBack: [],
      release: [],
    };
    const { session } = await ledger.lease({ ...joining, want: [] });
    const want = [{ sub, gen, revision: 1, slots: slots.length }];
    const { held } = await ledger.lease({ ...joining, session, want });
    const nothing = {
      low: 0,
      ranges: [],
      matched: new Map<string, number>(),
      outcomes: { done: 0, skipped: 0, discarded: 0, expired: 0, duplicate: 0 },
      insert: [],
      effects: [],
      seen: [],
      settled: [],
    };
    const claims = held.map((lease) => ({ kind: "progress" as const, lease, claim: 50_000, ...nothing }));
    assert.ok((await ledger.record(session, claims)).every((recorded) => recorded.status === "ok"));

    const worker = await log.work(app);
    await eventually("the slots of the silent session are taken over", async () => {
      const [tally] = await ledger.tally();
      return tally?.slots.every((slot) => slot.session !== undefined && slot.session !== session) === true;
    });
    await log.publishAll(Array.from({ length: 64 }, (_, n) => Order({ key: `k${n}`, n })));
    await eventually("two run at a time", () => running >= 2);
    await eventually("all are done", async () => (await log.operator.status())[0]?.depth === 0);
    await worker.stop();
    await Promise.all([log.close(), ledger.close(), sameLog.close()]);
  });
}
