/** Opening: what is refused, with which code, and what the message says to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { event, progress, readAll } from "../../../src/conformance/build.ts";
import { foreignLog, subjectOf } from "../../../src/conformance/index.ts";
import { scene } from "../../../src/conformance/worker.ts";
import { loadDriver } from "../../../src/engines/postgres/driver.ts";
import { parseLocation } from "../../../src/engines/postgres/location.ts";
import { postgres } from "../../../src/engines/postgres/index.ts";
import { requireVersion } from "../../../src/engines/postgres/migrations.ts";
import { inSchema, steps } from "../../../src/engines/postgres/schema.ts";
import { realEnv, type Env } from "../../../src/env.ts";
import type { FactlogError } from "../../../src/errors.ts";
import { defineApp, defineSubscription, openLog } from "../../../src/index.ts";
import { Order } from "../../runtime/facts.ts";
import { eventually, open as openIn } from "../../runtime/support.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { releases } from "../../support/postgres/binaries.ts";
import { guardedPassword, Server } from "../../support/postgres/server.ts";
import { blocked, cancel, closeEngine, openEngine, place } from "./support.ts";

async function refusal(url: string, schema?: string): Promise<FactlogError> {
  try {
    await closeEngine(await postgres({ url, ...(schema === undefined ? {} : { schema }) }).open(realEnv));
  } catch (error) {
    return error as FactlogError;
  }
  assert.fail("it opened");
}

test("openLog takes the address of a database", async (t) => {
  const { address } = await place(t);
  await using log = await openLog(address);
  assert.match((await log.inspect()).map(({ message }) => message).join("\n"), /PostgreSQL \d+/u);
});

test("openLog takes a pool's way to its database, and none of its connections", async (t) => {
  const { url, schema } = await place(t);
  const { Pool } = await loadDriver();
  const { host, port, username, password, pathname, searchParams } = new URL(url);
  const parts = {
    host: host.replace(/:\d+$/u, ""),
    port: Number(port),
    user: username,
    password,
    database: pathname.slice(1),
  };
  for (const options of [{ connectionString: url }, { ...parts, options: searchParams.get("options") }]) {
    const pool = new Pool({ ...options, max: 1 });
    const taken = await pool.connect();
    const log = await openLog(postgres({ pool, schema }));
    const { duplicate } = await log.publish(Order({ key: "k", n: 1 }, { id: "same" }));
    assert.equal(duplicate, "connectionString" in options ? false : true, "both lead to one log");
    await log.close();
    taken.release();
    await pool.end();
  }
});

test("addresses and options that are none", () => {
  for (const url of ["postgres:db", "http://host/db", "host/db", "postgres://a b/c"]) {
    assert.throws(() => postgres(url), { code: "INVALID_OPTION" }, url);
  }
  for (const options of [{}, { url: "postgres://h/d", pool: {} }, { pool: {} }, { pool: "postgres://h/d" }]) {
    assert.throws(() => postgres(options as never), { code: "INVALID_OPTION" });
  }
  for (const schema of ["", "pg_x", "A", "a-b", 'a"b', "1a", "x".repeat(49)]) {
    assert.throws(() => postgres({ url: "postgres://h/d", schema }), { code: "INVALID_OPTION" }, schema);
  }
  for (const slots of [0, 1.5, 4_097]) {
    assert.throws(() => postgres({ url: "postgres://h/d", slots }), { code: "INVALID_OPTION" });
  }
});

test("what is shown of an address holds no password", () => {
  const { shown } = parseLocation("postgres://me:secret@host:5433/shop?schema=orders&sslmode=verify-full");
  assert.equal(shown, "postgres://host:5433/shop?schema=orders");
});

test("a handle is named without its password, and says whether there is a log without making one", async (t) => {
  assert.equal(postgres("postgres://me:secret@host/shop").identity, "postgres://host/shop");
  const where = await place(t);
  assert.equal(await where.handle().exists!(realEnv), false);
  assert.deepEqual(await sql(where.url, "SELECT 1 FROM pg_namespace WHERE nspname = $1", [where.schema]), []);
  await closeEngine(await where.handle().open(realEnv));
  assert.equal(await where.handle().exists!(realEnv), true);
});

test("the driver is missing", async () => {
  await assert.rejects(
    loadDriver(() => Promise.reject(new Error("Cannot find package 'pg'"))),
    (error: FactlogError) => error.code === "DRIVER_MISSING" && error.message.includes("npm install pg"),
  );
  await assert.rejects(
    loadDriver(async () => ({})),
    { code: "DRIVER_MISSING" },
  );
});

test("a version below 14", () => {
  const location = parseLocation("postgres://host/db");
  assert.throws(() => requireVersion(130_014, location), { code: "POSTGRES_TOO_OLD", message: /13.*14 or newer/u });
  requireVersion(140_000, location);
});

test("nobody listens, and there is no such database", async (t) => {
  assert.equal((await refusal("postgres://postgres@127.0.0.1:1/postgres")).code, "STORE_UNREACHABLE");
  const { url } = await place(t);
  const error = await refusal(url.replace("/postgres?", "/nowhere?"));
  assert.equal(error.code, "STORE_UNREACHABLE");
  assert.match(error.message, /nowhere.*createdb/u);
});

test("a wrong password is refused, and told without the password", async (t) => {
  const { url, schema } = await place(t);
  await sql(
    url,
    `DO $$ BEGIN CREATE ROLE guarded LOGIN PASSWORD '${guardedPassword}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
  );
  const error = await refusal(url.replace("postgres@", "guarded:wrong-one@"), schema);
  assert.equal(error.code, "ACCESS_DENIED");
  assert.match(error.message, /password/u);
  assert.ok(!error.message.includes("wrong-one"));
});

test("each right that is missing is named with its GRANT, and with all of them a user works", async (t) => {
  const where = await place(t);
  const { url, schema } = where;
  const role = `${schema}_role`;
  const owner = await openEngine(t, where);
  await owner.log.append([event()]);
  await sql(url, `CREATE ROLE ${role} LOGIN`);
  t.after(() => sql(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`));
  const mine = url.replace("postgres@", `${role}@`);
  const create = await refusal(mine, `${schema}_other`);
  assert.deepEqual([create.code, /GRANT CREATE ON DATABASE postgres/u.test(create.message)], ["ACCESS_DENIED", true]);
  const grants = [
    [/GRANT USAGE ON SCHEMA/u, `GRANT USAGE ON SCHEMA ${schema} TO ${role}`],
    [
      /GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES/u,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    ],
  ] as const;
  for (const [said, grant] of grants) {
    const error = await refusal(mine, schema);
    assert.equal(error.code, "ACCESS_DENIED");
    assert.match(error.message, said);
    await sql(url, grant);
  }
  const engine = await postgres({ url: mine, schema }).open(realEnv);
  t.after(() => closeEngine(engine));
  await engine.log.append([event()]);
  const joining = engine.ledger.lease({
    leaseMs: 1_000,
    serves: [],
    dead: [],
    crashDueMs: 0,
    giveBack: [],
    release: [],
    want: [],
  });
  await assert.rejects(joining, { code: "ACCESS_DENIED", message: /GRANT USAGE ON ALL SEQUENCES/u });
});

test("a schema that is another's, one that is newer, one with other slots", async (t) => {
  const where = await place(t);
  const { url, schema } = where;
  await sql(url, `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.orders(id int)`);
  assert.equal((await refusal(url, schema)).code, "NOT_A_LOG");
  await sql(url, `CREATE TABLE ${schema}.meta(key int)`);
  assert.equal((await refusal(url, schema)).code, "NOT_A_LOG");
  await sql(url, `DROP SCHEMA ${schema} CASCADE`);
  await closeEngine(await where.handle({ slots: 4 }).open(realEnv));
  await assert.rejects(where.handle({ slots: 8 }).open(realEnv), { code: "SLOTS_MISMATCH" });
  await sql(url, `UPDATE ${schema}.meta SET value = '99' WHERE name = 'format'`);
  assert.equal((await refusal(url, schema)).code, "STORE_TOO_NEW");
});

/** A schema as the first format made it. */
async function ofFormatOne({ url, schema }: Place, kind: "log" | "ledger"): Promise<void> {
  await sql(url, `CREATE SCHEMA ${schema}; ${inSchema(steps[0]!, schema)}`);
  const meta = { format: "1", kind, slots: "8", epoch: "first", life: "elsewhere" };
  for (const cell of Object.entries(meta)) await sql(url, `INSERT INTO ${schema}.meta VALUES ($1, $2)`, cell);
}

test("a schema of the first format is brought to the newest, with what is in it", async (t) => {
  const where = await place(t);
  await ofFormatOne(where, "log");
  const { log } = await openEngine(t, where);
  await log.append([event()]);
  await sql(where.url, `SELECT ${where.schema}.publish('Placed', 'k', '{}')`);
  assert.deepEqual(await log.relay!(), { carried: 1, more: false });
  assert.equal((await readAll(log)).length, 2);
});

test("a ledger of the first format keeps what waits beside its log, and takes no events of transactions", async (t) => {
  const where = await place(t);
  await ofFormatOne(where, "ledger");
  const { id, source } = event();
  const waiting = { source, id, type: "T", version: 1, timeMs: 1, attributes: "", data: "1", schema: "", plain: true };
  await sql(where.url, `INSERT INTO ${where.schema}.outbox(source, id, event) VALUES ($1, $2, $3)`, [
    source,
    id,
    JSON.stringify({ ...waiting, crc: 1 }),
  ]);
  const log = await foreignLog({ slots: 8 }).open(realEnv);
  const ledger = await where.handle().openLedger!(realEnv, log);
  t.after(() => ledger.close());
  assert.deepEqual(
    (await ledger.outbox(10)).map((row) => row.event.id),
    [id],
  );
  await assert.rejects(sql(where.url, `SELECT ${where.schema}.publish('Placed', 'k', '{}')`), {
    code: "23514",
    message: /the_log_is_not_in_this_schema/u,
  });
});

test("several processes that open a new log at once make one", async (t) => {
  const where = await place(t);
  const engines = await Promise.all(Array.from({ length: 6 }, () => openEngine(t, where)));
  assert.equal(new Set(engines.map(({ log }) => log.epoch)).size, 1);
  await Promise.all(engines.map(({ log }) => log.append([event()])));
  assert.equal((await readAll(engines[0]!.log)).length, 6);
});

test("a database that lives another life has a new epoch; the same one keeps it", async (t) => {
  const where = await place(t);
  const epochs: string[] = [];
  const look = async (): Promise<void> => {
    const engine = await where.handle().open(realEnv);
    epochs.push(engine.log.epoch);
    await closeEngine(engine);
  };
  await look();
  await look();
  // As in a copy restored elsewhere: what the schema remembers of its database is not what the database says.
  await sql(where.url, `UPDATE ${where.schema}.meta SET value = 'elsewhere.00000001.1' WHERE name = 'life'`);
  await look();
  assert.equal(epochs[1], epochs[0]);
  assert.notEqual(epochs[2], epochs[1]);
});

test("synchronous_commit off is set on for the engine's own sessions", async (t) => {
  const where = await place(t);
  const url = `${where.url}%20-c%20synchronous_commit%3Doff`;
  const [told] = await sql<[string]>(url, "SELECT current_setting('synchronous_commit')");
  assert.deepEqual(told, ["off"]);
  const engine = await openEngine(t, where, { url });
  const settings = (await engine.inspect()).find(({ check }) => check === "settings")!;
  assert.match(settings.message, /synchronous_commit on/u);
  assert.ok(settings.ok);
});

test("a statement that the server ended, as by statement_timeout, has stored nothing and may be tried again", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  await log.append([event()]);
  const ended = (await blocked(where, "appends", "head", () => log.append([event()]), cancel)) as FactlogError;
  assert.deepEqual([ended.code, ended.retryable], ["STORE_BUSY", true]);
  await log.append([event()]);
  assert.equal((await readAll(log)).length, 2);
});

test("a lock that is not to be had in time is STORE_BUSY", async (t) => {
  const where = await place(t);
  const { log } = await openEngine(t, where);
  await log.append([event()]);
  let appended: Promise<unknown> = Promise.resolve();
  const act = (): Promise<unknown> => (appended = log.append([event()]));
  const busy = (await blocked(where, "appends", "head", act, () => appended.catch(() => undefined))) as FactlogError;
  assert.equal(busy.code, "STORE_BUSY");
  assert.match(busy.message, /pg_stat_activity/u);
});

test("a standby is refused, and a server that comes back after a crash is used again", async (t) => {
  const standby = await Server.start(releases[0]!, { standby: true });
  t.after(() => standby.stop());
  const error = await refusal(standby.url);
  assert.equal(error.code, "STORE_READ_ONLY");
  assert.match(error.message, /standby.*primary/u);

  const server = await Server.start(releases[0]!);
  t.after(() => server.stop());
  const subject = subjectOf(postgres({ url: server.url, slots: 4 }));
  t.after(() => subject.close());
  const { worker, lease, ledger } = await scene(subject);
  await worker.engine.log.append([event()]);
  await worker.settle(progress(lease, { low: 1 }));
  await server.restart();
  await worker.engine.log.append([event()]);
  assert.equal((await worker.settle(progress(lease, { low: 2 }))).status, "ok");
  assert.equal((await ledger.load([lease]))[0]!.low, 2);
  assert.equal((await readAll(worker.engine.log)).length, 2);
  assert.deepEqual(
    (await worker.lease()).sessions.map(({ gone }) => gone),
    [false],
  );
});

test("a disk that is full, as the server tells it: nothing is stored, workers wait, and go on when there is room", async (t) => {
  const where = await place(t);
  await using log = await openIn(where.handle());
  const { schema } = where;
  await sql(
    where.url,
    `CREATE FUNCTION ${schema}.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`,
  );
  const fill = (table: string): Promise<unknown> =>
    sql(
      where.url,
      `CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON ${schema}.${table} FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.full()`,
    );
  const makeRoom = (table: string): Promise<unknown> => sql(where.url, `DROP TRIGGER full_disk ON ${schema}.${table}`);
  await log.publish(Order({ key: "k", n: 1 }));
  await fill("event");
  await assert.rejects(log.publish(Order({ key: "k", n: 2 }, { id: "second" })), {
    code: "STORE_FULL",
    retryable: true,
  });
  await makeRoom("event");
  assert.equal((await log.publish(Order({ key: "k", n: 2 }, { id: "second" }))).duplicate, false);

  const seen: number[] = [];
  const reader = defineSubscription("reader", { on: Order, from: "beginning" }, async ({ data }) => {
    if (seen.push(data.n) === 1) await fill("slot");
  });
  const drained = log.drain(defineApp({ name: "t", subscriptions: [reader] }));
  await eventually("handlers have run, and cannot say so", () => seen.length === 2);
  await makeRoom("slot");
  assert.equal((await drained).drained, true);
  assert.deepEqual(seen, [1, 2]);
});

test("clocks of processes an hour apart: everything is delivered in order, retries too, and doctor says it", async (t) => {
  const where = await place(t);
  const hourMs = 3_600_000;
  const at = (offMs: number): Env => ({ ...realEnv, now: () => realEnv.now() + offMs });
  await using ahead = await openIn(where.handle(), { env: at(hourMs) });
  await using behind = await openIn(where.handle(), { env: at(-hourMs) });
  const seen: number[] = [];
  const retry = { attemptsMax: 3, backoff: [5] };
  const reader = defineSubscription("reader", { on: Order, from: "beginning", retry }, ({ data }, ctx) => {
    if (data.n === 1 && ctx.attempt === 1) throw new Error("not at the first attempt");
    seen.push(data.n);
  });
  for (const n of [1, 2, 3]) await ahead.publish(Order({ key: "k", n }));
  const app = defineApp({ name: "t", subscriptions: [reader] });
  await using _worker = await behind.work(app);
  await using _other = await ahead.work(app);
  await eventually("all is delivered", () => seen.length === 3);
  assert.deepEqual(seen, [1, 2, 3]);
  for (const [log, said] of [
    [ahead, /3600 s ahead of/u],
    [behind, /3600 s behind/u],
  ] as const) {
    const clock = (await log.inspect()).find(({ check }) => check === "clock")!;
    assert.equal(clock.ok, false);
    assert.match(clock.message, said);
  }
});
