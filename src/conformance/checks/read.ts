import assert from "node:assert/strict";
import type { PositionNumber, Slot, StoredEvent } from "../../event/stored-event.ts";
import { event, everySlot, idsOf, readAll, spread } from "../build.ts";
import type { Check } from "../check.ts";

const placesOf = (events: readonly StoredEvent[]): string[] =>
  events.map(({ slot, position }) => `${slot}.${position}`);

function slotsOf(events: readonly StoredEvent[]): Map<Slot, PositionNumber[]> {
  return new Map(
    [...Map.groupBy(events, ({ slot }) => slot)].map(([slot, some]) => [slot, some.map(({ position }) => position)]),
  );
}

const ascending = (positions: readonly number[]): boolean =>
  positions.every((position, i) => i === 0 || positions[i - 1]! < position);

export const readChecks: readonly Check[] = [
  {
    name: "read: an empty log is at its head",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const page = await log.read({ after: everySlot(log), limit: 10, scanMax: 10 });
      assert.deepEqual(page, { events: [], scannedTo: everySlot(log), atHead: true });
    },
  },
  {
    name: "read: slots ascend, and only named slots are read",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(60));
      const all = await readAll(log);
      assert.equal(all.length, 60);
      for (const [slot, positions] of slotsOf(all)) {
        assert.ok(ascending(positions), `slot ${slot} does not ascend`);
        const alone = await readAll(log, { after: new Map([[slot, 0]]) });
        assert.deepEqual(
          alone.map(({ position }) => position),
          positions,
        );
      }
      assert.deepEqual((await log.read({ after: new Map(), limit: 10, scanMax: 100 })).events, []);
    },
  },
  {
    name: "read: with a total order events ascend over all slots",
    about: "log",
    needs: ({ totalOrder }) => totalOrder,
    async run(subject) {
      const { log } = await subject.open();
      for (const one of spread(30)) await log.append([one]);
      assert.ok(ascending((await readAll(log, { limit: 7 })).map(({ position }) => position)));
    },
  },
  {
    name: "read: each slot goes on after its own position",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(60));
      const after = new Map(
        [...slotsOf(await readAll(log))].map(([slot, positions]) => [slot, positions[slot % positions.length]!]),
      );
      const rest = await readAll(log, { after });
      const expected = (await readAll(log)).filter(({ slot, position }) => position > after.get(slot)!);
      assert.deepEqual(placesOf(rest).toSorted(), placesOf(expected).toSorted());
    },
  },
  {
    name: "read: pages of every size give each event once",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(24));
      const all = placesOf(await readAll(log)).toSorted();
      for (const limit of [1, 2, 3, 5, 23, 24, 25]) {
        assert.deepEqual(placesOf(await readAll(log, { limit })).toSorted(), all, `limit ${limit}`);
        const page = await log.read({ after: everySlot(log), limit, scanMax: 10_000 });
        assert.ok(page.events.length <= limit);
      }
    },
  },
  {
    name: "read: gets on and finds what is rare, however little it looks at in one call",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(40));
      const [rare] = [event({ type: "Rare" })];
      await log.append([rare, ...spread(10)]);
      for (const scanMax of [1, 3, 7, 50]) {
        const found = await readAll(log, { types: new Set(["Rare"]), scanMax });
        assert.deepEqual(idsOf(found), [rare.id], `scanMax ${scanMax}`);
      }
    },
  },
  {
    name: "read: other types count as looked at",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(20));
      await log.append(spread(5, { type: "Paid" }));
      await log.append(spread(5, { type: "Refunded" }));
      const types = new Set(["Paid", "Refunded"]);
      const found = await readAll(log, { types, limit: 3 });
      assert.deepEqual(found.map(({ type }) => type).toSorted(), [
        ...Array(5).fill("Paid"),
        ...Array(5).fill("Refunded"),
      ]);
      const none = await log.read({ after: everySlot(log), types: new Set(["Unheard"]), limit: 10, scanMax: 1_000 });
      assert.deepEqual(none.events, []);
      assert.equal(none.atHead, true);
      const { heads } = await log.count(["Placed"]);
      for (const [slot, to] of none.scannedTo) assert.ok(to >= heads.get(slot)!, `slot ${slot} was scanned to ${to}`);
    },
  },
  {
    name: "read: scannedTo leaves no matching event out",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(40));
      const all = await readAll(log);
      let after: ReadonlyMap<Slot, PositionNumber> = everySlot(log);
      for (
        let page = await log.read({ after, limit: 3, scanMax: 100 });
        ;
        page = await log.read({ after, limit: 3, scanMax: 100 })
      ) {
        const { events, scannedTo } = page;
        const due = all.filter(({ slot, position }) => position > after.get(slot)! && position <= scannedTo.get(slot)!);
        assert.deepEqual(placesOf(events).toSorted(), placesOf(due).toSorted());
        assert.deepEqual(new Set(scannedTo.keys()), new Set(after.keys()));
        after = scannedTo;
        if (page.atHead) break;
      }
    },
  },
  {
    name: "read: nothing appears later at or below scannedTo",
    about: "log",
    async run(subject) {
      const writers = [(await subject.open()).log, (await subject.open()).log];
      const reader = (await subject.open()).log;
      const writing = Array.from({ length: 30 }, (_, i) => writers[i % 2]!.append(spread(3)));
      const seen: StoredEvent[] = [];
      let after: ReadonlyMap<Slot, PositionNumber> = everySlot(reader);
      const step = async (): Promise<boolean> => {
        const page = await reader.read({ after, limit: 4, scanMax: 100 });
        seen.push(...page.events);
        after = page.scannedTo;
        return page.atHead;
      };
      for (const written of writing) {
        await step();
        await written;
      }
      while (!(await step()));
      assert.deepEqual(placesOf(seen).toSorted(), placesOf(await readAll(reader)).toSorted());
      assert.equal(seen.length, 90);
      await writers[0]!.append(spread(40));
      while (!(await step()));
      assert.equal(seen.length, 130);
    },
  },
  {
    name: "read: an event never changes",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append(spread(10));
      const first = await readAll(log);
      const copy = structuredClone(first);
      await log.append(spread(10));
      subject.clock.nowMs += 1_000;
      assert.deepEqual(
        (await readAll(log)).filter(({ id }) => idsOf(copy).includes(id)),
        copy,
      );
      assert.deepEqual(await log.fetch(copy), copy);
    },
  },
];
