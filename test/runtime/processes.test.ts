import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { Engine } from "../../src/engine/engine.ts";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { pause, realEnv } from "../../src/env.ts";
import type { Log } from "../../src/index.ts";
import { anotherProcess, Done, eventually, freshFile, open, Order, unwell } from "./support.ts";

interface Said {
  readonly started?: number;
  readonly ended?: true;
  readonly ran?: string;
  readonly n?: number;
  readonly attempt?: number;
  readonly aborted?: string;
}
interface Child {
  readonly process: ChildProcess;
  readonly said: Said[];
  readonly exit: Promise<number | null>;
}
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

function worker(url: string, lease = "1s"): Child {
  const file = new URL("child.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--conditions=@factlog/source", file, url, lease], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.add(child);
  const said: Said[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => void said.push(JSON.parse(line) as Said));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  void exit.then(() => children.delete(child));
  return { process: child, said, exit };
}

/** Slots of the reader that each session holds, most first. */
async function shares(engine: Engine): Promise<readonly number[]> {
  const [tally] = await engine.ledger.tally();
  const held = new Map<number, number>();
  for (const { session } of tally?.slots ?? [])
    if (session !== undefined) held.set(session, (held.get(session) ?? 0) + 1);
  return [...held.values()].sort((a, b) => b - a);
}
const free = async (engine: Engine): Promise<number> =>
  64 - (await shares(engine)).reduce((sum, each) => sum + each, 0);

test("a third worker joins two: within two leases their shares differ by at most one; one killed: its work resumes within the lease", async () => {
  const url = `sqlite:${freshFile()}`;
  const engine = await sqlite(url).open(anotherProcess());
  const log = await open(url);
  const leaseMs = 3_000;
  const workers = [worker(url, "3s"), worker(url, "3s")];
  const even = async (count: number): Promise<boolean> => {
    const held = await shares(engine);
    return held.length === count && (held[0] ?? 0) - (held.at(-1) ?? 0) <= 1 && (await free(engine)) === 0;
  };
  await eventually("two workers share evenly", () => even(2));
  const third = worker(url, "3s");
  await eventually("the third has started", () => third.said.length > 0);
  await eventually("three workers share evenly within two leases", () => even(3), 2 * leaseMs);
  const victim = workers[0] as Child;
  victim.process.kill("SIGKILL");
  await victim.exit;
  const killedMs = realEnv.monotonic();
  const receipts = await log.publishAll(Array.from({ length: 64 }, (_, n) => Order({ key: `k${n}`, n })));
  await Promise.all(receipts.map((receipt) => log.until(receipt, Done, { timeout: "20s" })));
  const tookMs = realEnv.monotonic() - killedMs;
  assert.ok(tookMs < leaseMs, `work of all slots went on after ${tookMs} ms`);
  for (const each of [workers[1] as Child, third]) {
    each.process.kill("SIGTERM");
    assert.equal(await each.exit, 0);
  }
  assert.deepEqual(await unwell(log), []);
  await log.close();
  await engine.log.close();
  await engine.ledger.close();
});

test("an event that kills its process is found by the crash limit and put aside; nobody else is charged", async () => {
  const url = `sqlite:${freshFile()}`;
  const log = await open(url);
  const orders = Array.from({ length: 40 }, (_, n) => Order({ key: `k${n}`, n }));
  await log.publishAll([
    ...orders.slice(0, 20),
    Order({ key: "killer", n: 1_000 }),
    Order({ key: "killer", n: 1_001 }),
    ...orders.slice(20),
  ]);
  let deaths = 0;
  let current = worker(url);
  const dead = async (): Promise<number> => (await log.operator.status())[0]?.dead ?? 0;
  while ((await dead()) === 0) {
    const code = await Promise.race([
      current.exit,
      eventually("the killer is dead", async () => (await dead()) > 0).then(() => undefined),
    ]);
    if (code === undefined) break;
    assert.equal(code, 1);
    assert.ok(++deaths <= 12, "it goes on dying");
    current = worker(url);
  }
  await eventually("all others are done", async () => (await log.operator.status())[0]?.depth === 1);
  const [letter, ...others] = await Array.fromAsync(log.operator.deadLetters());
  assert.deepEqual(
    [letter?.class, letter?.key, letter?.crashes, letter?.failures, others.length],
    ["crash", "killer", 5, 0, 0],
  );
  assert.ok(deaths >= 5 && deaths <= 6, `${deaths} processes died`);
  const done = (await Array.fromAsync(log.read({ on: Done }))).map(({ data }) => data.n);
  assert.deepEqual(
    done.sort((a, b) => a - b),
    orders.map(({ data }) => data.n),
  );
  current.process.kill("SIGTERM");
  assert.equal(await current.exit, 0);
  assert.deepEqual(await unwell(log), []);
  await log.close();
});

/** Stops a process where it holds no lock of the file: nobody could write, and nothing would be tested, as long as it did. */
async function stopOutsideTransactions(child: Child, log: Log): Promise<void> {
  for (let n = 0; ; n++) {
    child.process.kill("SIGSTOP");
    const written = log.publish(Done({ key: "probe", n }));
    if (await Promise.race([written.then(() => true), pause(realEnv, 300).then(() => false)])) return;
    child.process.kill("SIGCONT");
    await written;
  }
}
const doneOf = async (log: Log): Promise<number> =>
  (await Array.fromAsync(log.read({ on: Done }))).filter(({ data }) => data.key !== "probe").length;

test("a worker that stood still for its lease is replaced; what it brings afterwards is discarded", async () => {
  const url = `sqlite:${freshFile()}`;
  const log = await open(url);
  const zombie = worker(url);
  await log.publish(Order({ key: "stuck", n: 1 }));
  await eventually("the first worker runs it", () => zombie.said.some((each) => each.ran === "stuck"));
  await stopOutsideTransactions(zombie, log);
  const heir = worker(url);
  await eventually("the heir runs it again", () =>
    heir.said.some((each) => each.ran === "stuck" && each.attempt === 1),
  );
  heir.process.stdin?.write("go\n");
  await eventually("the heir has done it", async () => (await doneOf(log)) === 1);
  zombie.process.kill("SIGCONT");
  await eventually("the zombie hears that it lost", () => zombie.said.some((each) => each.aborted === "LEASE_LOST"));
  await log.publish(Order({ key: "later", n: 2 }));
  await eventually("later work is done", async () => (await doneOf(log)) === 2);
  for (const each of [zombie, heir]) {
    each.process.kill("SIGTERM");
    assert.equal(await each.exit, 0);
  }
  assert.equal(await doneOf(log), 2, "the zombie's result did not count");
  assert.deepEqual(await unwell(log), []);
  await log.close();
});

test("SIGTERM drains up to the grace period and hands the rest back uncharged", async () => {
  const url = `sqlite:${freshFile()}`;
  const log = await open(url);
  const first = worker(url);
  await log.publishAll([
    Order({ key: "stuck", n: 1 }),
    ...Array.from({ length: 20 }, (_, n) => Order({ key: `k${n}`, n })),
  ]);
  await eventually(
    "the stuck one runs, the others are done",
    async () => (await Array.fromAsync(log.read({ on: Done }))).length === 20,
  );
  first.process.kill("SIGTERM");
  assert.equal(await first.exit, 0);
  assert.ok(first.said.some((each) => each.aborted === "SHUTDOWN"));
  const second = worker(url);
  await eventually("it runs again", () => second.said.some((each) => each.ran === "stuck"));
  assert.deepEqual(
    second.said.filter((each) => each.ran !== undefined),
    [{ ran: "stuck", n: 1, attempt: 1 }],
    "and nothing else does",
  );
  second.process.stdin?.write("go\n");
  await eventually("it is done", async () => (await Array.fromAsync(log.read({ on: Done }))).length === 21);
  second.process.kill("SIGTERM");
  assert.equal(await second.exit, 0);
  const [status] = await log.operator.status();
  assert.deepEqual([status?.dead, status?.depth, status?.closed], [0, 0, 21]);
  await log.close();
});

test("conservation recomputed from the tables while workers run equals what the doctor says", async () => {
  const file = freshFile();
  const url = `sqlite:${file}`;
  const log = await open(url);
  const workers = [worker(url), worker(url)];
  await eventually("both work", async () => (await log.operator.status())[0]?.workers === 2);
  const own = new DatabaseSync(file, { readOnly: true });
  let samples = 0;
  for (let batch = 0; batch < 20; batch++) {
    await log.publishAll(Array.from({ length: 100 }, (_, n) => Order({ key: `k${n}`, n: batch * 100 + n })));
    own.exec("begin");
    const { matched, closed, rows } = own.prepare(conservationSql).get() as {
      matched: number;
      closed: number;
      rows: number;
    };
    own.exec("commit");
    assert.equal(matched, closed + rows);
    assert.deepEqual(await unwell(log), []);
    samples++;
  }
  await eventually("all is done", async () => (await log.operator.status())[0]?.depth === 0);
  const last = own.prepare(conservationSql).get() as { appended: number; matched: number; closed: number };
  assert.deepEqual([samples, last.appended, last.matched, last.closed], [20, 2_000, 2_000, 2_000]);
  const findings = await log.inspect();
  assert.ok(
    findings.some((finding) => finding.check.includes("conservation") && finding.message.includes("2000")),
    JSON.stringify(findings),
  );
  own.close();
  for (const each of workers) each.process.kill("SIGTERM");
  assert.deepEqual(await Promise.all(workers.map((each) => each.exit)), [0, 0]);
  await log.close();
});

const conservationSql = `
  select sum(matched) matched, sum(done + skipped + discarded + expired + duplicate) closed,
    (select count(*) from factlog_delivery) rows, 
    (select count(*) from factlog_event e join factlog_schema s on s.id = e.schema join factlog_type t on t.id = s.type
      where t.name = 'Order') appended
  from factlog_slot`;
