/** New tables are filled beside the live ones; whoever reads the views sees no gap, no error and no mixture. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineApp, defineProjection, type Log, sql } from "../../src/index.ts";
import { engines, eventually, open, Order, unwell } from "./support.ts";

/** Two tables that say the same, and which version wrote it. */
const projectionOf = (version: number) =>
  defineProjection(
    "facts",
    {
      on: Order,
      version,
      tables: ["facts", "totals"],
      create: (t) => [
        sql`create table ${t.facts} (k text not null, n integer not null, v integer not null)`,
        sql`create table ${t.totals} (k text primary key, facts integer not null, v integer not null)`,
      ],
    },
    ({ data }, ctx) => {
      ctx.write(sql`insert into ${ctx.tables.facts} values (${data.key}, ${data.n}, ${version})`);
      ctx.write(
        sql`insert into ${ctx.tables.totals} as t values (${data.key}, 1, ${version})
                on conflict (k) do update set facts = t.facts + 1`,
      );
    },
  );
const projection = projectionOf(1);
const facts = (version: number) => defineApp({ name: "t", subscriptions: [projectionOf(version)] });
const look = sql`select (select count(*) from facts) as rows, (select coalesce(sum(facts), 0) from totals) as total,
  (select min(v) from facts) as a, (select max(v) from facts) as b, (select min(v) from totals) as c, (select max(v) from totals) as d`;
interface Looked {
  readonly rows: number;
  readonly total: number | string;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** Reads until it is told to stop: what must always hold, holds. */
async function readOn(
  log: Log,
  over: AbortSignal,
): Promise<{ readonly looks: number; readonly versions: ReadonlySet<number> }> {
  const versions = new Set<number>();
  let most = 0;
  let looks = 0;
  for (; !over.aborted; looks++) {
    const [seen] = await log.query<Looked>(look);
    assert.ok(seen !== undefined);
    assert.equal(seen.rows, Number(seen.total), "a mixture of two moments");
    assert.ok(seen.rows >= most, `a gap: ${seen.rows} after ${most}`);
    most = seen.rows;
    assert.deepEqual([seen.a, seen.c, seen.d], [seen.b, seen.b, seen.b], "a mixture of two generations");
    versions.add(seen.a);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { looks, versions };
}
async function publishOn(log: Log, from: number, over: AbortSignal): Promise<number> {
  let n = from;
  while (!over.aborted) {
    const last = await log.publishAll(Array.from({ length: 20 }, () => Order({ key: `k${n % 97}`, n: n++ })));
    // No faster than the slowest engine applies: what is published must be applied while others read.
    await log.caughtUp(projection, last.at(-1)!, { timeout: "60s" });
  }
  return n;
}
const history = 400;
const many = 1_000;

for (const engine of engines.filter(({ name }) => name !== "memory")) {
  for (const how of ["a newer version", "an operator's wish"] as const) {
    test(`${engine.name}: a rebuild by ${how} under load: readers never see a gap, an error or a mixture`, async () => {
      const handle = engine.fresh();
      await using log = await open(handle);
      await using other = await open(handle);
      await using reader = await open(handle);
      await log.publishAll(Array.from({ length: history }, (_, n) => Order({ key: `k${n % 97}`, n })));
      const before = await log.work(facts(1));
      const applied = async () => (await log.operator.projections()).at(-1)?.applied ?? 0;
      await eventually("the history is there", async () => (await applied()) === history);
      const over = new AbortController();
      const reading = readOn(reader, over.signal);
      const publishing = publishOn(log, history, over.signal);
      let after;
      if (how === "a newer version") after = await other.work(facts(2));
      else assert.equal(await other.operator.rebuild("facts"), 2);
      const shows2 = async () => {
        const known = await other.operator.projections();
        return known.length === 1 && known[0]?.generation === 2 && known[0].state === "live";
      };
      await eventually("the views show the second generation", shows2, 90_000);
      const worker = after ?? before;
      if (after !== undefined) await before.stop();
      over.abort();
      const published = await publishing;
      const { looks, versions } = await reading;
      await eventually("all is applied", async () => (await applied()) === published);
      await worker.stop();
      const [end] = await reader.query<Looked>(look);
      const version = how === "a newer version" ? 2 : 1;
      assert.deepEqual([end?.rows, Number(end?.total), end?.a, end?.b], [published, published, version, version]);
      assert.ok(looks > 20 && published > history, `${looks} looks, ${published} events`);
      assert.ok(versions.has(1), "readers had the first generation to read");
      assert.deepEqual(
        (await log.operator.status()).map(({ name, depth, dead }) => [name, depth, dead]),
        [["facts", 0, 0]],
      );
      assert.deepEqual(await unwell(log), []);
      await assert.rejects(reader.query(sql`select * from facts__1`));
    });
  }

  test(`${engine.name}: a rebuild goes on where its worker stopped; retire takes the tables along`, async () => {
    const handle = engine.fresh();
    await using log = await open(handle);
    await using other = await open(handle);
    await log.publishAll(Array.from({ length: many }, (_, n) => Order({ key: `k${n}`, n })));
    const first = await log.work(facts(1));
    const filling = async () => (await other.operator.projections()).find((one) => one.state === "filling");
    await eventually("all is applied", async () => (await log.operator.projections())[0]?.applied === many, 60_000);
    await first.stop();
    const second = await log.work(facts(2));
    await eventually("something is filled", async () => ((await filling())?.applied ?? 0) > 0);
    await second.stop({ grace: 0 });
    const half = await filling();
    assert.deepEqual(
      (await other.operator.status()).map(({ name, state }) => [name, state]),
      [
        ["facts", "active"],
        ["facts@2", "replaying"],
      ],
    );
    assert.ok(half !== undefined && half.applied > 0, "it was stopped in the middle");
    await assert.rejects(other.operator.rebuild("facts"), { code: "CONFLICT" });
    assert.equal((await other.drain(facts(2))).drained, true);
    const [end] = await log.query<Looked>(look);
    assert.deepEqual([end?.rows, Number(end?.total), end?.a, end?.d], [many, many, 2, 2]);
    await assert.rejects(log.operator.rename("facts", "other"), { code: "NOT_SUPPORTED" });
    await log.operator.retire("facts");
    await assert.rejects(log.query(look));
    assert.deepEqual(await log.operator.projections(), []);
    await log.drain(facts(1));
    assert.equal((await log.query<Looked>(look))[0]?.a, 1);
  });
}
