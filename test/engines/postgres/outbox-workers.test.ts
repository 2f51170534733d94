/** Working processes move the outbox into the log, whichever of them lives; others do not. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { defineApp, defineSubscription, openLog, type Log } from "../../../src/index.ts";
import { realEnv, type Env } from "../../../src/env.ts";
import { openLogIn } from "../../../src/runtime/log.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { order, Placed, publish, publishing } from "./outbox-support.ts";
import { backends, place, terminate } from "./support.ts";

/** A process of its own as far as the store can tell. */
const processOn = (where: Place): Promise<Log> => openLogIn({ ...realEnv } as Env, where.handle());

/** An app that tells each delivery, and waits until so many have come. */
function shop() {
  const seen: number[] = [];
  const heard = new EventTarget();
  const app = defineApp({
    name: "shop",
    subscriptions: [
      defineSubscription("reader", { on: Placed, from: "beginning" }, async ({ data }) => {
        seen.push(data.n);
        heard.dispatchEvent(new Event("delivery"));
      }),
    ],
  });
  const until = async (count: number): Promise<void> => {
    while (seen.length < count) await once(heard, "delivery");
  };
  return { app, seen, until };
}

test("a worker's handlers get what a transaction has published, and a process without workers moves nothing", async (t) => {
  const where = await place(t);
  await using idle = await processOn(where);
  await publish(t, where, Placed(order("a", 1)));
  assert.deepEqual((await idle.operator.outbox())!.depth, 1);
  await using working = await processOn(where);
  const { app, seen, until } = shop();
  await working.work(app);
  await until(1);
  const open = await publishing(t, where, Placed(order("a", 3)));
  await publish(t, where, Placed(order("b", 2)));
  await until(2);
  await open.query("COMMIT");
  await until(3);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(await idle.operator.outbox(), { depth: 0, oldestMs: 0, refused: 0 });
});

test("drain is through when the outbox is empty too", async (t) => {
  const where = await place(t);
  await using log = await openLog(where.handle());
  await publish(t, where, ...Array.from({ length: 2_500 }, (_, n) => Placed(order(`${n % 50}`, n))));
  const { app, seen } = shop();
  await log.drain(app);
  assert.equal(seen.length, 2_500);
});

test("workers stop, are killed in the middle, and others go on: nothing is lost and nothing comes twice", async (t) => {
  const where = await place(t);
  await using first = await processOn(where);
  await using second = await processOn(where);
  const { app, seen, until } = shop();
  const stopping = await first.work(app);
  await second.work(app);
  let n = 0;
  for (let round = 0; round < 6; round++) {
    const publishers = Array.from({ length: 5 }, async () => {
      const from = n;
      n += 20;
      await publish(t, where, ...Array.from({ length: 20 }, (_, i) => Placed(order(`${from}`, from + i))));
    });
    for (const pid of await backends(where, "appends")) await terminate(where.url, pid);
    await Promise.all(publishers);
    if (round === 3) await stopping.stop();
  }
  await until(n);
  const rows = await sql<[string]>(where.url, `SELECT data FROM ${where.schema}.event ORDER BY position`);
  const numbers = rows.map(([data]) => (JSON.parse(data) as { n: number }).n);
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: n }, (_, i) => i),
  );
  const byKey = Map.groupBy(seen, (each) => Math.floor(each / 20));
  for (const [key, each] of byKey)
    assert.deepEqual(
      each,
      Array.from({ length: 20 }, (_, i) => key * 20 + i),
    );
  assert.ok((await second.inspect()).every(({ ok }) => ok));
});
