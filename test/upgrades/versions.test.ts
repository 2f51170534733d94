/** Two versions of an app side by side on one file, as while a new one is rolled out: what they write is never wrong. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { Log, NewEvent, RecordedEvent } from "../../src/index.ts";
import { eventually, freshFile, open, unwell } from "../runtime/support.ts";
import { type Change, changes, Done, effectTable, fails, Order, OrderOfOld, type Version } from "./versions.ts";

const workers = new Set<ChildProcess>();
after(() => {
  for (const each of workers) each.kill("SIGKILL");
});
function worker(url: string, change: Change, version: Version): ChildProcess {
  const program = new URL("programs/worker.ts", import.meta.url).pathname;
  const args = ["--conditions=@factlog/source", program, url, change, `${version}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  workers.add(child);
  return child;
}
async function end(child: ChildProcess): Promise<void> {
  assert.equal(child.exitCode, null, "it ran until now");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  workers.delete(child);
}

const size = 40;
const numbers = (from: number): readonly number[] => Array.from({ length: size }, (_, i) => from + i);
const keyOf = (n: number): string => `k${n % 16}`;
const old = (n: number): NewEvent => OrderOfOld({ key: keyOf(n), n });
const fresh = (n: number): NewEvent => Order({ key: keyOf(n), n, currency: "USD" });
const extra = (n: number): NewEvent => Done({ key: keyOf(n), n });

interface Effect {
  readonly sub: string;
  readonly id: string;
  readonly version: number;
}
function effectsIn(file: string): readonly Effect[] {
  const db = new DatabaseSync(file, { readOnly: true });
  const rows = db.prepare("SELECT sub, id, version FROM effect").all() as unknown as readonly Effect[];
  db.close();
  return rows;
}
async function stated(log: Log, events: readonly NewEvent[]): Promise<readonly string[]> {
  return (await log.publishAll(events)).map(({ id }) => id);
}

for (const change of changes) {
  test(`${change} differs between two versions: both end well, every event has its effect once`, async () => {
    const file = freshFile();
    const log = await open(`sqlite:${file}`);
    const own = new DatabaseSync(file, { timeout: 5_000 });
    own.exec(effectTable);
    own.close();
    const byVersion = (version: Version) => (): boolean => effectsIn(file).some((each) => each.version === version);

    const owed = [...(await stated(log, numbers(0).map(old)))];
    const first = worker(`sqlite:${file}`, change, 1);
    await eventually("the older version has done something", byVersion(1));
    const second = worker(`sqlite:${file}`, change, 2);
    const made = change === "schema" ? fresh : old;
    await eventually("the newer version has its share", async () => {
      owed.push(...(await stated(log, [made(owed.length)])));
      return byVersion(2)();
    });
    owed.push(...(await stated(log, numbers(1_000).map(made))));
    if (change === "on") owed.push(...(await stated(log, numbers(2_000).map(extra))));
    const settled = async (): Promise<boolean> => {
      const reader = (await log.operator.status()).find(({ name }) => name === "reader");
      return reader?.depth === 0;
    };
    if (change !== "schema") await eventually("all is settled while both run", settled);
    await end(first);
    // What the older one met and could not read waits for a newer one, for a while that is fixed.
    await eventually("all is settled by the newer one", settled, 40_000);
    await end(second);

    const done = effectsIn(file).filter(({ sub }) => sub === "reader");
    const letters = await Array.fromAsync(log.operator.deadLetters());
    assert.deepEqual(
      [...done.map(({ id }) => id), ...letters.map(({ eventId }) => eventId)].toSorted(),
      owed.toSorted(),
    );
    // The older one's policy gives up at once, the newer one's tries again.
    const given = letters.map(({ event }) => (event as RecordedEvent<string, { n: number }>).data.n);
    assert.ok(
      given.every((n) => change === "retry" && fails(n)),
      given.join(),
    );
    assert.deepEqual(await unwell(log), []);
    await log.close();
  });
}
