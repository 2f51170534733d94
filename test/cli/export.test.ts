/** export and import as processes: what comes back is what was stored, byte for byte. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { sqlite } from "../../src/engines/sqlite/index.ts";
import { realEnv } from "../../src/env.ts";
import { newEventFromJson } from "../../src/event/define.ts";
import type { StoredEvent } from "../../src/event/stored-event.ts";
import { readAll } from "../../src/conformance/build.ts";
import { defineEvent, type Json, openLog, upcast } from "../../src/index.ts";
import { limits } from "../../src/limits.ts";
import { emptyFolder, factlog, objectsIn, type Ran } from "../support/cli.ts";

const Any = defineEvent("Any thing: ünï/code", {
  schema: z.any(),
  version: 2,
  upcasts: [upcast(1, z.any(), (old) => old as Json)],
  group: () => "tenant é",
  key: () => "k 1",
});
const Bare = defineEvent("Bare", { schema: z.any() });
const full = {
  id: "id:ü/1",
  source: "urn:elsewhere",
  subject: "a subject",
  time: new Date("1999-12-31T23:59:59.999Z"),
  correlationId: "correlation-1",
  causationId: "cause-1",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: "vendor=value",
  extensions: { own: "1", another: "two words" },
};
const texts = [
  "null",
  '"text"',
  "-0",
  "1e400",
  "12345678901234567890.50",
  '{ "a" : 1, "a" : 2 }',
  '"\\ud800 \\u0041 \\n"',
  '{"data":{"type":"x"},"__proto__":1}',
];

async function storedIn(file: string): Promise<readonly StoredEvent[]> {
  const engine = await sqlite(file).open(realEnv);
  const events = await readAll(engine.log);
  await engine.ledger.close();
  await engine.log.close();
  return events;
}
const facts = ({ source, id, type, key, group, timeMs, attributes, data, version, crc }: StoredEvent): object => {
  return { source, id, type, key, group, timeMs, attributes, data, version, crc };
};

test("export and import: every event with all its attributes, its data's bytes and its checksum; twice is once", async (t) => {
  const cwd = emptyFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const log = await openLog(`sqlite:${join(cwd, "factlog.db")}`);
  await log.publish(Any({ n: 1 }, full));
  for (const text of texts) await log.publish(newEventFromJson(Bare, text));
  for (let i = 0; i < 1_500; i++) await log.publish(Bare({ i }));
  await log.publish(newEventFromJson(Bare, JSON.stringify("x".repeat(limits.eventBytesMax - 2))));
  await log.close();

  const exported = await run("export", "all.ndjson");
  assert.deepEqual([exported.code, exported.stdout], [0, "sqlite:factlog.db -> all.ndjson  1,510 events\n"]);
  const imported = await run("import", "all.ndjson", "--url", "sqlite:copy.db");
  assert.equal(imported.stdout, "all.ndjson -> sqlite:copy.db  1,510 events stored\n", imported.stderr);
  const [before, after] = [await storedIn(join(cwd, "factlog.db")), await storedIn(join(cwd, "copy.db"))];
  assert.equal(before.length, 1_510);
  assert.deepEqual(after.map(facts), before.map(facts));
  const again = await run("import", "all.ndjson", "--url", "sqlite:copy.db", "--json");
  assert.deepEqual(objectsIn(again.stdout), [
    { log: "sqlite:copy.db", file: "all.ndjson", stored: 0, duplicates: 1_510 },
  ]);
  const some = await run("export", "-", "--type", Any.type);
  assert.equal(objectsIn(some.stdout).length, 1);
  assert.equal(some.stderr, "1 event of sqlite:factlog.db\n");
});

test("import: a refusal names the line and what is stored; a file that is there is not written over", async (t) => {
  const cwd = emptyFolder(t);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const line = (id: string, more: object = {}): string =>
    JSON.stringify({ specversion: "1.0", id, source: "s", type: "T", time: "2026-11-23T06:15:00Z", data: 1, ...more });
  const many = Array.from({ length: 1_000 }, (_, i) => line(`id-${i}`));
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["no JSON", /^INVALID_DATA line 1001: .*no JSON/],
    [line("x", { time: undefined }), /^INVALID_ATTRIBUTE line 1001: time is missing/],
    [line("x", { id: undefined }), /^INVALID_ATTRIBUTE line 1001: id is missing/],
    [line("id-1", { data: 2 }), /^ID_CONFLICT line 1001: /],
    [line("x", { partitionkey: "" }), /^INVALID_ATTRIBUTE line 1001: key is empty/],
    ['{"specversion":"1.0"', /^INVALID_DATA line 1001: /],
  ];
  for (const [i, [text, expected]] of wrong.entries()) {
    writeFileSync(join(cwd, "in.ndjson"), [...many, text].join("\n"));
    const { code, stderr } = await run("import", "in.ndjson", "--url", `sqlite:wrong-${i}.db`);
    assert.equal(code, 1);
    assert.match(stderr, expected);
    assert.match(stderr, /The 1,000 events of earlier batches stay stored/);
    assert.equal((await storedIn(join(cwd, `wrong-${i}.db`))).length, 1_000);
  }
  assert.match((await run("import", "none.ndjson")).stderr, /^NOT_FOUND /);
  writeFileSync(join(cwd, "there"), "mine");
  assert.match((await run("export", "there", "--url", "sqlite:wrong-0.db")).stderr, /^CONFLICT /);
  assert.equal(readFileSync(join(cwd, "there"), "utf8"), "mine");
  assert.deepEqual(
    readdirSync(cwd).filter((name) => name.endsWith(".part")),
    [],
  );
});
