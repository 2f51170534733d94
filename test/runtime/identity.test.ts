/** Ids of what a delivery states: over attempts the same fact has the same id, whatever else the attempt states. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, type Receipt } from "../../src/index.ts";
import { Done, engines, open, Order } from "./support.ts";

const Started = defineEvent("Started", { schema: z.object({ n: z.number() }) });

for (const engine of engines) {
  test(`${engine.name}: the id of a stated event hangs on its name, or on its place among those of its type`, async () => {
    const attempts: Readonly<Record<"named" | "first" | "second", Receipt>>[] = [];
    const reader = defineSubscription(
      "reader",
      { on: Order, emits: [Done, Started], retry: { backoff: [1] } },
      async ({ data }, ctx) => {
        const state = (n: number): Promise<Receipt> => ctx.announce(Done({ ...data, n }));
        const stateNamed = (): Promise<Receipt> => ctx.announce(Done({ ...data, n: 0 }), { name: "named" });
        if (ctx.attempt === 1) {
          attempts.push({ first: await state(1), named: await stateNamed(), second: await state(2) });
          throw new Error("once more");
        }
        const named = await stateNamed();
        await ctx.announce(Started({ n: 1 }));
        attempts.push({ named, first: await state(1), second: await state(2) });
      },
    );
    const app = defineApp({ name: "t", subscriptions: [reader] });
    const log = await open(engine.fresh());
    await log.drain(app);
    await log.publish(Order({ key: "a", n: 0 }));
    while ((await log.drain(app)).waiting > 0);
    const [before, again] = attempts;
    for (const which of ["named", "first", "second"] as const) {
      assert.equal(again?.[which].id, before?.[which].id, which);
      assert.deepEqual([before?.[which].duplicate, again?.[which].duplicate], [false, true], which);
    }
    const stated = (await Array.fromAsync(log.read({ on: Done }))).map(({ data }) => data.n);
    assert.deepEqual(stated, [1, 0, 2]);
    assert.equal((await Array.fromAsync(log.read({ on: Started }))).length, 1);
    await log.close();
  });
}
