/** What became of a correlation: a tree of causes with the deliveries of each event, on every engine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineApp, defineEvent, defineSubscription, NonRetryable, type TraceNode } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { engines, open } from "./support.ts";

const schema = z.object({ id: z.string() });
const options = { schema, key: ({ id }: { id: string }) => id };
const Placed = defineEvent("Placed", { ...options, id: ({ id }) => id });
const Packed = defineEvent("Packed", options);
const Sent = defineEvent("Sent", options);
const Link = defineEvent("Link", { schema: z.object({ n: z.number() }) });

interface Shape {
  readonly type: string;
  readonly deliveries: readonly string[];
  readonly caused: readonly Shape[];
}
const shapeOf = ({ event, deliveries, caused }: TraceNode): Shape => ({
  type: event.type,
  deliveries: deliveries.map(({ subscription, state, failures }) => `${subscription} ${state} ${failures}`),
  caused: caused.map(shapeOf),
});

for (const { name, fresh } of engines) {
  test(`${name}: a correlation is shown as a tree, with what is closed, dead, retrying and not looked at`, async () => {
    await using log = await open(fresh());
    const pack = defineSubscription("pack", { on: Placed }, ({ data }, ctx) => {
      ctx.emit(Packed({ id: data.id }));
    });
    const bill = defineSubscription("bill", { on: Placed }, () => {
      throw new NonRetryable("no address");
    });
    const send = defineSubscription("send", { on: Packed, retry: { backoff: [60_000] } }, async ({ data }) => {
      await log.publish(Sent({ id: data.id }));
      throw new Error("the lorry is late");
    });
    const app = defineApp({ name: "test", subscriptions: [pack, bill, send] });
    await log.drain(app);
    const [receipt] = await log.publishAll([Placed({ id: "a" }), Placed({ id: "other" })]);
    const before = await log.operator.trace(receipt!.correlationId);
    assert.deepEqual(before.roots.map(shapeOf), [
      { type: "Placed", deliveries: ["pack pending 0", "bill pending 0"], caused: [] },
    ]);
    assert.deepEqual([before.open, before.dead], [2, 0]);

    await log.drain(app);
    const trace = await log.operator.trace(receipt!.correlationId);
    assert.deepEqual(trace.roots.map(shapeOf), [
      {
        type: "Placed",
        deliveries: ["pack closed 0", "bill dead 1"],
        caused: [
          {
            type: "Packed",
            deliveries: ["send retrying 1"],
            caused: [{ type: "Sent", deliveries: [], caused: [] }],
          },
        ],
      },
    ]);
    assert.deepEqual([trace.events, trace.open, trace.dead, trace.truncated], [3, 1, 1, false]);
    const [placed] = trace.roots;
    const dead = placed?.deliveries[1];
    assert.match(String(dead?.failure?.error), /no address/);
    assert.equal((await log.operator.deadLetter(String(dead?.deadLetter))).eventId, "a");
    const [packed] = placed?.caused ?? [];
    assert.ok((packed?.afterMs ?? -1) >= 0);
    assert.ok((packed?.deliveries[0]?.dueAt?.getTime() ?? 0) > (packed?.event.recordedTime.getTime() ?? 0));

    assert.equal((await log.operator.trace("nothing")).events, 0);
    assert.equal((await log.operator.trace(receipt!.correlationId, { from: "now" })).events, 0);
  });
}

test("a chain that names itself as its cause, and one longer than what is shown, end", async () => {
  await using log = await open(engines[0]!.fresh());
  const ids = Array.from({ length: limits.traceEventsMax + 50 }, (_, n) => `link-${n}`);
  await log.publishAll(ids.map((id, n) => Link({ n }, { id, correlationId: "chain", causationId: ids[n - 1] ?? id })));
  const trace = await log.operator.trace("chain");
  assert.deepEqual([trace.events, trace.truncated, trace.roots.length], [limits.traceEventsMax, true, 1]);
  let length = 0;
  for (let node = trace.roots[0]; node !== undefined; node = node.caused[0]) length++;
  assert.equal(length, limits.traceEventsMax);
});
