/** status, subscription, dead and doctor as processes, over a log that was filled in this one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { defineApp, defineSubscription, NonRetryable, openLog } from "../../src/index.ts";
import { defineEvent } from "../../src/event/define.ts";
import { z } from "zod";
import {
  commandLine,
  factlog,
  noPty,
  objectsIn,
  type Ran,
  shopFolder,
  start,
  startOnTerminal,
} from "../support/cli.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const OrderPlaced = defineEvent("OrderPlaced", {
  schema: z.object({ orderId: z.string(), sku: z.string() }),
  key: (data) => data.orderId,
  id: (data) => data.orderId,
});

/** A folder with a log in which `poison` of ten orders are dead letters of the warehouse. */
async function folderWithDeadLetters(t: TestContext, poison: number): Promise<string> {
  const cwd = shopFolder(t);
  const warehouse = defineSubscription("warehouse", { on: OrderPlaced }, (event) => {
    if (event.data.sku === "poison") throw new NonRetryable(`no article \x1b[2J, see postgres://user:hunter2@db/x`);
  });
  const log = await openLog(`sqlite:${join(cwd, "factlog.db")}`, { source: "shop", logger: silent });
  const app = defineApp({ name: "shop", subscriptions: [warehouse] });
  await log.drain(app);
  await log.publishAll(
    Array.from({ length: 10 }, (_, i) => OrderPlaced({ orderId: `o-${i}`, sku: i < poison ? "poison" : "cd" })),
  );
  await log.drain(app);
  await log.close();
  return cwd;
}

test("subscription pause and resume: of all, and of a key; status shows both", async (t) => {
  const cwd = await folderWithDeadLetters(t, 1);
  const run = async (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  assert.equal((await run("subscription", "pause", "warehouse", "--key", "o-5")).code, 0);
  assert.match((await run("status")).stdout, /active, 1 key paused/);
  assert.deepEqual(objectsIn((await run("subscription", "pause", "warehouse", "--json")).stdout), [
    { log: "sqlite:factlog.db", subscription: "warehouse", paused: true },
  ]);
  assert.match((await run("status")).stdout, /paused, 1 key paused/);
  assert.equal((await run("subscription", "resume", "warehouse")).code, 0);
  assert.deepEqual(objectsIn((await run("subscription", "resume", "warehouse", "--key", "o-5", "--json")).stdout), [
    { log: "sqlite:factlog.db", subscription: "warehouse", key: "o-5", paused: false },
  ]);
  assert.match((await run("status")).stdout, /warehouse +active +/);
  assert.match((await run("subscription", "pause", "nobody")).stderr, /^NOT_FOUND /);
});

test("redrive jobs: a dry run, refused without --yes, started, shown, cancelled", async (t) => {
  const cwd = await folderWithDeadLetters(t, 3);
  const run = async (...args: string[]): Promise<Ran> => factlog(t, ["dead", ...args], { cwd });
  const planned = objectsIn((await run("redrive", "--all", "--dry-run", "--json")).stdout)[0]!;
  assert.equal(planned["deadLetters"], 3);
  assert.match((await run("redrive", "--all", "--dry-run")).stdout, /o-1 +1 +what waits behind them follows/);
  const refused = await run("redrive", "--all", "--job");
  assert.deepEqual([refused.code, (await run("jobs")).stdout], [3, "no redrive jobs  (sqlite:factlog.db)\n"]);
  const [started] = objectsIn((await run("redrive", "--all", "--rate", "5", "--yes", "--json")).stdout);
  assert.equal(started!["found"], 3);
  assert.match((await run("redrive", "--all", "--job", "--yes")).stderr, /^CONFLICT /);
  const [job] = objectsIn((await run("jobs", "--json")).stdout);
  assert.deepEqual([job!["state"], job!["total"], job!["left"], job!["ratePerSecond"]], ["running", 3, 3, 5]);
  assert.match((await run("cancel", started!["job"] as string)).stdout, /3 of 3 dead letters were not delivered again/);
  assert.match((await run("cancel", "nobody")).stderr, /^NOT_FOUND /);
  assert.equal((await run("redrive", "warehouse:1.1.1", "--job")).code, 2);
});

test("dead letters: list, show, redrive after confirmation, discard with a reason", async (t) => {
  const cwd = await folderWithDeadLetters(t, 3);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });

  const listed = await run("dead", "list");
  assert.match(listed.stdout, /^id +type +event +key +class +failures/);
  assert.match(listed.stdout, /3 dead letters: factlog dead show\|redrive\|discard ID {2}\(sqlite:factlog\.db\)\n$/);
  const letters = objectsIn((await run("dead", "list", "--json")).stdout);
  const facts = letters.map((letter) => JSON.stringify([letter["eventId"], letter["type"], letter["blocksKey"]]));
  assert.deepEqual(
    new Set(facts),
    new Set(["o-0", "o-1", "o-2"].map((id) => JSON.stringify([id, "OrderPlaced", true]))),
  );
  assert.equal(objectsIn((await run("dead", "list", "--json", "--key", "o-1")).stdout).length, 1);
  assert.equal((await run("dead", "list", "--subscription", "other")).stdout, "no dead letters  (sqlite:factlog.db)\n");

  const id = String(letters.find(({ eventId }) => eventId === "o-1")?.["id"]);
  const shown = await run("dead", "show", id);
  assert.ok(shown.stdout.includes(`${id}  OrderPlaced o-1 -> warehouse\n`));
  assert.ok(shown.stdout.includes('data {"orderId":"o-1","sku":"poison"}'));
  assert.match(
    shown.stdout,
    /1\. \d{4}-.*Z {2}non-retryable\n +(NonRetryable|Error): no article \\x1b\[2J, see postgres:\/\/user:\*\*\*@db/,
  );
  assert.ok(!/hunter2/.test(shown.stdout + listed.stdout) && !(shown.stdout + listed.stdout).includes("\x1b"));
  const [object] = objectsIn((await run("dead", "show", id, "--json")).stdout);
  assert.equal((object?.["event"] as { id: string } | undefined)?.id, "o-1");

  const unconfirmed = await run("dead", "redrive", "--subscription", "warehouse");
  assert.equal(unconfirmed.code, 3);
  assert.equal(
    unconfirmed.stderr,
    "3 dead letters would be delivered again: nothing was done. Confirm with --confirm 3, or --yes.\n",
  );
  const mismatch = await run("dead", "redrive", "--all", "--confirm", "2");
  assert.equal(mismatch.code, 1);
  assert.match(mismatch.stderr, /^CONFLICT 3 dead letters were found, 2 were confirmed/);
  assert.equal((await run("dead", "redrive")).code, 2);
  assert.equal((await run("dead", "redrive", id, "--all")).code, 2);
  const partly = await run("dead", "discard", id, "warehouse:1.0.999", "--reason", "x");
  assert.match(partly.stderr, /^NOT_FOUND warehouse:1\.0\.999 /);
  assert.deepEqual(objectsIn((await run("dead", "redrive", id, "--json")).stdout), [
    { log: "sqlite:factlog.db", redriven: 1, found: 1 },
  ]);
  assert.match((await run("dead", "redrive", id)).stderr, /^NOT_FOUND /);
  assert.equal((await run("dead", "redrive", "--key", "o-2", "--confirm", "1")).code, 0);

  const [last] = objectsIn((await run("dead", "list", "--json")).stdout);
  const discarded = await run("dead", "discard", String(last?.["id"]), "--reason", "a test order");
  assert.equal(discarded.stdout, "1 dead letter discarded: a test order  (sqlite:factlog.db)\n");
  assert.deepEqual(
    objectsIn((await run("tail", "--json", "--from", "10")).stdout).map(({ type }) => type),
    ["factlog.operator.redriven", "factlog.operator.redriven", "factlog.operator.discarded"],
  );
});

test("status says what stands in the way, for people and machines", async (t) => {
  const cwd = await folderWithDeadLetters(t, 2);
  const { code, stdout } = await factlog(t, ["status"], { cwd });
  assert.equal(code, 0);
  assert.match(stdout, /^sqlite:factlog\.db {2}head at 10\n/);
  assert.match(
    stdout,
    /^subscription +state +depth +lag +in flight +retrying +waiting +held +deferred +dead +blocked keys +workers +rate +errors +drained in$/m,
  );
  assert.match(stdout, /^warehouse +active +0 +- +0 +0 +0 +0 +0 +2 +2 +0 +- +- +-$/m);
  assert.match(stdout, /^2 dead letters: factlog dead list$/m);
  const [status] = objectsIn((await factlog(t, ["status", "--json"], { cwd })).stdout);
  const [warehouse] = (status?.["subscriptions"] ?? []) as Record<string, unknown>[];
  assert.deepEqual(
    [warehouse?.["name"], warehouse?.["dead"], warehouse?.["closed"], status?.["head"]],
    ["warehouse", 2, 8, 10],
  );
});

test("status --watch looks again every second, and Ctrl-C ends it cleanly", async (t) => {
  const cwd = await folderWithDeadLetters(t, 2);
  const json = start(t, ["status", "--watch", "--json"], { cwd });
  await json.prints(/^\{.*\}\n\{.*\}\n/m);
  const { code, stdout, stderr } = await json.end("SIGINT");
  assert.deepEqual([code, stderr], [0, ""]);
  const looks = objectsIn(stdout);
  const [warehouse] = (looks[1]?.["subscriptions"] ?? []) as Record<string, unknown>[];
  assert.deepEqual([warehouse?.["dead"], warehouse?.["ratePerSecond"]], [2, 0]);
  assert.ok(String(looks[0]?.["sampledAt"]) < String(looks[1]?.["sampledAt"]));

  const noTerminal = await factlog(t, ["status", "--watch"], { cwd });
  assert.equal(noTerminal.code, 2);
  assert.match(noTerminal.stderr, /^INVALID_OPTION --watch draws on a terminal/);
});

const cleared = "\x1b\\[H\x1b\\[2J";

test("status --watch redraws a table in place on a terminal", { skip: noPty }, async (t) => {
  const cwd = await folderWithDeadLetters(t, 2);
  const terminal = startOnTerminal(t, ["status", "--watch"], { cwd });
  await terminal.prints(new RegExp(`${cleared}sqlite:factlog\\.db {2}head at 10\\r\\n`));
  await terminal.prints(/warehouse +active/);
  await terminal.prints(new RegExp(cleared));
  terminal.type("\x03");
  assert.equal((await terminal.ended).code, 0);
});

test("trace shows a correlation as a tree that is safe to print", async (t) => {
  const cwd = await folderWithDeadLetters(t, 1);
  const { code, stdout } = await factlog(t, ["trace", "o-0"], { cwd });
  assert.equal(code, 0);
  const [event, delivery, summary] = stdout.split("\n");
  assert.match(String(event), /^OrderPlaced {2}o-0 {2}\d{4}-.*Z {2}at 1$/);
  assert.match(String(delivery), /^└─ -> warehouse dead {2}1 failure {2}warehouse:1\.\d+\.1 {2}.*no article \\x1b\[2J/);
  assert.equal(summary, "1 event in 0 ms, 0 deliveries open, 1 dead letter: factlog dead show ID");
  assert.ok(!stdout.includes("\x1b"));
  const [object] = objectsIn((await factlog(t, ["trace", "o-0", "--json"], { cwd })).stdout);
  const [node] = (object?.["tree"] ?? []) as { event: { id: string }; deliveries: { state: string }[] }[];
  assert.deepEqual([node?.event.id, node?.deliveries[0]?.state, object?.["dead"]], ["o-0", "dead", 1]);
  const missing = await factlog(t, ["trace", "o-\x1b[2J"], { cwd });
  assert.equal(missing.code, 1);
  assert.ok(missing.stderr.startsWith("NOT_FOUND no event has the correlation o-\\x1b[2J"));
});

test("subscriptions: created where --from says, renamed, retired after confirmation", async (t) => {
  const cwd = await folderWithDeadLetters(t, 1);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  assert.match(
    (await run("subscription", "create", "wharehouse")).stderr,
    /^UNKNOWN_SUBSCRIPTION .*Did you mean warehouse\?\n$/,
  );
  assert.match(
    (await run("subscription", "create", "warehouse", "--from", "now")).stderr,
    /^CONFLICT warehouse is there already/,
  );
  assert.match(
    (await run("subscription", "create", "forecast", "--types", "OrderPlaced")).stderr,
    /^FROM_REQUIRED .* 10 matching events/,
  );
  assert.equal(
    (await run("subscription", "create", "forecast", "--types", "OrderPlaced", "--from", "4")).stdout,
    "created forecast on OrderPlaced: 6 events to go  (sqlite:factlog.db)\n",
  );
  assert.match((await run("status")).stdout, /^forecast +unknown-to-this-app +6 /m);
  assert.match((await run("subscription", "rename", "forecast", "warehouse")).stderr, /^CONFLICT /);
  assert.equal((await run("subscription", "rename", "forecast", "outlook")).code, 0);
  const unconfirmed = await run("subscription", "retire", "outlook");
  assert.equal(unconfirmed.code, 3);
  assert.match(unconfirmed.stderr, /0 done, 6 to go, 0 dead.*nothing was done\. Confirm with --yes\.\n$/);
  assert.equal((await run("subscription", "retire", "outlook", "--yes")).code, 0);
  assert.match((await run("subscription", "retire", "outlook", "--yes")).stderr, /^NOT_FOUND /);
  assert.doesNotMatch((await run("status")).stdout, /outlook|forecast/);
});

test("backup and restore: a copy with a name is whole; a log that is there is moved aside when that is said", async (t) => {
  const cwd = await folderWithDeadLetters(t, 2);
  const run = (...args: string[]): Promise<Ran> => factlog(t, args, { cwd });
  const made = await run("backup", "copy.db");
  assert.equal(made.code, 0);
  assert.match(made.stdout, /^sqlite:factlog\.db -> copy\.db {2}[\d,]+ KiB, checked, epoch \S+\n$/);
  assert.match(
    (await run("backup", "copy.db")).stderr,
    /^CONFLICT .*copy\.db is there already: name another file\.\n$/,
  );
  assert.match(
    (await run("restore", "copy.db")).stderr,
    /^CONFLICT .*factlog\.db is there already: with --yes it is moved aside/,
  );
  const restored = await run("restore", "copy.db", "--yes", "--json");
  const [object] = objectsIn(restored.stdout);
  assert.deepEqual([restored.code, object?.["log"]], [0, "sqlite:factlog.db"]);
  assert.match(String(object?.["aside"]), /factlog\.db\.before-/);
  assert.match((await run("status")).stdout, /^2 dead letters/m);
  assert.match((await run("backup", "x.db", "--url", "postgres://h/d")).stderr, /^NOT_SUPPORTED .*pg_dump/);
  // No file grows beyond 64 KiB here, as on a disk that is full.
  const full = spawnSync(
    "bash",
    ["-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "bash", ...commandLine(["backup", "full.db"])],
    { cwd },
  );
  assert.equal(full.status, 1);
  assert.match(String(full.stderr), /^STORE_FAILED .*factlog\.db to .*full\.db\.part: the store failed/);
  assert.deepEqual(
    readdirSync(cwd).filter((name) => name.startsWith("full")),
    [],
  );
});

test("doctor says that all is well, check by check, and what is not", async (t) => {
  const cwd = await folderWithDeadLetters(t, 1);
  const well = await factlog(t, ["doctor"], { cwd });
  assert.equal(well.code, 0, well.stdout);
  assert.match(well.stdout, /^ok {6}node: v\d+/m);
  assert.match(well.stdout, /^ok {6}schemas: data of all 1 event type of shop are checked once, when published$/m);
  assert.match(well.stdout, /^ok {6}conservation: warehouse: owed 10 = matched 10 \+ pending 0$/m);
  assert.match(well.stdout, /^all is well: \d+ checks$/m);
  const database = new DatabaseSync(join(cwd, "factlog.db"));
  database.exec("DELETE FROM factlog_delivery");
  database.close();
  const { code, stdout } = await factlog(t, ["doctor"], { cwd });
  assert.equal(code, 3);
  assert.match(stdout, /^not ok {2}deliveries: warehouse: slot \d+: matched 1, closed 0, rows 0$/m);
  const [report] = objectsIn((await factlog(t, ["doctor", "--json"], { cwd })).stdout);
  assert.equal(report?.["ok"], false);
});
