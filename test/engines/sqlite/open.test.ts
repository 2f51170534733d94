/** What a file must be, what it is made to be, and what is said where it is not. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { codeOf, event, everySlot } from "../../../src/conformance/build.ts";
import { hasCode } from "../../../src/errors.ts";
import { realEnv } from "../../../src/env.ts";
import { fileSystemKind } from "../../../src/engines/sqlite/file-system.ts";
import { sqlite } from "../../../src/engines/sqlite/index.ts";
import { applicationId, newestFormat } from "../../../src/engines/sqlite/schema.ts";
import { requireSqlite } from "../../../src/engines/sqlite/version.ts";
import { closeEngine, directory, openBeneath, openEngine, place, program } from "./support.ts";

const refusal = (path: string): Promise<string> => codeOf(sqlite(path).open(realEnv));

suite("a place for a log", () => {
  test("one file has one name, however it is called", (t) => {
    const path = place(t);
    const names = [path, `sqlite:${path}`, pathToFileURL(path).href, join(path, "..", "log.db")];
    assert.deepEqual([...new Set(names.map((name) => sqlite(name).identity))], [`sqlite:${path}`]);
    symlinkSync(path, `${path}-link`);
    writeFileSync(path, "");
    assert.equal(sqlite(`${path}-link`).identity, `sqlite:${path}`);
  });

  test("each store in memory is another one", () => {
    assert.notEqual(sqlite(":memory:").identity, sqlite("sqlite::memory:").identity);
  });

  test("a handle opens nothing", (t) => {
    const path = place(t);
    sqlite(path);
    assert.equal(existsSync(path), false);
  });

  test("a name of nothing is refused", () => {
    assert.throws(
      () => sqlite("sqlite:"),
      (error) => hasCode(error, "INVALID_OPTION"),
    );
  });

  test("slots must be a number that makes sense", () => {
    for (const slots of [0, -1, 1.5, Number.NaN, 5_000]) {
      assert.throws(
        () => sqlite("x.db", { slots }),
        (error) => hasCode(error, "INVALID_OPTION"),
        String(slots),
      );
    }
  });

  test("a directory that is not there is named", async (t) => {
    await assert.rejects(sqlite(join(directory(t), "missing", "log.db")).open(realEnv), /directory .*missing/);
  });

  test("a directory is no log", async (t) => {
    assert.equal(await refusal(directory(t)), "NOT_A_LOG");
  });

  test("network file systems are known by their number", () => {
    assert.deepEqual(fileSystemKind(0x6969), { verdict: "network", name: "NFS" });
    assert.deepEqual(fileSystemKind(0xff534d42), { verdict: "network", name: "CIFS" });
    assert.deepEqual(fileSystemKind(0xff534d42 | 0), { verdict: "network", name: "CIFS" }, "as a signed number");
    assert.deepEqual(fileSystemKind(0xfe534d42).verdict, "network");
    assert.deepEqual(fileSystemKind(0x65735546), { verdict: "doubtful", name: "FUSE" });
    assert.deepEqual(fileSystemKind(0xef53), { verdict: "local", name: undefined }, "ext4");
    assert.deepEqual(fileSystemKind(0x01021994), { verdict: "local", name: undefined }, "tmpfs");
  });
});

suite("the SQLite of this process", () => {
  test("versions that can corrupt a log are refused", () => {
    for (const version of ["3.7.0", "3.50.4", "3.51.2", "2.8.17", undefined]) {
      assert.throws(
        () => requireSqlite(version),
        (error) => hasCode(error, "SQLITE_TOO_OLD"),
        version ?? "none",
      );
    }
    for (const version of ["3.51.3", "3.51.10", "3.52.0", "3.53.4", "4.0.0"]) requireSqlite(version);
  });
});

suite("a file", () => {
  test("a new one becomes a log, with every setting that a promise hangs on", async (t) => {
    const path = place(t);
    const { db } = await openBeneath(t, path);
    const settings = {
      journal_mode: "wal",
      synchronous: 2,
      busy_timeout: 0,
      trusted_schema: 0,
      foreign_keys: 0,
      auto_vacuum: 2,
      mmap_size: 0,
      temp_store: 2,
      application_id: applicationId,
    };
    const found = Object.fromEntries(Object.keys(settings).map((name) => [name, db.value(`PRAGMA ${name}`)]));
    assert.deepEqual(found, settings);
  });

  test("an empty one becomes a log", async (t) => {
    const path = place(t);
    writeFileSync(path, "");
    const { log } = await openEngine(t, path);
    assert.equal((await log.append([event()]))[0]!.position, 1);
  });

  test("a log is found again as it was", async (t) => {
    const path = place(t);
    const first = await openEngine(t, path, { slots: 7 });
    await first.log.append([event({ id: "a" })]);
    await closeEngine(first);
    const second = await openEngine(t, path);
    assert.equal(second.log.epoch, first.log.epoch);
    assert.equal(second.log.capabilities.slots, 7);
    const { events } = await second.log.read({ after: everySlot(second.log), limit: 10, scanMax: 10 });
    assert.deepEqual(
      events.map(({ id }) => id),
      ["a"],
    );
  });

  test("another number of slots is refused, naming both", async (t) => {
    const path = place(t);
    await openEngine(t, path, { slots: 7 });
    await assert.rejects(sqlite(path, { slots: 8 }).open(realEnv), (error) => {
      assert.ok(hasCode(error, "SLOTS_MISMATCH"));
      assert.deepEqual(error.details, { slots: 7, wanted: 8 });
      return true;
    });
  });

  test("what is no database is left alone", async (t) => {
    const path = place(t);
    writeFileSync(path, "These are my notes, ".repeat(1_000));
    assert.equal(await refusal(path), "NOT_A_LOG");
  });

  test("another program's database is left alone", async (t) => {
    const path = place(t);
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE notes(text)");
    other.close();
    assert.equal(await refusal(path), "NOT_A_LOG");
    const after = new DatabaseSync(path);
    const tables = after.prepare("SELECT name FROM sqlite_schema").all();
    after.close();
    assert.deepEqual(
      tables.map(({ name }) => name),
      ["notes"],
    );
  });

  test("another program's mark is respected", async (t) => {
    const path = place(t);
    const other = new DatabaseSync(path);
    other.exec("PRAGMA application_id = 1234; VACUUM");
    other.close();
    assert.equal(await refusal(path), "NOT_A_LOG");
  });

  test("a newer format is refused, naming both numbers", async (t) => {
    const path = place(t);
    await closeEngine(await sqlite(path).open(realEnv));
    const later = new DatabaseSync(path);
    later.exec("UPDATE factlog_meta SET value = 99 WHERE name = 'format'");
    later.close();
    await assert.rejects(sqlite(path).open(realEnv), (error) => {
      assert.ok(hasCode(error, "STORE_TOO_NEW"));
      assert.deepEqual(error.details, { format: 99, newest: newestFormat });
      return true;
    });
  });

  test("a log is no ledger, and a ledger no log", async (t) => {
    const path = place(t);
    const { log } = await openEngine(t, path);
    assert.equal(await codeOf(sqlite(path).openLedger!(realEnv, log)), "NOT_A_LOG");
    const ledger = await sqlite(`${path}-ledger`).openLedger!(realEnv, log);
    await ledger.close();
    assert.equal(await refusal(`${path}-ledger`), "NOT_A_LOG");
  });

  test("a truncated log is found out", async (t) => {
    const path = place(t);
    const engine = await sqlite(path).open(realEnv);
    await engine.log.append(Array.from({ length: 500 }, () => event()));
    await closeEngine(engine);
    truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096);
    const code = await codeOf(
      (async () => {
        const broken = await openEngine(t, path);
        await broken.log.read({ after: everySlot(broken.log), limit: 1_000, scanMax: 1_000 });
      })(),
    );
    assert.equal(code, "STORE_FAILED");
  });

  test("ten that open a new one at once agree", async (t) => {
    const path = place(t);
    const engines = await Promise.all(Array.from({ length: 10 }, () => openEngine(t, path)));
    assert.equal(new Set(engines.map(({ log }) => log.epoch)).size, 1);
  });
});

suite("without the right to write", () => {
  /** Root may write everything: then somebody else opens. */
  function refusalToOthers(path: string): string {
    const other = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    return execFileSync(process.execPath, [program("open"), path], { encoding: "utf8", ...other }).trim();
  }

  test("a directory", (t) => {
    const path = directory(t);
    chmodSync(path, 0o555);
    assert.equal(refusalToOthers(join(path, "log.db")), "STORE_READ_ONLY");
    chmodSync(path, 0o755);
  });

  test("a file", async (t) => {
    const path = place(t);
    await closeEngine(await sqlite(path).open(realEnv));
    chmodSync(join(path, ".."), 0o777);
    chmodSync(path, 0o444);
    assert.equal(refusalToOthers(path), "STORE_READ_ONLY");
  });
});
