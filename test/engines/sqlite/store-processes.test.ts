/** Workers that are killed in the middle of a shared transaction, or when it stands and nobody was told: each effect once. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { defineApp, defineSubscription, type Log } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/engines/sqlite/index.ts";
import { Done, eventually, Order, unwell } from "../../runtime/support.ts";
import { numbers, rowsIn, storeScene } from "./store-support.ts";
import { program } from "./support.ts";

/** Runs a worker until it has died. */
async function life(t: TestContext, file: string, dies: string): Promise<void> {
  const child = spawn(process.execPath, ["--conditions=@factlog/source", program("store-worker"), file, dies], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  assert.deepEqual(await once(child, "exit"), [null, "SIGKILL"]);
}

/** Works until every row is there, and then some: what would be done twice has had its chance. */
async function finish(log: Log, rows: () => unknown[], count: number): Promise<void> {
  const options = { on: Order, emits: [Done], from: "beginning", store: sqliteStore() } as const;
  const one = defineSubscription("one", options, ({ data }, ctx) => {
    ctx.tx.run("INSERT INTO effect VALUES (?)", data.n);
    if (data.n % 2 === 0) ctx.emit(Done(data));
  });
  const app = defineApp({ name: "t", subscriptions: [one] });
  await eventually("all is done", async () => (await log.drain(app)).waiting === 0);
  assert.deepEqual(rows(), numbers(count));
}

test("workers killed while handlers run and after their commit: rows and facts are there once", async (t) => {
  const { file, log, rows } = await storeScene(t);
  const count = 300;
  await log.publishAll(numbers(count).map((n) => Order({ key: `k${n % 40}`, n })));
  let killed = 0;
  for (const dies of ["1", "5c", "20", "1c", "33", "16c", "50"]) {
    await life(t, file, dies);
    killed++;
  }
  const before = rows().length;
  assert.ok(before > 0 && before < count, `${before} rows when ${killed} workers were dead`);
  await finish(log, rows, count);
  const done = (await Array.fromAsync(log.read({ on: Done }))).map((event) => (event.data as { n: number }).n);
  assert.deepEqual(
    done.toSorted((a, b) => a - b),
    numbers(count).filter((n) => n % 2 === 0),
  );
  assert.deepEqual(rowsIn(file, "SELECT * FROM factlog_settled"), []);
  assert.deepEqual(await unwell(log), []);
});

test("two workers side by side, one of which dies", async (t) => {
  const { file, log, rows } = await storeScene(t);
  await log.publishAll(numbers(200).map((n) => Order({ key: `k${n % 40}`, n })));
  await Promise.all([life(t, file, "30"), life(t, file, "20c")]);
  await finish(log, rows, 200);
  assert.deepEqual(await unwell(log), []);
});
