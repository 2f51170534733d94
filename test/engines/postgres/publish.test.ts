/** `publish` in SQL: for other languages and triggers. What it writes down is what the TypeScript side would have. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { readAll } from "../../../src/conformance/build.ts";
import { checksum, slotOf } from "../../../src/event/codec.ts";
import { limits } from "../../../src/limits.ts";
import { openLog } from "../../../src/index.ts";
import { sql } from "../../support/postgres.ts";
import { Placed, relayAll } from "./outbox-support.ts";
import { openEngine, place } from "./support.ts";

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u;

test("an event of SQL has the slot, the checksum and the form of any other", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where, { slots: 61 });
  const call = `SELECT ${where.schema}.publish($1, $2, $3, $4, source => $5)`;
  const keys = [null, "a", "käse", "\u{1f9c0}", "order 42", "x".repeat(limits.keyBytesMax)];
  for (const [i, key] of keys.entries()) {
    const id = i % 2 === 0 ? null : `id ${i}`;
    const [row] = await sql<[string]>(where.url, call, [
      "Placed",
      key,
      JSON.stringify({ order: key ?? "", n: i }),
      id,
      "shop",
    ]);
    if (id === null) assert.match(row![0], uuidV7);
    else assert.equal(row![0], id);
  }
  const startedMs = Date.now();
  assert.equal(await relayAll(log), keys.length);
  const events = await readAll(log);
  assert.deepEqual(
    events.map(({ key }) => key ?? null),
    keys,
  );
  for (const event of events) {
    assert.equal(event.crc, checksum(event));
    assert.equal(event.slot, slotOf(event, 61));
    assert.equal(event.source, "shop");
    assert.ok(Math.abs(event.timeMs - startedMs) < 60_000);
  }
});

test("the loop that older servers compute checksums with gives those of zlib", async (t) => {
  const where = await place(t);
  await openEngine(t, where);
  const texts = ["", "a", "123456789", "käse \u{1f9c0}", "\0\u0001\xff", "x".repeat(3_000)];
  for (const text of texts) {
    const bytes = Buffer.from(text);
    const [row] = await sql<[string, string]>(
      where.url,
      `SELECT ${where.schema}.crc32($1::bytea), ${where.schema}.crc32_loop($1::bytea)`,
      [bytes],
    );
    assert.deepEqual(row!.map(Number), [crc32(bytes), crc32(bytes)]);
  }
});

test("a trigger publishes with the row that it is for, and a handler's ctx.write may set it off", async (t) => {
  const where = await place(t);
  const { log, ledger } = await openEngine(t, where);
  await sql(
    where.url,
    `CREATE TABLE orders(id text PRIMARY KEY, n int NOT NULL);
     CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       PERFORM ${where.schema}.publish('Placed', NEW.id, jsonb_build_object('order', NEW.id, 'n', NEW.n));
       RETURN NEW;
     END $$;
     CREATE TRIGGER tell AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell()`,
  );
  await sql(where.url, "INSERT INTO orders VALUES ('a', 1), ('b', 2)");
  await sql(where.url, "BEGIN; INSERT INTO orders VALUES ('c', 3); ROLLBACK");
  await sql(where.url, "SET factlog.guest = 'on'; UPDATE orders SET n = 4 WHERE id = 'b'");
  await assert.rejects(sql(where.url, `SET factlog.guest = 'on'; DELETE FROM ${where.schema}.outbox`), {
    code: "FL006",
  });
  assert.equal(await relayAll(log), 3);
  await using opened = await openLog(where.handle());
  const read = [];
  for await (const event of opened.read({ on: Placed })) read.push(event.data);
  assert.deepEqual(read, [
    { order: "a", n: 1 },
    { order: "b", n: 2 },
    { order: "b", n: 4 },
  ]);
  assert.deepEqual(await ledger.tally(), []);
});

test("what the product's limits refuse is refused with what to do", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
  const good = ["Placed", "k", "{}", null, "s", 1] as const;
  const cases: readonly (readonly [at: number, value: unknown, said: RegExp, todo: RegExp])[] = [
    [0, null, /type is NULL/u, /Give a name/u],
    [0, "", /type has 0 characters/u, /1 to 200/u],
    [0, "x".repeat(201), /type has 201 characters/u, /1 to 200/u],
    [0, "a\nb", /type holds a control character/u, /printable/u],
    [1, "", /key has 0 bytes/u, /1 to 512/u],
    [1, "ä".repeat(257), /key has 514 bytes/u, /1 to 512/u],
    [2, null, /data is NULL/u, /'null'::jsonb/u],
    [2, JSON.stringify("x".repeat(limits.eventBytesMax)), /data has 262146 bytes/u, /store large things/u],
    [2, nested(65), /data has more than 64 levels/u, /flatter/u],
    [3, "", /id has 0 bytes/u, /1 to 512/u],
    [4, "", /source has 0 characters/u, /1 to 200/u],
    [5, 0, /version is 0/u, /1 or more/u],
  ];
  for (const [at, value, said, todo] of cases) {
    const values = good.map((one, i) => (i === at ? value : one));
    await assert.rejects(
      sql(where.url, `SELECT ${where.schema}.publish($1, $2, $3, $4, $5, $6)`, values),
      (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, "22023", error.message);
        assert.match(error.message, said);
        assert.match(error.message, /Nothing was stored/u);
        assert.match(error.hint, todo);
        return true;
      },
    );
  }
  assert.equal(await relayAll(log), 0);
  for (const data of [nested(64), "null", JSON.stringify({ a: [{ b: null }] })]) {
    await sql(where.url, `SELECT ${where.schema}.publish('Placed', 'k', $1)`, [data]);
  }
  assert.equal(await relayAll(log), 3);
});
