/** Pages: nothing left out, nothing twice, nothing beyond the truth, wherever a page begins and ends. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { event, everySlot, readAll } from "../../../src/conformance/build.ts";
import type { EventLog, ReadPage, ReadRequest } from "../../../src/engine/event-log.ts";
import type { PositionNumber, Slot, StoredEvent } from "../../../src/event/stored-event.ts";
import { openEngine, place } from "./support.ts";

const slots = 4;
/** Three of the engine's pages and a piece of a fourth. */
const count = 1_600;
const types = ["Placed", "Paid", "Shipped"];

const someEvents = (howMany: number): ReturnType<typeof event>[] =>
  Array.from({ length: howMany }, (_, i) => event({ key: `key-${i % 23}`, type: types[(i * 7) % 5] ?? "Other" }));

/** Positions near the ends of pages are where mistakes would be. */
const position = fc.oneof(
  fc.nat(count + 20),
  fc.constantFrom(0, 511, 512, 513, 1_023, 1_024, 1_025, 1_535, 1_536, count - 1, count, count + 1),
);
const request = fc.record({
  after: fc.dictionary(fc.constantFrom(...Array.from({ length: slots }, (_, slot) => String(slot))), position, {
    minKeys: 1,
  }),
  types: fc.option(fc.subarray(["Placed", "Paid", "Shipped", "Other", "Unknown"]), { nil: undefined }),
  limit: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 511, 512, 513, 1_000, 5_000)),
  scanMax: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 511, 512, 513, 10_000)),
});

function isWanted(one: StoredEvent, { after, types: wanted }: ReadRequest): boolean {
  return one.position > (after.get(one.slot) ?? Infinity) && (wanted === undefined || wanted.has(one.type));
}

/** What the port says of one page, against all that is there. */
function requireTrue(all: readonly StoredEvent[], asked: ReadRequest, { events, scannedTo, atHead }: ReadPage): void {
  const head = all.length;
  assert.ok(events.length <= asked.limit);
  assert.deepEqual([...scannedTo.keys()], [...asked.after.keys()]);
  const promised = all.filter((one) => isWanted(one, asked) && one.position <= scannedTo.get(one.slot)!);
  assert.deepEqual(events, promised, "exactly what lies between after and scannedTo");
  for (const [slot, to] of scannedTo) {
    const from = asked.after.get(slot)!;
    assert.ok(to >= from, "never back");
    assert.ok(to <= Math.max(from, head), "never beyond the truth");
  }
  const left = all.filter((one) => isWanted(one, asked) && one.position > scannedTo.get(one.slot)!);
  if (atHead) assert.deepEqual(left, []);
  else
    assert.ok(
      [...scannedTo].some(([slot, to]) => to > asked.after.get(slot)!),
      "a page gets somewhere",
    );
}

suite("one page", () => {
  test("is true for any slots, positions, types and limits", async (t) => {
    const { log } = await openEngine(t, place(t), { slots });
    await log.append(someEvents(count));
    const all = await readAll(log);
    assert.equal(all.length, count);
    await fc.assert(
      fc.asyncProperty(request, async ({ after, types: wanted, ...rest }) => {
        const asked: ReadRequest = {
          after: new Map(Object.entries(after).map(([slot, at]) => [Number(slot), at])),
          ...(wanted === undefined ? {} : { types: new Set(wanted) }),
          ...rest,
        };
        requireTrue(all, asked, await log.read(asked));
      }),
      { numRuns: 400 },
    );
  });

  test("of no slots is empty and at the head", async (t) => {
    const { log } = await openEngine(t, place(t), { slots });
    await log.append(someEvents(3));
    assert.deepEqual(await log.read({ after: new Map(), limit: 10, scanMax: 10 }), {
      events: [],
      scannedTo: new Map(),
      atHead: true,
    });
  });
});

/** Reads on from where it was, in steps. */
class Reader {
  readonly seen: StoredEvent[] = [];
  #after: ReadonlyMap<Slot, PositionNumber>;
  constructor(after: ReadonlyMap<Slot, PositionNumber>) {
    this.#after = after;
  }
  async step(log: EventLog, limit: number): Promise<boolean> {
    const { events, scannedTo, atHead } = await log.read({ after: this.#after, limit, scanMax: 10_000 });
    this.seen.push(...events);
    this.#after = scannedTo;
    return atHead;
  }
  async finish(log: EventLog): Promise<void> {
    while (!(await this.step(log, 1_000)));
  }
}

suite("readers", () => {
  test("at several places, while others append, see everything once and in order", async (t) => {
    const path = place(t);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 300 })), { minLength: 5, maxLength: 25 }),
        async (acts) => {
          const { log } = await openEngine(t, path, { slots });
          const other = await openEngine(t, path);
          const begin = (await log.count()).heads.get(0)!;
          const whole = new Reader(everySlot(log, begin));
          const half = new Reader(
            new Map([
              [0, begin],
              [3, begin],
            ]),
          );
          for (const [act, size] of acts) {
            if (act === 0) await log.append(someEvents(size));
            else if (act === 1) await other.log.append(someEvents(size));
            else await (act === 2 ? whole : half).step(log, size);
          }
          await whole.finish(log);
          await half.finish(log);
          const all = (await readAll(other.log)).filter((one) => one.position > begin);
          assert.deepEqual(whole.seen, all);
          assert.deepEqual(
            half.seen,
            all.filter((one) => one.slot === 0 || one.slot === 3),
          );
        },
      ),
      { numRuns: 15 },
    );
  });

  test("of large events hold no more than they need", async (t) => {
    const { log } = await openEngine(t, place(t), { slots: 1 });
    const data = JSON.stringify("x".repeat(200_000));
    for (let i = 0; i < 12; i++) await log.append(Array.from({ length: 10 }, () => event({ data })));
    const reader = new Reader(everySlot(log));
    while (!(await reader.step(log, 7)));
    assert.equal(reader.seen.length, 120);
  });
});
