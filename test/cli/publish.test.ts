/** publish, tail and init as processes over one SQLite file. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { emptyFolder, factlog, objectsIn, order, shopFolder, start } from "../support/cli.ts";

test("init writes an app, refuses to write over one, and says what to run next", async (t) => {
  const cwd = emptyFolder(t);
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ dependencies: { factlog: "*" } }));
  const first = await factlog(t, ["init"], { cwd });
  assert.deepEqual(first, {
    code: 0,
    stdout: 'wrote app.ts, set "type": "module" in package.json\nnext: npx factlog dev app.ts\n',
    stderr: "",
  });
  assert.deepEqual(JSON.parse(readFileSync(join(cwd, "package.json"), "utf8")), {
    dependencies: { factlog: "*" },
    type: "module",
  });
  const text = readFileSync(join(cwd, "app.ts"), "utf8");
  writeFileSync(join(cwd, "app.ts"), "mine");
  const again = await factlog(t, ["init"], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^CONFLICT app\.ts is here already.*--force/);
  assert.equal(readFileSync(join(cwd, "app.ts"), "utf8"), "mine");
  const forced = await factlog(t, ["init", "--force", "--json"], { cwd });
  assert.deepEqual(objectsIn(forced.stdout), [{ wrote: "app.ts", next: ["npx factlog dev app.ts"] }]);
  assert.equal(readFileSync(join(cwd, "app.ts"), "utf8"), text);
});

test("init leaves a CommonJS package as it is", async (t) => {
  const cwd = emptyFolder(t);
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ type: "commonjs" }));
  const { stdout } = await factlog(t, ["init"], { cwd });
  assert.equal(stdout, "wrote app.mts\nnext: npx factlog dev app.mts\n");
  const published = await factlog(t, ["publish", "OrderPlaced", order("o-1")], { cwd });
  assert.match(published.stdout, /^o-1 stored at 1 in [\d.]+ ms {2}\(sqlite:factlog\.db\)\n$/);
  assert.deepEqual(JSON.parse(readFileSync(join(cwd, "package.json"), "utf8")), { type: "commonjs" });
});

test("a fact is stored once; what is refused is not stored, and says why", async (t) => {
  const cwd = shopFolder(t);
  const publish = (...args: string[]): ReturnType<typeof factlog> => factlog(t, ["publish", ...args], { cwd });
  assert.match(
    (await publish("OrderPlaced", order("o-1"))).stdout,
    /^o-1 stored at 1 in [\d.]+ m?s {2}\(sqlite:factlog\.db\)\n$/,
  );
  assert.equal(
    (await publish("OrderPlaced", order("o-1"))).stdout,
    "o-1 was already stored at 1 (duplicate)  (sqlite:factlog.db)\n",
  );
  const invalid = await publish("OrderPlaced", "{}");
  assert.equal(invalid.code, 1);
  assert.equal(invalid.stdout, "");
  assert.match(invalid.stderr, /^INVALID_DATA .*orderId: expected string.*Nothing was stored\.\n$/);
  const conflict = await publish("OrderPlaced", order("o-1", "dvd"), "--json");
  assert.equal(conflict.code, 1);
  assert.equal((JSON.parse(conflict.stderr) as { error: { code: string } }).error.code, "ID_CONFLICT");
  const unknown = await publish("OrderPlacd", "{}");
  assert.equal(
    unknown.stderr,
    "UNKNOWN_EVENT_TYPE app.ts has no event OrderPlacd: it has OrderPlaced. Did you mean OrderPlaced? Nothing was stored.\n",
  );
  const { stdout } = await factlog(t, ["tail", "--json"], { cwd });
  assert.equal(objectsIn(stdout).length, 1);
});

test("--id may repeat the id that the data give, and not replace it", async (t) => {
  const cwd = shopFolder(t);
  const publish = (input: string, ...args: string[]): ReturnType<typeof factlog> =>
    factlog(t, ["publish", "OrderPlaced", ...args], { cwd, input });
  for (const stream of [false, true]) {
    const [input, data] = stream ? [order("o-1"), "-"] : ["", order("o-1")];
    const refused = await publish(input, data, "--id", "mine");
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^INVALID_OPTION .*"mine".*"o-1".*Nothing was stored\.\n$/);
    assert.equal((await publish(input, data, "--id", "o-1")).code, 0);
  }
  assert.match((await publish("", "{}", "--id", "mine")).stderr, /^INVALID_DATA /);
  const { stdout } = await factlog(t, ["tail", "--json"], { cwd });
  assert.deepEqual(
    objectsIn(stdout).map(({ id }) => id),
    ["o-1"],
  );
});

test("stdin is a batch: attributes, line numbers of what is refused, bytes as given", async (t) => {
  const cwd = shopFolder(t);
  const publish = (input: string, ...args: string[]): ReturnType<typeof factlog> =>
    factlog(t, ["publish", "OrderPlaced", "-", ...args], { cwd, input });
  const bad = await publish(`${order("a")}\n\n{"orderId":"b"}\n`);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /^INVALID_DATA line 3: .*sku: expected string.*Nothing was stored\.\n$/);
  const bytes = '{ "orderId" : "c", "sku":"\\u0041", "n": 12345678901234567890 }';
  const good = await publish(`${order("a")}\n${order("b")}\n${bytes}\n`, "--correlation", "import-1");
  assert.match(good.stdout, /^3 events stored in /);
  assert.match((await publish(`${order("a")}\n${order("d")}`)).stdout, /^1 event stored in .*, 1 were there already /);
  const { stdout } = await factlog(t, ["tail", "--json", "--correlation", "import-1"], { cwd });
  assert.deepEqual(
    objectsIn(stdout).map(({ id }) => id),
    ["a", "b", "c"],
  );
  assert.ok(stdout.includes(`"data":${bytes}}`));
  const pretty = await publish(JSON.stringify({ orderId: "e", sku: "x" }, null, 2), "--json", "--subject", "cds");
  assert.equal(objectsIn(pretty.stdout)[0]?.["id"], "e");
  assert.equal((await factlog(t, ["tail", "--json"], { cwd })).stdout.trim().split("\n").length, 5);
});

test("tail: the newest, from a place, of a type, a key, and on", async (t) => {
  const cwd = shopFolder(t);
  const lines = Array.from({ length: 30 }, (_, i) => order(`o-${i + 1}`)).join("\n");
  await factlog(t, ["publish", "OrderPlaced", "-"], { cwd, input: lines });
  const ids = async (...args: string[]): Promise<unknown[]> =>
    objectsIn((await factlog(t, ["tail", "--json", ...args], { cwd })).stdout).map(({ id }) => id);
  assert.equal((await ids()).length, 20);
  assert.deepEqual(await ids("-n", "2"), ["o-29", "o-30"]);
  assert.deepEqual(await ids("--key", "o-3"), ["o-3"]);
  assert.deepEqual(await ids("--from", "28"), ["o-29", "o-30"]);
  assert.equal((await ids("--from", "beginning", "--type", "OrderPlaced")).length, 30);
  assert.deepEqual(await ids("--type", "Other"), []);
  assert.deepEqual(await ids("--from", "2100-01-01"), []);
  const wrong = await factlog(t, ["tail", "--from", "yesterday"], { cwd });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /INVALID_OPTION --from "yesterday"/);
  const following = start(t, ["tail", "-f", "-n", "1"], { cwd });
  await following.prints(/^30 .* o-30 /m);
  await factlog(t, ["publish", "OrderPlaced", order("o-31")], { cwd });
  await following.prints(/^31 .* o-31 /m);
  assert.equal((await following.end("SIGINT")).code, 0);
});

test("a correlation is followed to its end", async (t) => {
  const cwd = shopFolder(t);
  await factlog(t, ["start", "app.ts", "--once"], { cwd });
  await factlog(t, ["publish", "OrderPlaced", "-", "--correlation", "c-1"], {
    cwd,
    input: `${order("a")}\n${order("b")}`,
  });
  const following = start(t, ["tail", "-f", "--correlation", "c-1"], { cwd });
  await following.prints(/^2 .* b /m);
  await factlog(t, ["start", "app.ts", "--once"], { cwd });
  const { code, stderr } = await following.ended;
  assert.equal(code, 0);
  assert.match(stderr, /^nothing of this correlation is pending: settled$/m);
});

test("a reader that goes away ends it quietly", async (t) => {
  const cwd = shopFolder(t);
  const lines = Array.from({ length: 3_000 }, (_, i) => order(`o-${i}`, "x".repeat(200)));
  await factlog(t, ["publish", "OrderPlaced", "-"], { cwd, input: lines.join("\n") });
  const tail = start(t, ["tail", "--from", "beginning"], { cwd });
  await tail.prints(/^1 /m);
  tail.child.stdout?.destroy();
  const { code, stderr } = await tail.ended;
  assert.deepEqual([code, stderr], [0, "sqlite:factlog.db, head at 3000\n"]);
});

test("an address with a password is warned of, and not shown", async (t) => {
  const cwd = emptyFolder(t);
  const { code, stderr } = await factlog(
    t,
    ["status", "--verbose", "--url", "postgres://me:hunter2@127.0.0.1:1/shop"],
    { cwd },
  );
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^a password in --url is visible to every process of this machine: set FACTLOG_URL instead\.\nSTORE_UNREACHABLE /,
  );
  assert.match(stderr, /^ +at /m);
  assert.doesNotMatch(stderr, /hunter2/);
});

test("an event that would command the terminal is shown, not obeyed", async (t) => {
  const cwd = shopFolder(t);
  const evil = "\x1b]0;x\x07\x1b[2J\u009b2J\u202e";
  await factlog(
    t,
    ["publish", "OrderPlaced", JSON.stringify({ orderId: `o${evil}`, sku: evil }).replaceAll("\\u001b", "\\u001b")],
    { cwd },
  );
  const raw = `{"orderId":"p","sku":"\u009b2J\u202e"}`;
  await factlog(t, ["publish", "OrderPlaced", raw], { cwd });
  const { stdout } = await factlog(t, ["tail"], { cwd });
  // oxlint-disable-next-line no-control-regex -- what must not come out
  assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  assert.ok(stdout.includes("o\\x1b]0;x\\x07\\x1b[2J\\x9b2J\\u202e"));
  const error = await factlog(t, ["publish", `Order${evil}`, "{}"], { cwd });
  // oxlint-disable-next-line no-control-regex -- what must not come out
  assert.doesNotMatch(error.stderr, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
});

test("a command line that is wrong does nothing and says how it is used", async (t) => {
  const cwd = emptyFolder(t);
  const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [["nope"], /unknown command 'nope'/],
    [["publish", "OrderPlaced"], /missing required argument 'json'/],
    [["tail", "-n", "x"], /whole number/],
    [["status", "--nope"], /unknown option '--nope'/],
    [["dead", "discard", "x:1.2.3"], /--reason/],
  ];
  for (const [args, says] of wrong) {
    const { code, stdout, stderr } = await factlog(t, args, { cwd });
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, says);
  }
  assert.equal((await factlog(t, ["--help"], { cwd })).code, 0);
  assert.match((await factlog(t, ["--version"], { cwd })).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("looking at a log does not make one; an app that is not there or is none is named", async (t) => {
  const cwd = emptyFolder(t);
  for (const args of [["tail"], ["status"], ["doctor"], ["dead", "list"], ["subscription", "retire", "x", "--yes"]]) {
    const { code, stderr } = await factlog(t, args, { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /^NOT_FOUND there is no log at sqlite:factlog\.db/);
  }
  assert.ok(!existsSync(join(cwd, "factlog.db")));
  assert.match((await factlog(t, ["publish", "A", "{}"], { cwd })).stderr, /^NOT_FOUND .*factlog init/);
  writeFileSync(join(cwd, "app.ts"), "export const app = 1;");
  assert.match(
    (await factlog(t, ["start", "app.ts"], { cwd })).stderr,
    /INVALID_DEFINITION app\.ts has no default export/,
  );
  writeFileSync(join(cwd, "app.ts"), "export default { name: 'x' };");
  assert.match(
    (await factlog(t, ["start", "app.ts"], { cwd })).stderr,
    /INVALID_DEFINITION the default export of app\.ts is no app/,
  );
  writeFileSync(join(cwd, "app.ts"), 'import "no-such-package";');
  const missing = await factlog(t, ["start", "app.ts"], { cwd });
  assert.match(missing.stderr, /INVALID_DEFINITION app\.ts did not load:\n[\s\S]*install it: npm i no-such-package\n/);
  assert.doesNotMatch(missing.stderr, /node:internal/);
  writeFileSync(join(cwd, "not-a-log.db"), "this is no database, and long enough to be read as one".repeat(20));
  const { code, stderr } = await factlog(t, ["status", "--url", "sqlite:not-a-log.db"], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /^NOT_A_LOG /m);
});
