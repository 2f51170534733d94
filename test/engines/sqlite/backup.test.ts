/** A backup of a living log is a whole log of one moment; a restored one is another life of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { z } from "zod";
import { backup, restore } from "../../../src/engines/sqlite/backup.ts";
import { realEnv } from "../../../src/env.ts";
import { defineApp, defineEvent, defineSubscription, openLog } from "../../../src/index.ts";
import { open, unwell } from "../../runtime/support.ts";
import { place, program } from "./support.ts";

const Order = defineEvent("Order", { schema: z.object({ n: z.number() }), key: ({ n }) => `k${n % 10}` });
const seen: number[] = [];
const reader = defineSubscription("reader", { on: Order, from: "beginning" }, ({ data }) => void seen.push(data.n));

const app = defineApp({ name: "backup", subscriptions: [reader] });

/** Another process that publishes; resolves when it has begun. */
async function publishing(t: TestContext, path: string): Promise<{ readonly end: () => Promise<void> }> {
  const child = spawn(process.execPath, [program("flood"), path], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  child.stdout.resume();
  return {
    end: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

const besides = (path: string): string[] => readdirSync(dirname(path)).toSorted();

async function filled(path: string, count: number): Promise<void> {
  const log = await open(`sqlite:${path}`);
  await log.publishAll(Array.from({ length: count }, (_, n) => Order({ n })));
  await log.drain(app);
  await log.close();
}
const numbersIn = async (path: string): Promise<readonly number[]> => {
  const log = await open(`sqlite:${path}`);
  const found = (await Array.fromAsync(log.read({ on: Order }))).map(({ data }) => data.n);
  assert.deepEqual(await unwell(log), []);
  await log.close();
  return found;
};
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

suite("backup and restore", () => {
  test("a backup while another process publishes is a prefix of the log, sound, in an epoch of its own", async (t) => {
    const path = place(t);
    const publisher = await publishing(t, path);
    const copy = join(dirname(path), "copy.db");
    const { epoch, findings } = await backup(realEnv, path, copy);
    await publisher.end();
    assert.ok(findings.length >= 5 && findings.every(({ ok }) => ok));
    const [whole, part] = [await openLog(`sqlite:${path}`), await openLog(`sqlite:${copy}`)];
    const ids = async (log: typeof whole): Promise<string[]> => (await Array.fromAsync(log.read())).map(({ id }) => id);
    const [all, copied] = [await ids(whole), await ids(part)];
    assert.ok(copied.length > 0 && copied.length <= all.length);
    assert.deepEqual(copied, all.slice(0, copied.length));
    assert.notEqual((await whole.head()).position.split(".")[0], epoch);
    assert.equal((await part.head()).position.split(".")[0], epoch);
    await Promise.all([whole.close(), part.close()]);
  });

  test("a restored log goes on where its subscriptions were; positions of before are refused", async (t) => {
    const path = place(t);
    await filled(path, 100);
    const copy = join(dirname(path), "copy.db");
    await backup(realEnv, `sqlite:${path}`, copy);
    const later = await open(`sqlite:${path}`);
    const { position } = await later.publish(Order({ n: 100 }));
    await later.drain(app);
    await later.close();

    const { aside } = await restore(realEnv, copy, path);
    const restored = await open(`sqlite:${path}`);
    seen.length = 0;
    await restored.publish(Order({ n: 200 }));
    await restored.drain(app);
    assert.deepEqual(seen, [200], "what was settled is not delivered again");
    await assert.rejects(Array.fromAsync(restored.read({ from: position! })), { code: "INVALID_OPTION" });
    await restored.close();
    assert.deepEqual(await numbersIn(path), [...upTo(100), 200]);
    assert.deepEqual(await numbersIn(aside!), upTo(101), "what was there is kept");

    const again = await restore(realEnv, copy, path);
    const first = await restore(realEnv, copy, join(dirname(path), "other.db"));
    assert.notEqual(again.epoch, first.epoch, "each restore is another life");
    assert.deepEqual([first.aside, await numbersIn(join(dirname(path), "other.db"))], [undefined, upTo(100)]);
  });

  test("no restore over a log that a process has open: nothing has changed", async (t) => {
    const path = place(t);
    await filled(path, 10);
    const copy = join(dirname(path), "copy.db");
    await backup(realEnv, path, copy);
    const publisher = await publishing(t, path);
    await assert.rejects(restore(realEnv, copy, path), { code: "STORE_BUSY" });
    await publisher.end();
    assert.deepEqual((await numbersIn(path)).slice(0, 10), upTo(10));
    assert.deepEqual(
      besides(path).filter((name) => /part|before/u.test(name)),
      [],
    );
  });

  test("what is no sound log is refused, and what stood there stays", async (t) => {
    const path = place(t);
    await filled(path, 2_000);
    const at = (name: string): string => join(dirname(path), name);
    await backup(realEnv, path, at("copy.db"));
    const bytes = readFileSync(at("copy.db"));
    for (let i = bytes.length >> 1; i < (bytes.length >> 1) + 40_000; i += 7) bytes[i] = bytes[i]! ^ 0x55;
    writeFileSync(at("flipped.db"), bytes);
    writeFileSync(at("cut.db"), readFileSync(at("copy.db")).subarray(0, bytes.length >> 1));
    writeFileSync(at("text.db"), "this is no database, whatever its name says".repeat(100));
    writeFileSync(at("empty.db"), "");
    const code = (expected: string) => (error: { code?: string }) => (assert.equal(error.code, expected), true);
    await assert.rejects(restore(realEnv, at("flipped.db"), path), code("STORE_FAILED"));
    await assert.rejects(restore(realEnv, at("cut.db"), path), code("STORE_FAILED"));
    await assert.rejects(restore(realEnv, at("text.db"), path), code("NOT_A_LOG"));
    await assert.rejects(restore(realEnv, at("empty.db"), path), code("NOT_FOUND"));
    await assert.rejects(restore(realEnv, at("none.db"), path), code("NOT_FOUND"));
    await assert.rejects(restore(realEnv, path, path), code("INVALID_OPTION"));
    await assert.rejects(backup(realEnv, path, path), code("INVALID_OPTION"));
    await assert.rejects(backup(realEnv, path, at("copy.db")), code("CONFLICT"));
    await assert.rejects(backup(realEnv, ":memory:", at("memory.db")), code("NOT_SUPPORTED"));
    await assert.rejects(backup(realEnv, path, at("no/such/place.db")), code("NOT_FOUND"));
    assert.deepEqual(await numbersIn(path), upTo(2_000));
    assert.deepEqual(
      besides(path).filter((name) => /part|before/u.test(name)),
      [],
    );
  });

  test("a log that cannot be read any more is moved aside, with what belongs to it", async (t) => {
    const path = place(t);
    await filled(path, 100);
    const copy = join(dirname(path), "copy.db");
    await backup(realEnv, path, copy);
    writeFileSync(path, "overwritten by something".repeat(1_000));
    writeFileSync(`${path}-wal`, "and its WAL");
    const { aside } = await restore(realEnv, copy, path);
    assert.deepEqual(await numbersIn(path), upTo(100));
    assert.ok(readFileSync(aside!, "utf8").startsWith("overwritten"));
    assert.ok(existsSync(`${aside}-wal`));
  });
});
