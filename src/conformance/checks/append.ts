import assert from "node:assert/strict";
import { codeOf, differing, encodedPart, event, everySlot, idsOf, readAll, spread } from "../build.ts";
import type { Check } from "../check.ts";

/** The text of attributes in the stored form: see `envelope.ts`. */
const attributes = (fields: { readonly correlationid?: string; readonly subject?: string }): string =>
  JSON.stringify(fields);

export const appendChecks: readonly Check[] = [
  {
    name: "append: places come in the order of the batch",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const batch = spread(20);
      const places = await log.append(batch);
      assert.equal(places.length, batch.length);
      const fetched = await log.fetch(places);
      assert.deepEqual(idsOf(fetched.map((found) => found!)), idsOf(batch));
      for (const { slot, position, duplicate } of places) {
        assert.ok(Number.isSafeInteger(position) && position >= 1);
        assert.ok(Number.isInteger(slot) && slot >= 0 && slot < log.capabilities.slots);
        assert.equal(duplicate, false);
      }
    },
  },
  {
    name: "append: an empty batch stores nothing",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      assert.deepEqual(await log.append([]), []);
      assert.deepEqual(await readAll(log), []);
    },
  },
  {
    name: "append: every field is kept as it was given",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const batch = [
        event({ data: '{"a":12345678901234567890,"a":-0,"b":1e400,"c":"\\u0000 ü 😀"}', group: "tenant", version: 7 }),
        event({ key: undefined, schema: "abc", plain: false, timeMs: -5, source: "a'b\"c%_" }),
        event({ key: "'; DROP TABLE event;--", id: "01890a5d-ac96-774b-bcce-b302099a8057", type: "__proto__" }),
        event({
          id: "01890A5D-AC96-774B-BCCE-B302099A8057",
          attributes: attributes({ correlationid: "c", subject: "ß" }),
        }),
      ];
      await log.append(batch);
      const stored = new Map((await readAll(log)).map((one) => [one.id, one]));
      for (const given of batch) assert.deepEqual(encodedPart(stored.get(given.id)!), given);
      for (const { recordedMs } of stored.values()) assert.equal(recordedMs, subject.clock.nowMs);
    },
  },
  {
    name: "append: events of one key share a slot",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      const first = await log.append([event({ key: "a" }), event({ key: "b" }), event({ key: undefined, id: "lone" })]);
      const again = await other.append([event({ key: "a" }), event({ key: "b" })]);
      assert.deepEqual([again[0]!.slot, again[1]!.slot], [first[0]!.slot, first[1]!.slot]);
      const slots = new Set((await log.append(spread(200))).map(({ slot }) => slot));
      assert.ok(slots.size > 1 || log.capabilities.slots === 1);
    },
  },
  {
    name: "append: positions of a slot grow in the order of the commits",
    about: "log",
    async run(subject) {
      const logs = [(await subject.open()).log, (await subject.open()).log];
      const positions: number[] = [];
      for (let i = 0; i < 10; i++) {
        const places = await logs[i % 2]!.append([event({ key: "a" }), event({ key: "a" })]);
        positions.push(...places.map(({ position }) => position));
      }
      assert.deepEqual(
        positions,
        [...new Set(positions)].toSorted((a, b) => a - b),
      );
    },
  },
  {
    name: "append: with a total order positions grow over all slots",
    about: "log",
    needs: ({ totalOrder }) => totalOrder,
    async run(subject) {
      const logs = [(await subject.open()).log, (await subject.open()).log];
      const positions: number[] = [];
      for (const [i, one] of spread(20).entries()) positions.push((await logs[i % 2]!.append([one]))[0]!.position);
      assert.deepEqual(
        positions,
        [...new Set(positions)].toSorted((a, b) => a - b),
      );
    },
  },
  {
    name: "append: a known identity with the same content answers its first place",
    about: "log",
    needs: ({ dedupe }) => dedupe !== "none",
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      const first = event({ attributes: attributes({ subject: "s" }) });
      const [place] = await log.append([first]);
      const again = event({ ...first, timeMs: 5, attributes: attributes({ subject: "s", correlationid: "other" }) });
      assert.deepEqual(await other.append([event(), again]).then((places) => places[1]), { ...place, duplicate: true });
      const [stored] = await log.fetch([place!]);
      assert.deepEqual(encodedPart(stored!), first);
      assert.equal((await readAll(log)).length, 2);
    },
  },
  {
    name: "append: a known identity with other content is refused, and nothing of the batch is stored",
    about: "log",
    needs: ({ dedupe }) => dedupe !== "none",
    async run(subject) {
      const { log } = await subject.open();
      const known = event({ attributes: attributes({ subject: "s" }) });
      await log.append([known]);
      const changes = [
        { data: "[]" },
        { type: "Paid" },
        { key: "k2" },
        { key: undefined },
        { version: 2 },
        { attributes: "" },
      ];
      for (const change of changes) {
        const other = event({ ...known, ...change });
        const error = await log.append([event(), other, event()]).catch((caught: unknown) => caught);
        const { code, details } = error as { code: string; details: Record<string, unknown> };
        assert.deepEqual(
          { code, index: details["index"], id: details["id"] },
          { code: "ID_CONFLICT", index: 1, id: known.id },
        );
      }
      assert.deepEqual(idsOf(await readAll(log)), [known.id]);
    },
  },
  {
    name: "append: a repeat within one batch is known",
    about: "log",
    needs: ({ dedupe }) => dedupe !== "none",
    async run(subject) {
      const { log } = await subject.open();
      const one = event();
      const [first, second] = await log.append([one, one]);
      assert.deepEqual(second, { ...first, duplicate: true });
      const other = event();
      assert.equal(await codeOf(log.append([other, differing(other)])), "ID_CONFLICT");
      assert.deepEqual(idsOf(await readAll(log)), [one.id]);
    },
  },
  {
    name: "append: of concurrent calls with one identity one stores it",
    about: "log",
    needs: ({ dedupe }) => dedupe !== "none",
    async run(subject) {
      const logs = [(await subject.open()).log, (await subject.open()).log];
      const one = event();
      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => logs[i % 2]!.append([event(), one])));
      const places = answers.map((places) => places[1]!);
      assert.equal(places.filter(({ duplicate }) => !duplicate).length, 1);
      assert.equal(new Set(places.map(({ position }) => position)).size, 1);
      assert.equal((await readAll(logs[0]!)).length, 9);
    },
  },
  {
    name: "append: a refused call does not take concurrent calls with it",
    about: "log",
    needs: ({ dedupe }) => dedupe !== "none",
    async run(subject) {
      const { log } = await subject.open();
      const known = event();
      await log.append([known]);
      const good = [event(), event()];
      const codes = await Promise.all(
        [[good[0]!], [differing(known), event()], [good[1]!]].map((batch) => codeOf(log.append(batch))),
      );
      assert.deepEqual(codes, ["resolved", "ID_CONFLICT", "resolved"]);
      assert.deepEqual(new Set(idsOf(await readAll(log))), new Set(idsOf([known, ...good])));
    },
  },
  {
    name: "append: without dedupe a known identity is appended again",
    about: "log",
    needs: ({ dedupe }) => dedupe === "none",
    async run(subject) {
      const { log } = await subject.open();
      const one = event();
      const [first, second] = await log.append([one, one]);
      const [third] = await log.append([differing(one)]);
      assert.deepEqual([first!.duplicate, second!.duplicate, third!.duplicate], [false, false, false]);
      assert.ok(first!.position < second!.position && second!.position < third!.position);
      assert.equal((await readAll(log)).length, 3);
    },
  },
  {
    name: "append: an identity is source and id together",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const one = event();
      const places = await log.append([
        one,
        event({ ...one, source: "another", data: "[]" }),
        event({ ...one, id: "another" }),
      ]);
      assert.deepEqual(
        places.map(({ duplicate }) => duplicate),
        [false, false, false],
      );
    },
  },
  {
    name: "append: what resolved is there for other processes and after all have closed",
    about: "log",
    needsProcesses: true,
    async run(subject) {
      const writer = await subject.open();
      const reader = await subject.open();
      const batch = spread(5);
      await writer.log.append(batch);
      assert.deepEqual(new Set(idsOf(await readAll(reader.log))), new Set(idsOf(batch)));
      for (const { ledger, log } of [writer, reader]) {
        await ledger.close();
        await log.close();
      }
      const { log } = await subject.open();
      assert.deepEqual(new Set(idsOf(await readAll(log))), new Set(idsOf(batch)));
      assert.deepEqual((await log.read({ after: everySlot(log), limit: 10, scanMax: 10 })).atHead, true);
    },
  },
];
