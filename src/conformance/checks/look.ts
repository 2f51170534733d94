import assert from "node:assert/strict";
import { event, everySlot, idsOf, readAll, spread, within } from "../build.ts";
import type { Check } from "../check.ts";

const never = new AbortController().signal;
/** Longer than any check is patient. */
const longMs = 3_600_000;

export const lookChecks: readonly Check[] = [
  {
    name: "fetch: answers in the order asked, undefined for what is not there",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const places = await log.append(spread(10));
      const asked = [places[7]!, { slot: 0, position: 1_000_000 }, places[2]!, places[7]!];
      const found = await log.fetch(asked);
      assert.deepEqual(
        found.map((one) => one?.position),
        [places[7]!.position, undefined, places[2]!.position, places[7]!.position],
      );
      assert.deepEqual(await log.fetch([]), []);
    },
  },
  {
    name: "fetch: answers undefined for what their retention took",
    about: "log",
    needs: ({ retention }) => retention === "theirs",
    async run(subject) {
      const { dropEvents } = subject;
      assert.ok(dropEvents, "a subject whose log's retention is theirs says how to make it drop events");
      const { log } = await subject.open();
      const places = await log.append(spread(5));
      await dropEvents();
      assert.deepEqual(await log.fetch(places), [undefined, undefined, undefined, undefined, undefined]);
      const page = await log.read({ after: everySlot(log), limit: 10, scanMax: 1_000 });
      assert.deepEqual([page.events, page.atHead], [[], true]);
      const [next] = await log.append([event()]);
      assert.ok(next!.position > (page.scannedTo.get(next!.slot) ?? 0));
    },
  },
  {
    name: "fetch: where retention is ours every event stays",
    about: "log",
    needs: ({ retention }) => retention === "ours",
    async run(subject) {
      const { log } = await subject.open();
      const batch = spread(50);
      const places = await log.append(batch);
      subject.clock.nowMs += 10 * 365 * 24 * 3_600_000;
      assert.deepEqual(idsOf((await log.fetch(places)).map((found) => found!)), idsOf(batch));
    },
  },
  {
    name: "wake: an append of another process wakes",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      for (let i = 0; i < 3; i++) {
        const woken = log.wake(longMs, never);
        await other.append([event()]);
        await within(subject, woken, "wake after an append of another process");
      }
    },
  },
  {
    name: "wake: an append between two calls is not missed",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await log.append([event()]);
      await within(subject, log.wake(longMs, never), "wake after an append before the first call");
      await log.append([event()]);
      await within(subject, log.wake(longMs, never), "wake after an append between two calls");
    },
  },
  {
    name: "wake: ends after maxMs in any case",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      await within(subject, log.wake(1, never), "the first wake after maxMs");
      await within(subject, log.wake(1, never), "wake after maxMs");
    },
  },
  {
    name: "wake: ends at once when the signal aborts, without an error",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const controller = new AbortController();
      const woken = log.wake(longMs, controller.signal);
      controller.abort(new Error("enough"));
      await within(subject, woken, "wake whose signal aborts");
      await within(subject, log.wake(longMs, controller.signal), "wake with an aborted signal");
    },
  },
  {
    name: "wake: close ends it, and after close it ends at once",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const woken = log.wake(longMs, never);
      await within(subject, log.close(), "close while a wake waits");
      await within(subject, woken, "wake of a log that closes");
      await within(subject, log.wake(longMs, never), "wake of a closed log");
    },
  },
  {
    name: "count: says how many events of each named type were appended",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      const known = event({ type: "Paid" });
      await log.append([...spread(5), known]);
      await log.append([known]);
      const { appended } = await log.count(["Placed", "Paid", "Unheard"]);
      assert.deepEqual([...appended.keys()].toSorted(), ["Paid", "Placed", "Unheard"]);
      const { counts, dedupe } = log.capabilities;
      const truth = { Placed: 5, Paid: dedupe === "none" ? 2 : 1, Unheard: 0 };
      for (const [type, count] of Object.entries(truth)) {
        const said = appended.get(type)!;
        assert.ok(counts === "exact" ? said === count : said >= count, `${type}: ${said} instead of ${count}`);
      }
    },
  },
  {
    name: "count: without names it speaks of all types",
    about: "log",
    needs: ({ counts }) => counts === "exact",
    async run(subject) {
      const { log } = await subject.open();
      await log.append([...spread(5), event({ type: "Paid" })]);
      assert.deepEqual(Object.fromEntries((await log.count()).appended), { Placed: 5, Paid: 1 });
    },
  },
  {
    name: "count: heads of all slots",
    about: "log",
    async run(subject) {
      const { log } = await subject.open();
      assert.deepEqual((await log.count(["Placed"])).heads, everySlot(log));
      await log.append(spread(10));
      const highest = new Map<number, number>(everySlot(log));
      for (const { slot, position } of await readAll(log)) highest.set(slot, Math.max(highest.get(slot)!, position));
      const head = Math.max(...highest.values());
      const { heads } = await log.count(["Placed"]);
      assert.deepEqual(heads, log.capabilities.totalOrder ? everySlot(log, head) : highest);
    },
  },
  {
    name: "count: heads and counts are one snapshot",
    about: "log",
    needs: ({ counts, totalOrder }) => counts === "exact" && totalOrder,
    async run(subject) {
      const { log } = await subject.open();
      const other = (await subject.open()).log;
      const { heads, appended } = await log.count(["Placed", "Paid"]);
      assert.deepEqual([heads.get(0), appended.get("Placed"), appended.get("Paid")], [0, 0, 0]);
      const writing = Array.from({ length: 20 }, () => other.append([event(), event({ type: "Paid" })]));
      for (const written of writing) {
        const snapshot = await log.count(["Placed", "Paid"]);
        assert.equal(snapshot.appended.get("Placed"), snapshot.appended.get("Paid"));
        const upTo = await readAll(log);
        const below = upTo.filter(({ position }) => position <= snapshot.heads.get(0)!);
        assert.equal(below.length, snapshot.appended.get("Placed")! + snapshot.appended.get("Paid")!);
        await written;
      }
    },
  },
];
