/** Databases that begin another life: a standby is promoted, a dump restored, old files put back. Everybody notices. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { defineApp, defineSubscription, sql as statement } from "../../../src/index.ts";
import type { Position } from "../../../src/event/position.ts";
import type { Log } from "../../../src/runtime/log.ts";
import { Order } from "../../runtime/facts.ts";
import { eventually, open } from "../../runtime/support.ts";
import { sql } from "../../support/postgres.ts";
import { releases } from "../../support/postgres/binaries.ts";
import { Server } from "../../support/postgres/server.ts";
import { Wire } from "../../support/postgres/wire.ts";

const release = releases[0]!;
/** The package of the registry comes without the programs for dumps. */
const withDump = releases.find((one) => one.name !== release.name && existsSync(join(one.programs(""), "pg_dump")));

/** Counts each order in a table, in the transaction that settles it. */
const counting = defineApp({
  name: "t",
  subscriptions: [
    defineSubscription("counts", { on: Order, from: "beginning" }, ({ id }, ctx) => {
      ctx.write(statement`INSERT INTO effect(id) VALUES (${id})`);
    }),
  ],
});
/** A session of before is waited for: behind a restart its free lock proves nothing. */
const lease = "1s";
const makeTable = (url: string): Promise<unknown> => sql(url, "CREATE TABLE effect(id text NOT NULL)");
const effectsIn = async (url: string): Promise<string[]> =>
  (await sql<[string]>(url, "SELECT id FROM effect ORDER BY id")).map(([id]) => id);

async function idsOf(log: Log): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of log.read()) ids.push(id);
  return ids.toSorted();
}
/** Follows until it cannot; resolves with the code of the error. */
async function follow(log: Log, seen: string[]): Promise<string> {
  try {
    for await (const frame of log.follow({ from: "beginning" })) if (frame.kind === "event") seen.push(frame.event.id);
    return "it ended";
  } catch (error) {
    return (error as { code: string }).code;
  }
}
/** A log with a worker and a follower who have seen this many orders. */
async function living(t: TestContext, url: string, count: number) {
  const log = await open(url, { lease });
  t.after(() => log.close());
  const worker = await log.work(counting);
  worker.stopped.catch(() => undefined);
  const seen: string[] = [];
  const followed = follow(log, seen);
  let position = "";
  for (let n = 0; n < count; n++) position = (await log.publish(Order({ key: `k${n % 5}`, n }))).position!;
  await eventually(
    "all is done and seen",
    async () => seen.length === count && (await effectsIn(url)).length === count,
  );
  return { log, worker, seen, followed, position };
}
/** Opened anew it is another epoch: places of the old one mean nothing in it. */
async function isAnotherEpoch(log: Log, position: string): Promise<void> {
  assert.notEqual((await log.head()).position.split(".")[0], position.split(".")[0]);
  await assert.rejects(log.page({ from: position as Position, limit: 1 }), {
    code: "INVALID_OPTION",
    message: /restored/u,
  });
}

test("a standby is promoted under load: workers and followers stop, what was acknowledged is there, its effects once", async (t) => {
  const primary = await Server.start(release);
  t.after(() => primary.stop());
  await primary.halt();
  const [standby] = await Promise.all([Server.following(primary), primary.resume()]);
  t.after(() => standby.stop());
  await eventually("it follows", async () => {
    return (await sql(primary.url, "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")).length === 1;
  });
  await sql(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'");
  await sql(primary.url, "SELECT pg_reload_conf()");
  await makeTable(primary.url);
  const wire = await Wire.to(primary.url);
  t.after(() => wire.close());
  const url = wire.through(primary.url);
  const { log, worker, followed, position } = await living(t, url, 20);

  const acked = new Set<string>();
  let failed = "";
  const publishing = async (lane: number): Promise<void> => {
    for (let n = 0; failed === ""; n++) {
      const id = `l${lane}-${n}`;
      await log.publish(Order({ key: `k${n % 5}`, n }, { id })).then(
        () => acked.add(id),
        (error: unknown) => (failed = (error as { code: string }).code),
      );
    }
  };
  const lanes = [0, 1, 2, 3].map(publishing);
  await eventually("there is load", () => acked.size > 100);
  await primary.kill();
  await sql(standby.url, "SELECT pg_promote()");
  wire.lead(standby.url);
  await Promise.all(lanes);
  assert.ok(["OUTCOME_UNKNOWN", "STORE_FAILED"].includes(failed), failed);
  await assert.rejects(worker.stopped, { code: "STORE_FAILED", message: /another database than before/u });
  assert.equal(await followed, "STORE_FAILED");

  const again = await open(url, { lease });
  t.after(() => again.close());
  await isAnotherEpoch(again, position);
  assert.equal((await again.drain(counting)).drained, true);
  const ids = await idsOf(again);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(
    [...acked].filter((id) => !ids.includes(id)),
    [],
  );
  assert.deepEqual(await effectsIn(url), ids);
});

test("files of an earlier moment are put back: who had the log open notices, and the next to open begins an epoch", async (t) => {
  const server = await Server.start(release);
  t.after(() => server.stop());
  await makeTable(server.url);
  const { log, worker, followed, position } = await living(t, server.url, 3);
  await server.halt();
  const putBack = server.keepFiles();
  await server.resume();
  // A mere restart is no other life.
  await eventually("it goes on", async () => {
    await log.publish(Order({ key: "k", n: 4 }, { id: "fourth" })).catch(() => undefined);
    return (await effectsIn(server.url)).includes("fourth");
  });
  await server.halt();
  putBack();
  await server.resume();
  await assert.rejects(worker.stopped, { code: "STORE_FAILED" });
  assert.equal(await followed, "STORE_FAILED");
  const again = await open(server.url);
  t.after(() => again.close());
  await isAnotherEpoch(again, position);
  assert.equal((await idsOf(again)).length, 3);
});

const skip = withDump === undefined ? "no PostgreSQL with pg_dump is here" : false;
test(
  "a dump is restored under those who have the log open, and beside it: each is another epoch",
  { skip },
  async (t) => {
    const server = await Server.start(withDump!);
    t.after(() => server.stop());
    await makeTable(server.url);
    const { log, worker, followed, position } = await living(t, server.url, 3);
    const file = join(tmpdir(), `factlog-${process.pid}.dump`);
    t.after(() => rmSync(file, { force: true }));
    execFileSync(join(server.programs, "pg_dump"), ["-Fc", "-f", file, server.url]);
    const ids = await idsOf(log);
    await log.publish(Order({ key: "k", n: 4 }));

    await sql(server.url, "CREATE DATABASE beside");
    const beside = new URL(server.url);
    beside.pathname = "beside";
    const restore = (to: string, ...options: string[]): void =>
      void execFileSync(join(server.programs, "pg_restore"), [...options, "-d", to, file]);
    restore(beside.href);
    const copy = await open(beside.href);
    t.after(() => copy.close());
    await isAnotherEpoch(copy, position);
    assert.deepEqual(await idsOf(copy), ids);
    assert.equal((await copy.drain(counting)).deliveries, 0);

    restore(server.url, "--clean", "--if-exists", "--single-transaction");
    await assert.rejects(worker.stopped, { code: "STORE_FAILED" });
    assert.equal(await followed, "STORE_FAILED");
    const again = await open(server.url);
    t.after(() => again.close());
    await isAnotherEpoch(again, position);
    assert.deepEqual(await idsOf(again), ids);
  },
);
