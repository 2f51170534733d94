/** No acknowledgement before the sync that covers it, seen from outside the process; and what a failing disk does. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { idsOf, readAll } from "../../../src/conformance/build.ts";
import { directory, openEngine, program } from "./support.ts";
import { straced, type SystemCall } from "./strace.ts";

const traced = "fsync,fdatasync,pwrite64,pwritev,write,writev,ftruncate,truncate";

interface Watched {
  /** Acknowledgements said while frames in the WAL were not yet synced. */
  readonly early: readonly string[];
  readonly acks: number;
  readonly progress: number;
  /** Syncs of the WAL between one thing said and the next, by what was then said. */
  readonly syncsBefore: ReadonlyMap<string, number>;
}

/** Walks through the calls: a frame written makes the WAL dirty, a sync that came after it makes it clean. */
function watch(calls: readonly SystemCall[], wal: string): Watched {
  let dirty = false;
  let syncs = 0;
  const early: string[] = [];
  const said = { acks: 0, progress: 0 };
  const syncsBefore = new Map<string, number>();
  for (const { name, target, text, result } of calls) {
    if (target === wal && name.includes("write")) dirty = true;
    if (target === wal && name.endsWith("sync")) {
      assert.equal(result, 0, text);
      dirty = false;
      syncs++;
    }
    const line = text.match(/^write\(1<.*?>, "(ack|progress)( [^\\]*)/);
    if (line === null) continue;
    const what = `${line[1]}${line[2]}`;
    syncsBefore.set(what, syncs);
    syncs = 0;
    if (line[1] === "progress") said.progress++;
    else said.acks++;
    if (line[1] === "ack" && dirty) early.push(what);
  }
  return { early, ...said, syncsBefore };
}

function run(t: TestContext, env: NodeJS.ProcessEnv = {}): Watched {
  const place = directory(t);
  const path = join(place, "log.db");
  const output = join(place, "trace");
  const { calls, stderr, status } = straced([program("acknowledge"), path], { output, calls: traced, env });
  assert.equal(status, 0, stderr);
  return watch(calls, `${path}-wal`);
}

suite("what is acknowledged", () => {
  test("was synced before", (t) => {
    const { early, acks, progress, syncsBefore } = run(t);
    assert.deepEqual(early, []);
    assert.deepEqual([acks, progress], [20 + 300 + 2 + 40, 20]);
    for (const [what, syncs] of syncsBefore) {
      if (/^ack (single|define|join|emit|announce|dead|discard)/.test(what)) assert.ok(syncs >= 1, what);
    }
  });

  test("progress is not synced: it only has to survive the process", (t) => {
    const { syncsBefore } = run(t);
    const synced = [...syncsBefore].filter(([what, syncs]) => what.startsWith("progress") && syncs > 0);
    assert.deepEqual(synced, []);
  });

  test("publishes in flight share a sync", (t) => {
    const { syncsBefore } = run(t);
    const together = [...syncsBefore].filter(([what]) => what.startsWith("ack together"));
    assert.ok(together.reduce((sum, [, syncs]) => sum + syncs, 0) <= 4);
  });

  test("an engine that does not sync is found out", (t) => {
    const { early } = run(t, { FACTLOG_TEST_SABOTAGE: "normal" });
    assert.ok(early.length > 100, `${early.length} early acknowledgements found`);
  });
});

interface Survived {
  readonly acknowledged: readonly string[];
  readonly codes: readonly string[];
}

/** Publishes 60 events one after the other while calls to the disk fail as told; then what is there is read anew. */
async function failing(t: TestContext, inject: string): Promise<Survived & { readonly stored: readonly string[] }> {
  const place = directory(t);
  const path = join(place, "log.db");
  const output = join(place, "trace");
  const [calls = ""] = inject.split(":");
  const { stdout, stderr, status } = straced([program("persist"), path], { output, calls, inject });
  assert.equal(status, 0, stderr);
  const engine = await openEngine(t, path);
  const stored = idsOf(await readAll(engine.log));
  assert.deepEqual(
    (await engine.inspect()).filter(({ ok }) => !ok),
    [],
  );
  return { ...(JSON.parse(stdout) as Survived), stored };
}

suite("a disk that fails", () => {
  for (const nth of [18, 30, 47]) {
    test(`sync ${nth}: the outcome is unknown, then everything stops, and nothing acknowledged is lost`, async (t) => {
      const { acknowledged, codes, stored } = await failing(t, `fsync:error=EIO:when=${nth}`);
      assert.deepEqual([...new Set(codes)], ["OUTCOME_UNKNOWN", "STORE_FAILED"]);
      assert.equal(codes.filter((code) => code === "OUTCOME_UNKNOWN").length, 1);
      assert.ok(acknowledged.length >= 1);
      assert.deepEqual(stored.slice(0, acknowledged.length), acknowledged);
      assert.ok(stored.length <= acknowledged.length + 1, "at most the unknown one came to be");
    });
  }

  test("writing: nothing acknowledged is lost", async (t) => {
    const { acknowledged, codes, stored } = await failing(t, "pwrite64:error=EIO:when=152");
    assert.ok(codes.includes("STORE_FAILED"));
    assert.ok(acknowledged.length >= 1);
    assert.deepEqual(stored.slice(0, acknowledged.length), acknowledged);
  });

  test("full for a while: STORE_FULL stores nothing, and the log goes on without being opened again", async (t) => {
    const { acknowledged, codes, stored } = await failing(t, "pwrite64:error=ENOSPC:when=150..170");
    assert.deepEqual([...new Set(codes)], ["STORE_FULL"]);
    assert.ok(codes.length >= 2 && codes.length < 40, `${codes.length} refused`);
    assert.equal(acknowledged.length + codes.length, 60);
    assert.deepEqual(stored, acknowledged);
  });
});
