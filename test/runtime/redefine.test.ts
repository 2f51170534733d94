import assert from "node:assert/strict";
import { test } from "node:test";
import { Defer, defineApp, defineSubscription } from "../../src/index.ts";
import {
  anotherProcess,
  Done,
  engines,
  eventually,
  fastEnv,
  type LoggedLine,
  loggerTo,
  open,
  Order,
  unwell,
} from "./support.ts";

for (const { name, fresh } of engines) {
  test(`${name}: an added type counts nowhere from behind what older workers have reached, and nothing is pending for ever`, async () => {
    const store = fresh();
    const log = await open(store);
    const seen: string[] = [];
    const app = (on: readonly (typeof Order | typeof Done)[]): ReturnType<typeof defineApp> =>
      defineApp({
        name: "t",
        subscriptions: [defineSubscription("reader", { on }, ({ type, data }) => void seen.push(`${type}${data.n}`))],
      });
    await log.drain(app([Order]));
    await log.publishAll([Order({ key: "a", n: 1 }), Done({ key: "b", n: 2 }), Order({ key: "c", n: 3 })]);
    await log.drain(app([Order]));
    // Another process has counted the heads before these events, and defines only now.
    const engine = await store.open(anotherProcess());
    const definition = {
      types: ["Done", "Order"],
      order: "key",
      onExhausted: "hold-key",
      crashesMax: 5,
      slots: "all",
    } as const;
    await engine.ledger.command({ kind: "define", name: "reader", definition, start: new Map(), baseline: new Map() });
    await engine.log.close();
    await engine.ledger.close();
    await log.publish(Done({ key: "b", n: 4 }));
    await log.drain(app([Order, Done]));
    assert.deepEqual(seen.toSorted(), ["Done4", "Order1", "Order3"]);
    assert.equal((await log.operator.status())[0]?.depth, 0);
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });

  test(`${name}: what is owed to a type that the newest definition does not name waits for one that does`, async () => {
    const lines: LoggedLine[] = [];
    const log = await open(fresh(), { env: fastEnv(1_000), logger: loggerTo(lines) });
    let mended = false;
    const app = (on: readonly (typeof Order | typeof Done)[]): ReturnType<typeof defineApp> =>
      defineApp({
        name: "t",
        subscriptions: [
          defineSubscription("reader", { on, from: "beginning" }, ({ type }) => {
            if (type === "Done" && !mended) throw new Defer("1s");
          }),
        ],
      });
    await log.publishAll([Done({ key: "a", n: 1 }), Order({ key: "a", n: 2 })]);
    const owed = async (): Promise<readonly unknown[]> => {
      const [status] = await log.operator.status();
      return [status?.dead, status?.depth, status?.held];
    };
    const first = await log.work(app([Order, Done]));
    await eventually("the Done has its row, and the Order waits behind it", async () => (await owed())[2] === 1);
    await first.stop();
    const without = await log.work(app([Order]));
    await eventually("it was looked at by code that does not know it", () =>
      lines.some(({ fields }) => /Done .* does not read/.test((fields as { error?: string }).error ?? "")),
    );
    assert.deepEqual(await owed(), [0, 2, 1]);
    await without.stop();
    mended = true;
    const again = await log.work(app([Order, Done]));
    await eventually("all is done", async () => (await log.operator.status())[0]?.depth === 0);
    await again.stop();
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });
}
