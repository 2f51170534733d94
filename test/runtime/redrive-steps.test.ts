/** Dead letters of handlers with steps: redriven over what is remembered, from a step on, or afresh. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineSubscription, NonRetryable, type RedriveFrom } from "../../src/index.ts";
import { engines, open, Order } from "./support.ts";

for (const { name, fresh } of engines) {
  test(`${name}: a redrive repeats no step that is done; from a step on, that one and what came later; afresh, all, under other keys`, async () => {
    await using log = await open(fresh());
    const runs: string[] = [];
    const keys = new Map<string, string>();
    let isMended = false;
    const steps = defineSubscription("steps", { on: Order, from: "beginning" }, async (_, ctx) => {
      const step = (what: string): Promise<void> =>
        ctx.step(what, ({ idempotencyKey }) => {
          runs.push(what);
          keys.set(what, idempotencyKey);
        });
      await step("load");
      await ctx.step("pack", async () => {
        await step("wrap");
      });
      await step("ship");
      if (!isMended) throw new NonRetryable("no address");
    });
    const app = defineApp({ name: "t", events: [Order], subscriptions: [steps] });
    const die = async (from?: RedriveFrom): Promise<readonly string[]> => {
      runs.length = 0;
      const [letter] = await Array.fromAsync(log.operator.deadLetters());
      if (letter !== undefined)
        await log.operator.redrive([letter.id], { confirm: 1, ...(from === undefined ? {} : { from }) });
      await log.drain(app);
      return [...runs];
    };
    await log.publish(Order({ key: "k", n: 1 }));
    assert.deepEqual(await die(), ["load", "wrap", "ship"]);
    const before = new Map(keys);
    assert.deepEqual(await die(), []);
    assert.deepEqual(await die("failed-step"), []);
    assert.deepEqual(await die({ step: "ship" }), ["ship"]);
    assert.deepEqual(await die({ step: "pack" }), ["wrap", "ship"]);
    assert.deepEqual(await die({ step: "pack/wrap" }), ["wrap", "ship"]);
    assert.deepEqual(keys, before);
    await assert.rejects(die({ step: "pak" }), {
      code: "NOT_FOUND",
      message: /has no step "pak", but load, pack, pack\/wrap, ship/,
    });
    assert.deepEqual(await die("fresh"), ["load", "wrap", "ship"]);
    assert.ok([...keys].every(([what, key]) => before.get(what) !== key));
    isMended = true;
    assert.deepEqual(await die({ step: "load" }), ["load", "wrap", "ship"]);
    assert.deepEqual(await Array.fromAsync(log.operator.deadLetters()), []);
  });
}
