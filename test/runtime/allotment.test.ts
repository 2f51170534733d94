/** What the processes have of a limit: places one after the other, starts evenly, nothing to the dead. Pure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Allotment, allot, type Ask, type Limit, rateWaitsUntil } from "../../src/runtime/allotment.ts";

/** Processes that give and take of one limit. */
function shared(limit: Limit) {
  let kept: Allotment | undefined;
  const dead = new Set<number>();
  const ask = (session: number, wanted: Partial<Ask> = {}) => {
    const given = {
      session,
      give: 0,
      places: 0,
      starts: 0,
      nowMs: 0,
      isGone: (one: number) => dead.has(one),
      ...wanted,
    };
    const answer = allot(limit, kept, given);
    kept = answer.next;
    return answer;
  };
  return {
    ask,
    dead,
    get kept() {
      return kept;
    },
  };
}
const places = (concurrency: number): Limit => ({ concurrency, rate: undefined });
const rate = (events: number, perMs: number): Limit => ({ concurrency: undefined, rate: { events, perMs } });

test("there are never more places than the limit, and who comes first waits first", () => {
  const all = shared(places(5));
  assert.equal(all.ask(1, { places: 4 }).held, 4);
  assert.deepEqual([all.ask(2, { places: 3 }).held, all.ask(3, { places: 2 }).held], [1, 0]);
  const gives = all.ask(1, { give: 3 });
  assert.deepEqual([gives.held, gives.contested, gives.parties], [1, true, 3]);
  // Two of the three that are free are promised to 2.
  assert.equal(all.ask(3, { places: 2 }).held, 1);
  assert.equal(all.ask(2, { places: 2 }).held, 3);
  assert.equal(all.ask(1, { places: 1 }).held, 1);
  assert.deepEqual(all.kept?.queue, [
    [3, 1],
    [1, 1],
  ]);
});

test("who wants nothing any more waits for nothing, and nothing is kept of nobody", () => {
  const all = shared(places(1));
  all.ask(1, { places: 1 });
  all.ask(2, { places: 4 });
  all.ask(3, { places: 1 });
  all.ask(2);
  assert.deepEqual(all.kept?.queue, [[3, 1]]);
  all.ask(1, { give: 1 });
  all.ask(3);
  assert.equal(all.kept, undefined);
});

test("what the dead hold or wait for is free", () => {
  const all = shared(places(2));
  all.ask(1, { places: 2 });
  all.ask(2, { places: 2 });
  all.dead.add(1);
  all.dead.add(2);
  assert.equal(all.ask(3, { places: 2 }).held, 2);
  assert.deepEqual(all.kept?.held, { 3: 2 });
});

for (const [events, perMs] of [
  [1, 1_000],
  [7, 500],
  [10, 1_000],
  [100, 60_000],
  [600, 60_000],
] as const) {
  test(`${events} per ${perMs} ms: no time of that length sees more, and in the long run at least nine tenths are had`, () => {
    const all = shared(rate(events, perMs));
    const startedMs: number[] = [];
    for (let nowMs = 0; nowMs < 20 * perMs; nowMs += perMs / events / 4) {
      const { starts } = all.ask(1 + (startedMs.length % 3), { starts: 1 + (startedMs.length % 5), nowMs });
      for (let i = 0; i < starts; i++) startedMs.push(nowMs);
    }
    for (const [i, atMs] of startedMs.entries()) {
      const after = startedMs[i + events];
      assert.ok(after === undefined || after - atMs >= perMs * 0.999, `${events + 1} within ${after! - atMs} ms`);
    }
    assert.ok(startedMs.length >= 0.88 * 20 * events, `${startedMs.length} of ${20 * events}`);
  });
}

test("a refused start says when the next may be; a clock that jumped back blocks nothing for longer than the rate", () => {
  const all = shared(rate(1, 1_000));
  assert.deepEqual(
    [all.ask(1, { starts: 1, nowMs: 50_000 }).starts, all.ask(1, { starts: 1, nowMs: 50_400 }).nextMs],
    [1, 51_000],
  );
  assert.equal(rateWaitsUntil(all.kept!, 50_400), 51_000);
  const { starts, nextMs } = all.ask(1, { starts: 1, nowMs: 10_000 });
  assert.deepEqual([starts, nextMs], [0, 11_000]);
  assert.equal(all.ask(1, { starts: 1, nowMs: 11_000 }).starts, 1);
});
