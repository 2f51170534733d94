/** Events appended per type: exact at any time, though the stored counters lag behind. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { event } from "../../../src/conformance/build.ts";
import { openBeneath, openEngine, place } from "./support.ts";

const types = ["A", "B", "C"];

suite("counts per type", () => {
  test("are exact whoever appends, however much", async (t) => {
    const path = place(t);
    const engines = [await openEngine(t, path), await openEngine(t, path)];
    const expected = new Map<string, number>();
    const act = fc.tuple(
      fc.nat(1),
      fc.nat(2),
      fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 400, max: 1_500 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 6 }), async (acts) => {
        for (const [who, which, count] of acts) {
          const type = types[which]!;
          await engines[who]!.log.append(Array.from({ length: count }, () => event({ type })));
          expected.set(type, (expected.get(type) ?? 0) + count);
          for (const { log } of engines) assert.deepEqual((await log.count()).appended, expected);
        }
      }),
      { numRuns: 12 },
    );
    assert.equal((await engines[0]!.inspect()).find(({ check }) => check === "appended")!.ok, true);
  });

  test("are written only now and then", async (t) => {
    const path = place(t);
    const store = await openBeneath(t, path);
    const { log } = await openEngine(t, path);
    const stored = (): unknown => store.db.value("SELECT value FROM factlog_meta WHERE name = 'counted'");
    await log.append([event()]);
    assert.equal(stored(), 0);
    await log.append(Array.from({ length: 2_000 }, () => event()));
    assert.equal(stored(), 2_001);
    await log.append([event()]);
    assert.equal(stored(), 2_001);
  });

  test("name types that were never appended, with nothing", async (t) => {
    const { log } = await openEngine(t, place(t));
    assert.deepEqual((await log.count(["A"])).appended, new Map([["A", 0]]));
    assert.deepEqual((await log.count()).appended, new Map());
  });
});
