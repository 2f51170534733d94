/**
 * PostgreSQL: publishing inside the user's transactions while a write transaction stands open in another database of the
 * cluster, which keeps the horizon of snapshots back for everybody. `npm run neighbours -- [--seconds 60] [--json]`
 */
import pg from "pg";
import { defineApp, defineSubscription, openLog } from "../../src/index.ts";
import { outbox } from "../../src/outbox/index.ts";
import { freshPlace, serverUrl } from "../../test/support/postgres.ts";
import { packagedRelease } from "../../test/support/postgres/binaries.ts";
import { Fact } from "../facts.ts";
import { conclude, optionsOf } from "../options.ts";
import { eventually } from "../scratch.ts";

const options = optionsOf({ seconds: 60, calls: 50 });
const withinMs = 20_000;
const ratioMax = 1.5;

const server = await serverUrl(packagedRelease);
const place = await freshPlace(packagedRelease);
const connect = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
};
const [admin, first, second, third] = await Promise.all([server, place.url, place.url, place.url].map(connect));
await first!.query("CREATE TABLE orders(id text, n integer)");

const log = await openLog(place.address);
const seen: string[] = [];
const reader = defineSubscription("reader", { on: Fact, order: "none" }, ({ id }) => void seen.push(id));
const worker = await log.work(defineApp({ name: "neighbours", subscriptions: [reader] }));

let serial = 0;
const fact = (key: string, id: string) => Fact({ key, n: ++serial, pad: "" }, { id });
const publishIn = (client: pg.Client, key: string, id: string) =>
  outbox(client, { schema: place.schema }).publish(fact(key, id));
const faults: string[] = [];
async function expectSeen(id: string, scenario: string): Promise<void> {
  if (!(await eventually(() => seen.includes(id), withinMs))) faults.push(`${scenario}: ${id} was not seen`);
}
function expectUnseen(id: string, scenario: string): void {
  if (seen.includes(id)) faults.push(`${scenario}: ${id} was seen before its transaction committed`);
}

/** A transaction that began first and commits last. */
async function lateCommit(n: number): Promise<void> {
  await first!.query("BEGIN");
  await publishIn(first!, `late-${n}`, `late-${n}`);
  await second!.query("BEGIN");
  await publishIn(second!, `early-${n}`, `early-${n}`);
  await second!.query("COMMIT");
  await expectSeen(`early-${n}`, "late commit");
  expectUnseen(`late-${n}`, "late commit");
  await first!.query("COMMIT");
  await expectSeen(`late-${n}`, "late commit");
}
/** Three facts of one key, one after the other, each inside a larger transaction; the last one's began first. */
async function inversion(n: number): Promise<void> {
  await third!.query("BEGIN");
  await third!.query("INSERT INTO orders VALUES ('third', $1)", [n]);
  for (const [client, i] of [
    [first!, 1],
    [second!, 2],
    [third!, 3],
  ] as const) {
    if (client !== third) await client.query("BEGIN");
    await client.query("INSERT INTO orders SELECT 'row', i FROM generate_series(1, 50) i");
    await publishIn(client, `key-${n}`, `key-${n}-${i}`);
    await client.query("COMMIT");
  }
  await expectSeen(`key-${n}-3`, "same-key inversion");
  const order: string[] = [];
  for await (const event of log.read({ key: `key-${n}` })) order.push(event.id);
  const wanted = [1, 2, 3].map((i) => `key-${n}-${i}`);
  if (order.join() !== wanted.join()) faults.push(`same-key inversion: ${order.join()}`);
}
/** A user's transaction that stays open delays its own facts and nobody else's. */
async function longTransaction(n: number): Promise<void> {
  await first!.query("BEGIN");
  await publishIn(first!, `long-${n}`, `long-${n}`);
  for (let i = 0; i < 5; i++) {
    await log.publish(fact(`long-${n}`, `direct-${n}-${i}`));
    await second!.query("BEGIN");
    await publishIn(second!, `other-${n}`, `other-${n}-${i}`);
    await second!.query("COMMIT");
  }
  for (let i = 0; i < 5; i++) {
    await expectSeen(`direct-${n}-${i}`, "long transaction");
    await expectSeen(`other-${n}-${i}`, "long transaction");
  }
  expectUnseen(`long-${n}`, "long transaction");
  await first!.query("COMMIT");
  await expectSeen(`long-${n}`, "long transaction");
}
/** Milliseconds of one publish after the other. */
async function publishTimes(name: string): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < options.calls; i++) {
    const startedMs = performance.now();
    await log.publish(fact(`stranger-${i % 50}`, `${name}-${i}`));
    times.push(performance.now() - startedMs);
  }
  return times;
}
const p99 = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;

await admin!.query("DROP DATABASE IF EXISTS neighbour");
await admin!.query("CREATE DATABASE neighbour");
const neighbourUrl = new URL(server);
neighbourUrl.pathname = "/neighbour";
const neighbour = await connect(neighbourUrl.href);
await neighbour.query("CREATE TABLE t(i integer)");
const hold = async (): Promise<void> => void (await neighbour.query("BEGIN; INSERT INTO t VALUES (1)"));

// In turn, so that a busy moment of the machine meets both.
const [alone, beside]: [number[], number[]] = [[], []];
await publishTimes("warm");
for (let round = 0; round < 12; round++) {
  alone.push(...(await publishTimes(`alone-${round}`)));
  await hold();
  await first!.query("BEGIN");
  await publishIn(first!, "open", `open-${round}`);
  beside.push(...(await publishTimes(`beside-${round}`)));
  await first!.query("COMMIT");
  await neighbour.query("ROLLBACK");
}
const strangersRatio = p99(beside) / p99(alone);

await hold();
const startedMs = performance.now();
let rounds = 0;
while (performance.now() - startedMs < options.seconds * 1_000 && faults.length === 0) {
  rounds++;
  await lateCommit(rounds);
  await inversion(rounds);
  await longTransaction(rounds);
}
const heldSeconds = Math.round((performance.now() - startedMs) / 1_000);
await neighbour.query("ROLLBACK");
const doubled = seen.length - new Set(seen).size;
if (doubled > 0) faults.push(`${doubled} facts were delivered twice`);
if (strangersRatio > ratioMax) faults.push(`strangers' p99 is ${strangersRatio.toFixed(2)} of what it is alone`);

await worker.stop();
await log.close();
for (const client of [neighbour, first!, second!, third!]) await client.end();
await admin!.query("DROP DATABASE neighbour");
await admin!.end();
await place.remove();
for (const fault of faults.slice(0, 20)) console.log(fault);
conclude(
  {
    ok: faults.length === 0 && rounds > 0,
    heldSeconds,
    lateCommits: rounds,
    inversionsTried: rounds,
    longTransactions: rounds,
    strangersP99Ms: Math.round(p99(beside) * 100) / 100,
    aloneP99Ms: Math.round(p99(alone) * 100) / 100,
    strangersRatio: Math.round(strangersRatio * 100) / 100,
    faults: faults.length,
  },
  options.json,
);
