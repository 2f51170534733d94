/** Events of the user's own transactions: in the log if and only if they committed, in order, once, and in nobody's way. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import pg from "pg";
import { z } from "zod";
import { event, readAll } from "../../../src/conformance/build.ts";
import { checksum, slotOf } from "../../../src/event/codec.ts";
import { defineEvent } from "../../../src/index.ts";
import { outbox, outboxSql } from "../../../src/outbox/index.ts";
import { sql } from "../../support/postgres.ts";
import { connect, dataOf, order, Paid, Placed, publish, publishing, relayAll } from "./outbox-support.ts";
import { blocked, openEngine, place, terminate } from "./support.ts";

test("an event exists if and only if its transaction committed", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const committed = await publishing(t, where, Placed(order("a", 1)), Placed(order("b", 2)));
  const rolledBack = await publishing(t, where, Placed(order("a", 3)));
  const killed = await publishing(t, where, Placed(order("a", 4)));
  const [pid] = (await killed.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
  assert.equal(await relayAll(log), 0);
  await committed.query("COMMIT");
  await rolledBack.query("ROLLBACK");
  await terminate(where.url, pid!.pid);
  assert.equal(await relayAll(log), 2);
  assert.deepEqual(await dataOf(log), [order("a", 1), order("b", 2)]);
  assert.deepEqual(await log.outbox!(), { depth: 0, oldestMs: 0, refused: 0 });
  assert.deepEqual(await sql(where.url, `SELECT * FROM ${where.schema}.outbox`), []);
});

test("what is relayed is stored as if it had been published", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where, { slots: 7 });
  const data = { order: 'käse\n"\\ \u{1f9c0}', n: -0.1 };
  const attributes = {
    subject: "s",
    correlationId: "c",
    time: new Date(5),
    source: "shop",
    id: "sixteen bytes id",
    traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
    extensions: { own: "x" },
  };
  await publish(t, where, Placed(data, attributes), Paid({ id: "p-1", n: 1 }), Placed(order("o", 1)));
  await relayAll(log);
  const events = await readAll(log);
  assert.equal(events.length, 3);
  for (const event of events) {
    assert.equal(event.crc, checksum(event));
    assert.equal(event.slot, slotOf(event, 7));
  }
  const [first, second] = events;
  assert.deepEqual(
    [first!.source, first!.id, first!.timeMs, first!.key, first!.data],
    ["shop", "sixteen bytes id", 5, data.order, JSON.stringify(data)],
  );
  assert.deepEqual([second!.key, second!.id, second!.source], [undefined, "p-1", "factlog"]);
  const appended = await log.append(events);
  assert.deepEqual(
    appended.map(({ duplicate, position }) => [duplicate, position]),
    [1, 2, 3].map((position) => [true, position]),
  );
});

test("a key's order is that of its writers where they come one after the other, inside large transactions too", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  await sql(where.url, "CREATE TABLE orders(id text PRIMARY KEY, n int NOT NULL); INSERT INTO orders VALUES ('a', 0)");
  const write = async (noise: number): Promise<void> => {
    const client = await connect(t, where);
    const box = outbox(client, { schema: where.schema });
    await client.query("BEGIN");
    for (let i = 0; i < noise; i++) await box.publish(Placed(order(`other ${noise}`, i)));
    // The lock of the row is what makes the writers of the order come one after the other.
    const { rows } = await client.query<{ n: number }>("UPDATE orders SET n = n + 1 WHERE id = 'a' RETURNING n");
    await box.publish(Placed(order("a", rows[0]!.n)));
    for (let i = 0; i < noise; i++) await box.publish(Placed(order(`other ${noise}`, noise + i)));
    await client.query("COMMIT");
  };
  let over = false;
  const relaying = (async () => {
    while (!over) await log.relay!();
  })();
  await Promise.all([1, 30, 3, 20, 7, 12, 5].map(write));
  over = true;
  await relaying;
  await relayAll(log);
  const byKey = Map.groupBy(await readAll(log), ({ key }) => key);
  assert.equal(byKey.size, 8);
  for (const events of byKey.values()) {
    const numbers = events.map(({ data }) => (JSON.parse(data) as { n: number }).n);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  }
});

test("a transaction that commits late loses nothing and reorders nothing; others do not wait for it", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const late = await publishing(t, where, Placed(order("late", 1)), Placed(order("late", 2)));
  await publish(t, where, Placed(order("other", 1)));
  assert.equal(await relayAll(log), 1);
  await publish(t, where, Placed(order("other", 2)));
  assert.equal(await relayAll(log), 1);
  await late.query("COMMIT");
  assert.equal(await relayAll(log), 2);
  assert.deepEqual(await dataOf(log), [order("other", 1), order("other", 2), order("late", 1), order("late", 2)]);
});

test("a publish waits for nobody, and nobody for it: not the relay, not appends, not one of the same id", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const client = await connect(t, where);
  await client.query("SET lock_timeout = 1; BEGIN");
  const open = await publishing(t, where, Paid({ id: "p", n: 1 }));
  await sql(where.url, `BEGIN; SELECT 1 FROM ${where.schema}.head FOR UPDATE; COMMIT`);
  const holder = await connect(t, where);
  await holder.query(`BEGIN; SELECT 1 FROM ${where.schema}.head FOR UPDATE`);
  await outbox(client, { schema: where.schema }).publish(Paid({ id: "p", n: 1 }));
  await holder.query("ROLLBACK");
  await client.query("COMMIT");
  assert.equal(await relayAll(log), 1);
  const { rows } = await open.query<{ locktype: string }>(
    "SELECT DISTINCT locktype FROM pg_locks WHERE pid = pg_backend_pid() AND mode NOT IN ('AccessShareLock', 'RowExclusiveLock')",
  );
  assert.deepEqual(rows.map(({ locktype }) => locktype).toSorted(), ["transactionid", "virtualxid"]);
  await open.query("COMMIT");
  assert.equal(await relayAll(log), 1);
  assert.deepEqual(await dataOf(log), [{ id: "p", n: 1 }]);
});

test("a relay that is ended in the middle has done nothing, and another goes on at once", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const { log: other } = await openEngine(t, where);
  const events = Array.from({ length: 50 }, (_, n) => Placed(order(`k${n % 5}`, n)));
  await publish(t, where, ...events);
  // It has the relay's lock and waits for the head; the other is told that somebody is at it.
  const killed = await blocked(
    where,
    "appends",
    "head",
    () => log.relay!(),
    async (url, pid) => {
      assert.deepEqual(await other.relay!(), { carried: 0, more: true });
      await terminate(url, pid);
    },
  );
  // The first one asks again by itself, so the two share what is there.
  assert.equal((killed as { carried: number }).carried + (await relayAll(other)), 50);
  assert.deepEqual(
    await dataOf(log),
    events.map(({ data }) => data),
  );
  assert.deepEqual(
    (await readAll(log)).map(({ position }) => position),
    events.map((_, i) => i + 1),
  );
});

test("several relays at once, with appends between them, move each event once", async (t) => {
  const where = await place(t);
  const engines = await Promise.all([1, 2, 3].map(() => openEngine(t, where)));
  const publishers = Array.from({ length: 4 }, async (_, p) => {
    for (let n = 0; n < 40; n++) await publish(t, where, Placed(order(`${p}`, n)));
  });
  let over = false;
  const relaying = engines.map(async ({ log }) => {
    let sum = 0;
    while (!over) sum += (await log.relay!()).carried;
    return sum;
  });
  let appended = 0;
  const appending = (async () => {
    const { log } = await openEngine(t, where);
    while (!over) appended += (await log.append([event(), event()])).length;
  })();
  await Promise.all(publishers);
  over = true;
  const sums = await Promise.all(relaying);
  await appending;
  const rest = await relayAll(engines[0]!.log);
  assert.equal(sums.reduce((a, b) => a + b) + rest, 160);
  const all = await readAll(engines[0]!.log);
  assert.equal(all.length, 160 + appended);
  assert.deepEqual(
    all.map(({ position }) => position),
    all.map((_, i) => i + 1),
  );
  const byKey = Map.groupBy(
    all.filter(({ source }) => source === "factlog"),
    ({ key }) => key,
  );
  for (const events of byKey.values()) {
    assert.deepEqual(
      events.map(({ data }) => (JSON.parse(data) as { n: number }).n),
      Array.from({ length: 40 }, (_, n) => n),
    );
  }
});

test("a known id with the same content is dropped, one with other content is refused, seen, and in nobody's way", async (t) => {
  const where = await place(t);
  const engine = await openEngine(t, where);
  const { log } = engine;
  await publish(t, where, Paid({ id: "p", n: 1 }), Paid({ id: "p", n: 1 }), Paid({ id: "p", n: 2 }));
  assert.equal(await relayAll(log), 2);
  await publish(t, where, Paid({ id: "p", n: 1 }), Paid({ id: "p", n: 3 }), Paid({ id: "q", n: 4 }));
  await publish(t, where, Paid({ id: "p", n: 5 }, { source: "another" }));
  assert.equal(await relayAll(log), 3);
  assert.deepEqual(await dataOf(log), [
    { id: "p", n: 1 },
    { id: "q", n: 4 },
    { id: "p", n: 5 },
  ]);
  assert.deepEqual(await log.relay!(), { carried: 0, more: false });
  const state = await log.outbox!();
  assert.deepEqual([state.depth, state.refused], [0, 2]);
  const finding = (await engine.inspect()).find(({ check }) => check === "outbox")!;
  assert.equal(finding.ok, false);
  assert.match(finding.message, /2 refused; seq 3: Paid "p" of "factlog": ID_CONFLICT/u);
  // An operator mends one and drops the other.
  const { schema, url } = where;
  await sql(url, `DELETE FROM ${schema}.outbox WHERE seq = 3`);
  await sql(url, `UPDATE ${schema}.outbox SET source = 'mended', refused = NULL WHERE refused IS NOT NULL`);
  assert.equal(await relayAll(log), 1);
  assert.equal((await readAll(log)).at(-1)!.source, "mended");
});

test("what waits is counted, with its age; large transactions are moved some at a time, in order", async (t) => {
  const where = await place(t);
  const engine = await openEngine(t, where);
  const { log } = engine;
  const events = Array.from({ length: 3_000 }, (_, n) => Placed(order("k", n)));
  await publish(t, where, ...events);
  await sql(where.url, `UPDATE ${where.schema}.outbox SET inserted_at = inserted_at - interval '2 minutes'`);
  const { depth, oldestMs, refused } = await log.outbox!();
  assert.deepEqual([depth, refused, Math.round(oldestMs / 60_000)], [3_000, 0, 2]);
  const finding = (await engine.inspect()).find(({ check }) => check === "outbox")!;
  assert.match(finding.message, /^3000 waiting, the oldest for 12\d s; no worker moves them/u);
  assert.equal(finding.ok, false);
  const first = await log.relay!();
  assert.ok(first.more && first.carried < 3_000);
  await relayAll(log);
  assert.deepEqual(
    await dataOf(log),
    events.map(({ data }) => data),
  );
  assert.ok((await engine.inspect()).every(({ ok }) => ok));
});

test("few but large events are moved some at a time", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const Large = defineEvent("Large", { schema: z.string() });
  await publish(t, where, ...Array.from({ length: 40 }, () => Large("x".repeat(200_000))));
  const first = await log.relay!();
  assert.ok(first.more && first.carried > 10 && first.carried < 30, JSON.stringify(first));
  assert.equal(first.carried + (await relayAll(log)), 40);
});

test("a publish notifies nobody: commits that notify wait for each other", async (t) => {
  const where = await place(t);
  await openEngine(t, where);
  const listener = await connect(t, where);
  await listener.query(`LISTEN "factlog_${where.schema}"`);
  const heard = once(listener, "notification") as Promise<[pg.Notification]>;
  await publish(t, where, Placed(order("a", 1)));
  await sql(where.url, `NOTIFY "factlog_${where.schema}", 'end'`);
  assert.equal((await heard)[0].payload, "end");
});

test("who waits for events is woken, in this process and in others", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const { log: other } = await openEngine(t, where);
  await publish(t, where, Placed(order("a", 1)));
  const { signal } = new AbortController();
  const woken = Promise.all([log.wake(60_000, signal), other.wake(60_000, signal)]);
  await log.relay!();
  await woken;
  assert.equal((await readAll(other)).length, 1);
});

test("nothing is sent where one event of several is refused", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const client = await connect(t, where);
  await client.query("BEGIN");
  const box = outbox(client, { schema: where.schema });
  const wrong = Placed({ order: "a" } as unknown as { order: string; n: number });
  await assert.rejects(box.publish(Placed(order("a", 1)), wrong), { code: "INVALID_DATA", message: /^event 1 / });
  await box.publish(Placed(order("a", 2)));
  await client.query("COMMIT");
  await relayAll(log);
  assert.deepEqual(await dataOf(log), [order("a", 2)]);
});

test("receipts name id and correlation, and no position; the statement is one for all events", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const client = await connect(t, where);
  const given = [Placed(order("a", 1)), Paid({ id: "p", n: 1 }, { correlationId: "c" })];
  const { text, values, receipts } = outboxSql(given, { schema: where.schema, source: "shop" });
  await client.query(text, [...values]);
  assert.deepEqual(receipts[1], { id: "p", correlationId: "c", duplicate: false });
  assert.deepEqual(receipts[0], { id: receipts[0]!.id, correlationId: receipts[0]!.id, duplicate: false });
  await relayAll(log);
  assert.deepEqual(
    (await readAll(log)).map(({ id, source }) => [id, source]),
    receipts.map(({ id }) => [id, "shop"]),
  );
  assert.deepEqual(await outbox(client, { schema: where.schema }).publish(), []);
});

test("a pool is refused, and a schema that is none", async (t) => {
  const where = await place(t);
  const pool = new pg.Pool({ connectionString: where.url });
  t.after(() => pool.end());
  assert.throws(() => outbox(pool), { code: "INVALID_OPTION", message: /pool/u });
  assert.throws(() => outboxSql([], { schema: 'a"b' }), { code: "INVALID_OPTION" });
});

test("a publisher needs no more than INSERT into the outbox", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const role = `${where.schema}_shop`;
  await sql(where.url, `CREATE ROLE ${role} LOGIN`);
  t.after(() => sql(where.url, `DROP OWNED BY ${role}; DROP ROLE ${role}`));
  await sql(
    where.url,
    `GRANT USAGE ON SCHEMA ${where.schema} TO ${role}; GRANT INSERT ON ${where.schema}.outbox TO ${role}`,
  );
  const mine = { ...where, url: where.url.replace("postgres@", `${role}@`) };
  await publish(t, mine, Placed(order("a", 1)));
  await sql(mine.url, `SELECT ${where.schema}.publish('Placed', 'a', '{"order": "a", "n": 2}')`);
  await assert.rejects(sql(mine.url, `SELECT * FROM ${where.schema}.outbox`), { code: "42501" });
  assert.equal(await relayAll(log), 2);
});
