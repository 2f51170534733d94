/** Files written by every version that was released are opened, read and worked on by this one. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { newestFormat } from "../../src/engines/sqlite/schema.ts";
import { realEnv } from "../../src/env.ts";
import { eventually, freshFile, open, unwell } from "../runtime/support.ts";
import { Bill, fixtureApp, Order } from "./app.ts";
import { fixtures, type Line, linesOf, unpack } from "./contents.ts";

const many = 1_000_000;
/** A fixture writes UUIDs without dashes. */
const plainId = (id: string): string => (id.length === 36 ? id.replaceAll("-", "") : id);
const eventsIn = (lines: readonly Line[]): readonly object[] =>
  lines.flatMap((line) => ("event" in line ? [line.event] : []));

test("there is a fixture of every format", () => {
  assert.deepEqual(
    fixtures.map(({ format }) => format),
    Array.from({ length: newestFormat }, (_, i) => i + 1),
  );
});

for (const fixture of fixtures) {
  const lines = linesOf(fixture);

  test(`format ${fixture.format}: every event is read as it was written`, async () => {
    const engine = await sqlite(`sqlite:${unpack(fixture, freshFile())}`).open({ ...realEnv });
    const after = new Map(Array.from({ length: engine.log.capabilities.slots }, (_, slot) => [slot, 0]));
    const { events } = await engine.log.read({ after, limit: many, scanMax: many });
    const read = events.map((event) => {
      const { position, source, id, type, version, slot, key = null, group = null } = event;
      const { timeMs, recordedMs, attributes, data, crc } = event;
      const place = { position, source, id: plainId(id), type, version, slot, key, group };
      return { ...place, timeMs, recordedMs, attributes, data, crc };
    });
    assert.deepEqual(read, eventsIn(lines));
    await Promise.all([engine.log.close(), engine.ledger.close()]);
  });

  test(`format ${fixture.format}: rows, counts and states stand as they stood, and the doctor is content`, async () => {
    const engine = await sqlite(`sqlite:${unpack(fixture, freshFile())}`).open({ ...realEnv });
    const tallies = await engine.ledger.tally();
    const closed = (tally: (typeof tallies)[number]): number =>
      tally.slots.flatMap(({ outcomes }) => Object.values(outcomes)).reduce((sum, n) => sum + n, 0);
    assert.deepEqual(
      tallies.map((tally) => ({ subscription: tally.name, rows: { ...tally.rows }, closed: closed(tally) })),
      lines.flatMap((line) => ("subscription" in line ? [{ ...line, rows: { deferred: 0, ...line.rows } }] : [])),
    );
    const kept = lines.flatMap((line) => ("state" in line ? [line] : []));
    const till = tallies.find(({ name }) => name === "till");
    const keys = kept.map(({ state }) => state);
    assert.deepEqual(
      await engine.ledger.states(till?.sub ?? 0, keys),
      kept.map(({ value }) => value),
    );
    assert.deepEqual(
      (await engine.inspect()).filter(({ ok }) => !ok),
      [],
    );
    await Promise.all([engine.log.close(), engine.ledger.close()]);
  });

  test(`format ${fixture.format}: work goes on: what was dead, held, waiting and running is done, once`, async () => {
    const file = unpack(fixture, freshFile());
    // The waits of that time are over.
    const env = { ...realEnv, now: () => realEnv.now() + 2 * 86_400_000 };
    const log = await open(`sqlite:${file}`, { env, source: "shop" });
    assert.equal((await log.publish(Order({ key: "k0", n: 0 }))).duplicate, true, "ids are known for good");
    await log.publishAll([
      Order({ key: "k1", n: 24 }),
      Bill({ key: "k1", n: 105, amount: { cents: 1, currency: "EUR" } }),
    ]);
    for (const [subscription, confirm] of [
      ["hold", 1],
      ["skip", 3],
      ["stop", 1],
    ] as const)
      await log.operator.redrive({ subscription }, { confirm });
    const app = fixtureApp(true, () => Promise.reject(new Error("it is mended")));
    const worker = await log.work(app);
    await eventually("all is done, the crashed one after its delay", async () =>
      (await log.operator.status()).every(({ depth, dead }) => depth + dead === 0),
    );
    await worker.stop();
    for (const { name, state } of await log.operator.status()) assert.equal(state, "active", name);
    assert.deepEqual(await unwell(log), []);
    await log.close();
    assert.deepEqual(twiceBooked(file), []);
    assert.equal(sumOfKey(file, "k1"), 247 + 24 + 105);
  });
}

function twiceBooked(file: string): readonly unknown[] {
  const db = new DatabaseSync(file, { readOnly: true });
  const found = db.prepare("SELECT id FROM booked GROUP BY id HAVING count(*) > 1").all();
  const count = db.prepare("SELECT count(*) AS n FROM booked").get()?.["n"];
  db.close();
  assert.equal(count, 31);
  return found;
}
function sumOfKey(file: string, key: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  const row = db.prepare("SELECT value FROM factlog_state WHERE key = ?").get(key) as { value: string };
  db.close();
  return (JSON.parse(row.value) as { sum: number }).sum;
}

test("format 2: what was delayed waits still", async () => {
  const log = await open(sqlite(`sqlite:${unpack(fixtures[1]!, freshFile())}`));
  const waiting = await Array.fromAsync(log.operator.delayed());
  assert.deepEqual(
    waiting.map(({ id, due }) => [id, due.getUTCFullYear()]),
    [["later", 2036]],
  );
  await log.close();
});
