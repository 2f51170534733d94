/** Processes that die, stand still and come back: a table without any constraint has each effect once all the same. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, test, type TestContext } from "node:test";
import type { Log } from "../../../src/index.ts";
import { Done, eventually, open, Order, unwell } from "../../runtime/support.ts";
import { sql, type Place } from "../../support/postgres.ts";
import { place } from "./support.ts";

interface Said {
  readonly started?: number;
  readonly ran?: number;
  readonly attempt?: number;
  readonly wrote?: number;
  readonly aborted?: boolean;
  readonly ended?: true;
}
interface Child {
  readonly process: ChildProcess;
  readonly said: Said[];
  readonly exit: Promise<unknown>;
}
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
});
function worker({ url, schema }: Place, mode: string, count = 1, heard?: (said: Said) => void): Child {
  const file = new URL("store-child.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--conditions=@factlog/source", file, url, schema, mode, String(count)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.add(child);
  const said: Said[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const what = JSON.parse(line) as Said;
    said.push(what);
    heard?.(what);
  });
  const exit = new Promise<unknown>((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  void exit.then(() => children.delete(child));
  return { process: child, said, exit };
}
async function scene(t: TestContext, count: number): Promise<{ readonly where: Place; readonly log: Log }> {
  const where = await place(t);
  await sql(where.url, "CREATE TABLE effect(n int)");
  const log = await open(where.handle());
  t.after(() => log.close());
  await log.publishAll(Array.from({ length: count }, (_, n) => Order({ key: `k${n % 40}`, n })));
  return { where, log };
}
const depthIs0 = async (log: Log): Promise<boolean> => (await log.operator.status())[0]?.depth === 0;

/** Each effect once, each emitted event once, no delivery dead, and the counters add up. */
async function assertOnce({ where, log }: { where: Place; log: Log }, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, n) => n);
  const rows = await sql<[number]>(where.url, "SELECT n FROM effect ORDER BY n");
  assert.deepEqual(
    rows.map(([n]) => n),
    numbers,
  );
  const done = (await Array.fromAsync(log.read({ on: Done }))).map(({ data }) => data.n);
  assert.deepEqual(
    done.toSorted((a, b) => a - b),
    numbers,
  );
  const [status] = await log.operator.status();
  assert.deepEqual([status?.dead, status?.closed], [0, count]);
  assert.deepEqual(await unwell(log), []);
}
async function stop(child: Child): Promise<void> {
  await eventually("it has started", () => child.said.some(({ started }) => started !== undefined));
  child.process.kill("SIGTERM");
  assert.equal(await child.exit, 0);
}

test("a worker that is killed again and again, anywhere, leaves each effect once", async (t) => {
  const count = 800;
  const { where, log } = await scene(t, count);
  const seed = Number(process.env["FACTLOG_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`FACTLOG_SEED=${seed}`);
  let state = seed;
  const below = (bound: number): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % bound;
  let kills = 0;
  while (kills < 8 && !(await depthIs0(log))) {
    let left = 1 + below(60);
    const child: Child = worker(where, "plain", 1, ({ ran }) => {
      if (ran !== undefined && --left === 0) child.process.kill("SIGKILL");
    });
    assert.equal(await child.exit, "SIGKILL");
    kills++;
  }
  assert.equal(kills, 8);
  const last = worker(where, "plain");
  await eventually("all is done", () => depthIs0(log), 60_000);
  await stop(last);
  await assertOnce({ where, log }, count);
});

test("a process that dies between its commit and the record of it: nobody runs that handler again", async (t) => {
  const { where, log } = await scene(t, 12);
  const ran: number[] = [];
  const hear = ({ ran: n }: Said): void => void (n !== undefined && ran.push(n));
  const first = worker(where, "dies", 1, hear);
  assert.equal(await first.exit, "SIGKILL");
  const [committed] = await sql<[number]>(where.url, "SELECT n FROM effect");
  const before = ran.length;
  const second = worker(where, "plain", 1, hear);
  await eventually("all is done", () => depthIs0(log));
  await stop(second);
  assert.ok(committed !== undefined && !ran.slice(before).includes(committed[0]), "it ran again");
  await assertOnce({ where, log }, 12);
});

test("the same where the delivery has a row: it is closed, charged nothing, and not run again", async (t) => {
  const { where, log } = await scene(t, 1);
  const first = worker(where, "retried");
  assert.equal(await first.exit, "SIGKILL");
  assert.deepEqual(
    first.said.flatMap(({ attempt }) => attempt ?? []),
    [1, 2],
  );
  const second = worker(where, "retried");
  await eventually("it is closed", () => depthIs0(log));
  await stop(second);
  assert.deepEqual(
    second.said.flatMap(({ ran }) => ran ?? []),
    [],
  );
  await assertOnce({ where, log }, 1);
});

test("a process that stood still in its handler is replaced; what it wrote is rolled back when it wants to settle", async (t) => {
  const { where, log } = await scene(t, 1);
  const zombie = worker(where, "stuck");
  await eventually("it wrote", () => zombie.said.some(({ wrote }) => wrote === 0));
  zombie.process.kill("SIGSTOP");
  const heir = worker(where, "plain");
  await eventually("the heir has done it", () => depthIs0(log));
  zombie.process.stdin!.write("go\n");
  zombie.process.kill("SIGCONT");
  await eventually("the zombie goes on", () => zombie.said.some(({ aborted }) => aborted !== undefined));
  await stop(zombie);
  await stop(heir);
  await assertOnce({ where, log }, 1);
});

test("SIGTERM while handlers have transactions open: they end, or leave nothing", async (t) => {
  const count = 300;
  const { where, log } = await scene(t, count);
  let ran = 0;
  const first: Child = worker(where, "plain", 1, (said) => {
    if (said.ran !== undefined && ++ran === 40) first.process.kill("SIGTERM");
  });
  assert.equal(await first.exit, 0);
  const second = worker(where, "plain");
  await eventually("all is done", () => depthIs0(log));
  await stop(second);
  await assertOnce({ where, log }, count);
});
